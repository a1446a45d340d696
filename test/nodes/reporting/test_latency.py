"""How old frames are, by which clock."""

from types import SimpleNamespace

import pytest

from superslam_ros.nodes.reporting import latency
from superslam_ros.nodes.reporting.latency import Latencies
from superslam_ros.sync import Stamped

NOW_S = 2000


@pytest.fixture
def values(monkeypatch):
    """Return what is told of frames of some ages (s), each received 5 ms before it is published."""
    monkeypatch.setattr(latency.time, 'monotonic_ns', lambda: 105_000_000)

    def values(ages_s, simulated=False):
        clock = SimpleNamespace(ros_time_is_active=simulated, now=lambda: SimpleNamespace(nanoseconds=NOW_S * 10**9))
        latencies = Latencies(clock)
        for age_s in ages_s:
            latencies.add(Stamped(NOW_S * 10**9 - round(age_s * 1e9), 100_000_000, None))
        return latencies.values()

    return values


@pytest.mark.parametrize('simulated, clock', [(False, 'system time'), (True, 'simulated time (/clock)')])
def test_median_and_p95_of_the_last_frames(values, simulated, clock):
    ages = [30.0, *(0.010 + 0.001 * number for number in range(100))]   # the first one is forgotten
    assert values(ages, simulated) == {
        'latency clock': clock,
        'latency since stamp, median (ms)': '59.5', 'latency since stamp, p95 (ms)': '104.0',
        'latency since receipt, median (ms)': '5.0', 'latency since receipt, p95 (ms)': '5.0'}


@pytest.mark.parametrize('age_s, told', [
    (-0.25, '0.250 s ahead of system time'), (61, '61 s behind system time'), (-1.7e9, 's ahead of system time')])
def test_a_stamp_of_another_clock_is_no_latency(values, age_s, told):
    found = values([age_s] * 3)
    clock = found['latency clock']
    assert clock.startswith('the stamps are of another one: ') and clock.endswith(told)
    assert 'latency since stamp, median (ms)' not in found
    assert found['latency since receipt, median (ms)'] == '5.0'


def test_without_frames_there_is_nothing_to_tell(values):
    assert values([]) == {}
