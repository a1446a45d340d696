"""Messages of one instant find each other."""

from __future__ import annotations

from superslam_ros.sync import RateLimit, Stamped, Synchronizer, tolerance_s

MS = 1_000_000


def at(ms, late=0):
    return Stamped(ms * MS, (ms + late) * MS, ms)


def brief(bundles):
    return [(one.main.item, {name: message.item for name, message in one.companions.items()}, one.missing)
            for one in bundles]


def test_a_frame_waits_for_the_nearest_companion():
    sync = Synchronizer(['right'], tolerance_ns=20 * MS)
    assert not list(sync.add_main(at(100)))
    assert not list(sync.add_companion('right', at(90)))    # a nearer one may come
    assert brief(sync.add_companion('right', at(105))) == [(100, {'right': 105}, [])]
    assert not list(sync.add_main(at(200)))
    assert brief(sync.add_companion('right', at(230))) == [(200, {}, ['right'])]    # too far, and none will be nearer


def test_out_of_order_and_repeated_stamps_are_served_as_they_come():
    sync = Synchronizer(['right'], tolerance_ns=20 * MS)
    list(sync.add_companion('right', at(100)))
    assert brief(sync.add_main(at(100))) == brief(sync.add_main(at(100))) == [(100, {'right': 100}, [])]
    list(sync.add_companion('right', Stamped(40 * MS, 120 * MS, 40)))
    assert brief(sync.add_main(Stamped(40 * MS, 121 * MS, 40))) == [(40, {'right': 40}, [])]


def test_a_channel_that_fell_silent_is_waited_for_once():
    sync = Synchronizer(['depth'], tolerance_ns=20 * MS, wait_ns=500 * MS)
    list(sync.add_companion('depth', at(0)))
    assert brief(sync.add_main(at(0))) == [(0, {'depth': 0}, [])]
    waiting = [bundle for ms in range(100, 600, 100) for bundle in sync.add_main(at(ms))]
    assert not waiting
    assert [one[0] for one in brief(sync.add_main(at(600)))] == [100, 200, 300, 400, 500, 600]
    assert brief(sync.add_main(at(700))) == [(700, {}, ['depth'])]
    # It is back: from now on frames wait for it again.
    list(sync.add_companion('depth', at(800)))
    assert not list(sync.add_main(at(810)))
    assert brief(sync.add_companion('depth', at(812))) == [(810, {'depth': 812}, [])]


def test_a_pause_of_all_channels_is_nobody_s_silence():
    sync = Synchronizer(['right'], tolerance_ns=20 * MS, wait_ns=500 * MS)
    list(sync.add_companion('right', at(0)))
    list(sync.add_main(at(0)))
    assert not list(sync.add_main(at(5000)))
    assert brief(sync.add_companion('right', at(5001))) == [(5000, {'right': 5001}, [])]


def test_stereo_pairs_out_of_sync_are_no_pairs():
    """12 ms apart, depths of a turning camera are wrong; a depth camera's own stamps may be."""
    assert tolerance_s(0, 'stereo') == 0.005 and tolerance_s(0, 'rgbd') == 0.02 and tolerance_s(0.03, 'stereo') == 0.03
    sync = Synchronizer(['right'], round(tolerance_s(0, 'stereo') * 1e9))
    found = [bundle for ms in range(0, 1000, 100) for add in (
        sync.add_main(at(ms)), sync.add_companion('right', at(ms + 12))) for bundle in add]
    assert len(found) == 10 and all(one.missing == ['right'] for one in found)


def test_time_that_begins_anew_waits_for_companions_of_its_own():
    """A little (a reset in mid-bag) or far (a bag that begins again)."""
    for back in (200, 5000):
        sync = Synchronizer(['right'], tolerance_ns=5 * MS)
        list(sync.add_companion('right', at(back + 100)))
        assert len(list(sync.add_main(at(back + 100)))) == 1
        assert not list(sync.add_main(Stamped(100 * MS, (back + 200) * MS, 100)))
        found = sync.add_companion('right', Stamped(100 * MS, (back + 201) * MS, 100))
        assert brief(found) == [(100, {'right': 100}, [])]


def test_what_came_before_the_last_frame_is_of_the_past():
    """Time jumps ahead for one frame, and back to before others that are still kept."""
    sync = Synchronizer(['right'], tolerance_ns=5 * MS)
    for ms, log_ms in ((500, 500), (600, 600), (10_000, 700)):
        list(sync.add_companion('right', Stamped(ms * MS, log_ms * MS, ms)))
        assert len(list(sync.add_main(Stamped(ms * MS, log_ms * MS, ms)))) == 1
    assert not list(sync.add_main(Stamped(100 * MS, 800 * MS, 100)))
    found = sync.add_companion('right', Stamped(100 * MS, 801 * MS, 100))
    assert brief(found) == [(100, {'right': 100}, [])]


def test_a_rate_is_kept_evenly() -> None:
    """Of 30 frames a second 20 pass, not 15; of one that is slower all do, and time may begin anew."""
    limit, second = RateLimit(20.0), 10**9
    stamps = [second * i // 30 for i in range(301)]
    passed = [stamp for stamp in stamps if limit.passes(stamp)]
    assert 199 <= len(passed) <= 202
    assert all(map(RateLimit(20.0).passes, [second * i // 10 for i in range(50)]))
    assert limit.passes(0) and not limit.passes(second // 100)
    assert all(map(RateLimit(0.0).passes, stamps))
