"""``superslam map info``: what is in a map."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'what is in a map: sessions, cameras, keyframes, landmarks, loops, weights'
    parser = subparsers.add_parser('info', help=text, description=text)
    parser.add_argument('map', type=Path)
    parser.set_defaults(handler=info)


def info(arguments: argparse.Namespace) -> int:
    """Print what the file says of its map."""
    from superslam_ros.maps import storage, unplaced

    about = storage.describe(arguments.map)
    print(f'{arguments.map}: version {about.version}, {about.bytes / 1e6:.1f} MB')
    print(f'{about.keyframes} keyframes, {about.landmarks} landmarks, {about.edges} edges, {about.loops} of them loops')
    print(f'lengths are in {"metres" if about.metric else "a unit of its own (one camera without scale)"}')
    for pinhole, (width, height) in about.cameras:
        print(f'camera: {width}x{height}, focal length {pinhole.fx:.1f} px')
    for session in about.sessions:
        camera = '' if session.metric else ', of one camera without scale'
        print(f'session {session.id}: {session.name}, from {session.start_ns * 1e-9:.3f} s{camera}')
    for weights in sorted({session.weights for session in about.sessions if session.weights}):
        print(f'weights of SuperPoint: {weights}')
    if beside := unplaced.files(arguments.map):
        print(unplaced.advice(beside))
    return 0
