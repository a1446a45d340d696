"""Options of the evaluations that compare front-ends, and the front-ends they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from superslam_ros import config as configuration
from superslam_ros.evaluation import baselines
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.offline.provenance import provenance
from superslam_ros.slam.extract import ExtractorConfig
from superslam_ros.slam.match import MatcherConfig, warn_of_strangers


def add_options(parser: argparse.ArgumentParser, names: Sequence[str] = baselines.NAMES, pictures: bool = True) -> None:
    """Add the options that every evaluation of front-ends has; ``pictures``: whether there are any beside the JSON."""
    parser.add_argument('--features', default=','.join(names), metavar='NAMES',
                        help=f'front-ends, separated by commas (default {",".join(names)}); superglue: '
                             'SuperPoint with the attention network in place of mutual nearest neighbours; '
                             'NAME-ratio: with a ratio test of 0.8 besides')
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='SuperPoint weights; default: the shipped ones')
    parser.add_argument('--threshold', type=float, default=ExtractorConfig.threshold, metavar='P',
                        help=f'lowest confidence of a SuperPoint keypoint (default {ExtractorConfig.threshold})')
    parser.add_argument('--refine', choices=('none', 'scores', 'corners', 'harris'), default=ExtractorConfig.refine,
                        help=f'sub-pixel positions of SuperPoint keypoints (default {ExtractorConfig.refine})')
    parser.add_argument('--octaves', type=int, default=ExtractorConfig.octaves, metavar='N',
                        help='image sizes that SuperPoint searches, each half of the one before '
                             f'(default {ExtractorConfig.octaves})')
    parser.add_argument('--superglue-weights', default='', metavar='FILE',
                        help='SuperGlue weights; default: the shipped ones')
    parser.add_argument('--match-threshold', type=float, default=MatcherConfig.match_threshold, metavar='P',
                        help=f'lowest confidence of a SuperGlue match (default {MatcherConfig.match_threshold})')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--out', type=Path, metavar='DIR',
                        help='folder for JSON and pictures' if pictures else 'folder for the JSON')


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return for the JSON what the figures were made with: version, weights, and the command line."""
    weights = {}
    if 'super' in arguments.features:       # SuperGlue takes SuperPoint's
        weights['superpoint'] = arguments.weights
    if 'superglue' in arguments.features:
        weights['superglue'] = arguments.superglue_weights
    return {**provenance(weights), 'command': arguments.command_line}


def from_arguments(arguments: argparse.Namespace) -> list[FrontEnd]:
    """Return the front-ends that were asked for.

    :raises ValueError: for an unknown name, or a value out of its range.
    """
    config = configuration.build(ExtractorConfig, {
        'weights': arguments.weights, 'device': arguments.device, 'threshold': arguments.threshold,
        'octaves': arguments.octaves, 'refine': arguments.refine})
    names = [name.strip() for name in arguments.features.split(',')]
    known = ('superglue', *baselines.NAMES)
    for name in names:
        if name.removesuffix('-ratio') not in known or name == 'superglue-ratio':
            raise ValueError(f'--features: {name!r} is not one of {", ".join(known)}, or NAME-ratio of the last three')
    superglue = configuration.build(MatcherConfig, {
        'matcher': 'superglue', 'weights': arguments.superglue_weights, 'device': arguments.device,
        'match_threshold': arguments.match_threshold})
    shared: dict = {}
    ends = [FrontEnd(name, config, superglue if name == 'superglue' else None, shared) for name in names]
    if 'superglue' in names:
        warn_of_strangers(config, superglue)
    return ends
