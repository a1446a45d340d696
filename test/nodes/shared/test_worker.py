"""The worker takes the newest item, counts the others, and reports its own failure."""

import threading
import time

import pytest

from superslam_ros.nodes.shared.worker import LatestWorker


def test_the_latest_item_wins_and_the_others_are_counted():
    gate, seen, done = threading.Event(), [], threading.Event()

    def handle(item):
        seen.append(item)
        gate.wait(10)
        if item == 9:
            done.set()

    worker = LatestWorker(handle, pytest.fail)
    worker.offer(0)
    while not seen:
        pass
    for item in range(1, 10):
        worker.offer(item)
    gate.set()
    assert done.wait(10)
    worker.stop()
    assert seen == [0, 9]
    assert worker.dropped == 8


def test_an_unexpected_error_is_reported():
    failures, failed = [], threading.Event()

    def handle(item):
        raise TypeError('a bug')

    def fail(error):
        failures.append(str(error))
        failed.set()

    worker = LatestWorker(handle, fail)
    worker.offer(1)
    assert failed.wait(10)
    worker.drain()
    worker.stop()
    assert worker.failed and failures == ['a bug']


def test_some_items_may_wait_in_order():
    gate, seen = threading.Event(), []

    def handle(item):
        seen.append(item)
        gate.wait(10)

    worker = LatestWorker(handle, pytest.fail, waiting=3)
    worker.offer(0)
    while not seen:
        pass
    for item in range(1, 6):
        worker.offer(item)
    gate.set()
    while len(seen) < 4:
        pass
    worker.stop()
    assert seen == [0, 3, 4, 5]
    assert worker.dropped == 2


@pytest.mark.parametrize('end', ['drain', 'stop'])
def test_long_work_is_broken_off(end):
    begun, seen, again = threading.Event(), [], threading.Event()

    def handle(item):
        seen.append(item)
        if item == 2:
            again.set()
            return
        begun.set()
        while True:
            worker.interrupt()

    worker = LatestWorker(handle, pytest.fail)
    worker.offer(0)
    assert begun.wait(10)
    worker.offer(1)
    getattr(worker, end)()
    assert seen == [0] and not worker.failed and not worker.busy
    if end == 'drain':
        worker.offer(2)
        assert again.wait(10)
        worker.stop()


def two_halves(finish, **options):
    """Return a worker whose first half hands on what it gets, and the list of what that was."""
    begun = []

    def handle(item):
        begun.append(item)
        return item

    return LatestWorker(handle, options.pop('on_failure', pytest.fail), finish=finish, **options), begun


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1e-3)


def test_the_next_item_begins_while_one_is_finished_and_none_is_overtaken():
    gate, finished = threading.Semaphore(0), []

    def finish(item):
        assert gate.acquire(timeout=10)
        finished.append(item)

    worker, begun = two_halves(finish)
    worker.offer(1)
    until(lambda: begun == [1])
    worker.offer(2)
    until(lambda: begun == [1, 2])      # beside 1, which is not finished
    worker.offer(3)                     # waits
    worker.offer(4)                     # and is overtaken by this one
    assert worker.dropped == 1 and begun == [1, 2] and worker.busy
    for _ in range(3):
        gate.release()
    until(lambda: finished == [1, 2, 4])
    assert begun == [1, 2, 4] and worker.dropped == 1
    worker.stop()


def test_what_the_first_half_gives_up_is_not_finished():
    finished = []
    worker, begun = two_halves(finished.append, waiting=3)
    for item in (None, 1, None, 2):
        worker.offer(item)
        until(lambda: not worker.busy and not worker._waiting)
    assert finished == [1, 2] and begun == [None, 1, None, 2]
    worker.stop()


def test_the_first_half_can_wait_for_the_second():
    gate, finished = threading.Event(), []

    def handle(item):
        if item == 2:
            worker.settle()
            assert finished == [1]
        return item

    def finish(item):
        assert item == 2 or gate.wait(10)
        finished.append(item)

    worker = LatestWorker(handle, pytest.fail, finish=finish)
    worker.offer(1)
    until(lambda: worker._finishing)
    worker.offer(2)
    until(lambda: worker._working)
    gate.set()
    until(lambda: finished == [1, 2])
    worker.stop()


@pytest.mark.parametrize('end', ['drain', 'stop'])
def test_both_halves_are_broken_off(end):
    finished = []

    def finish(item):
        while item == 1:
            worker.interrupt()
        finished.append(item)

    worker, begun = two_halves(finish)
    worker.offer(1)
    until(lambda: worker._finishing)
    worker.offer(2)
    until(lambda: begun == [1, 2])      # and waits with what it has made
    worker.offer(3)
    getattr(worker, end)()
    assert not finished and not worker.busy and not worker.failed and begun == [1, 2]
    if end == 'drain':
        worker.offer(4)
        until(lambda: finished == [4])
        worker.stop()


@pytest.mark.parametrize('half', ['first', 'second'])
def test_an_unexpected_error_of_either_half_ends_the_work(half):
    failures = []

    def finish(item):
        if half == 'second':
            raise TypeError('a bug')

    def handle(item):
        if half == 'first':
            raise TypeError('a bug')
        return item

    worker = LatestWorker(handle, lambda error: failures.append(str(error)), finish=finish)
    worker.offer(1)
    until(lambda: failures)
    worker.offer(2)
    until(lambda: not any(thread.is_alive() for thread in worker._threads))
    worker.drain()
    worker.stop()
    assert worker.failed and failures == ['a bug'] and not worker.busy
