"""``superslam charuco``: one module for each of its commands."""

from __future__ import annotations

import argparse

from superslam_ros.cli.charuco import board, calibrate, detect, evaluate


def add_subcommands(subparsers: argparse._SubParsersAction) -> None:
    """Add all commands; each sets ``handler``, a function of the parsed arguments."""
    for command in (board, calibrate, detect, evaluate):
        command.add(subparsers)
