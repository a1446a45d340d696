"""``superslam train``: magicpoint, label, superpoint, compact, superglue, supermap, charuco, charuco-refine, places."""

from __future__ import annotations

import argparse

from superslam_ros.cli.train import charuco, compact, label, places, superglue, supermap, superpoint


def add_subcommands(subparsers: argparse._SubParsersAction) -> None:
    """Add the stages as sub-commands; each sets ``handler``, a function of the parsed arguments."""
    superpoint.add_magicpoint(subparsers)
    label.add_label(subparsers)
    superpoint.add_superpoint(subparsers)
    compact.add_compact(subparsers)
    superglue.add_superglue(subparsers)
    supermap.add_supermap(subparsers)
    charuco.add_charuco(subparsers)
    places.add_places(subparsers)
