"""Stamps and frames of message headers."""

from __future__ import annotations

from typing import Any

NS = 1_000_000_000


def stamp_ns(stamp: Any) -> int:
    """Return a builtin_interfaces/Time, or a ROS 1 time, as integer nanoseconds."""
    nanoseconds = stamp.nanosec if hasattr(stamp, 'nanosec') else stamp.nsec
    return int(stamp.sec) * NS + int(nanoseconds)


def split_stamp(stamp: int) -> tuple[int, int]:
    """Return (seconds, nanoseconds) of integer nanoseconds."""
    return divmod(int(stamp), NS)


def frame_id(name: str) -> str:
    """Return a frame's name as TF knows it: ROS 1, old bags and bridges write ``/camera`` for ``camera``."""
    return name.lstrip('/')



def unregistered(image_frame: str, depth_frame: str) -> str:
    """Return what to say of depth that seems not to be registered to the image, or nothing."""
    if not image_frame or not depth_frame or frame_id(image_frame) == frame_id(depth_frame):
        return ''
    return (f'the depth is of frame {depth_frame}, the image of {image_frame}: unless it is registered to the image '
            "all the same, take the driver's registered depth, or register it (depth_image_proc)")
