"""``superslam eval``: one module for each of its commands."""

from __future__ import annotations

import argparse

from superslam_ros.cli.eval import (
    bag,
    homography,
    imu,
    labels,
    loops,
    matchers,
    odometry,
    pose,
    relocalization,
    shapes,
    speed,
    sweep,
    wheels,
)


def add_subcommands(subparsers: argparse._SubParsersAction) -> None:
    """Add all evaluations; each sets ``handler``, a function of the parsed arguments."""
    for command in (homography, shapes, sweep, pose, odometry, bag, speed, loops, relocalization, matchers,
                    labels, imu, wheels):
        command.add(subparsers)
