"""Stamps and frames of message headers."""

from __future__ import annotations

from types import SimpleNamespace

from superslam_ros import conversions


def test_stamps_of_both_ros_versions() -> None:
    assert conversions.stamp_ns(SimpleNamespace(sec=3, nanosec=5)) == 3_000_000_005
    assert conversions.stamp_ns(SimpleNamespace(sec=3, nsec=5)) == 3_000_000_005
    assert conversions.split_stamp(3_000_000_005) == (3, 5)


def test_frames_with_and_without_a_leading_slash_are_one() -> None:
    """ROS 1, old bags and bridges write /camera."""
    assert conversions.frame_id('/camera') == conversions.frame_id('camera') == 'camera'
    assert not conversions.unregistered('/camera', 'camera') and conversions.unregistered('/camera', '/depth')
