"""``superslam map``: one module for each of its commands."""

from __future__ import annotations

import argparse

from superslam_ros.cli.map import build, export, info, localize, merge, view


def add_subcommands(subparsers: argparse._SubParsersAction) -> None:
    """Add all commands; each sets ``handler``, a function of the parsed arguments."""
    for command in (build, info, localize, merge, export, view):
        command.add(subparsers)
