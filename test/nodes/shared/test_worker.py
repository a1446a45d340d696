"""The worker takes the newest item, counts the others, and reports its own failure."""

import threading

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
