"""``superslam eval homography``: sequences with known homographies, or random views of photographs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from superslam_ros.cli import progress
from superslam_ros.cli.eval import front_ends, photographs
from superslam_ros.evaluation import homography, measures, report, sequences
from superslam_ros.evaluation.homography import PairResult
from superslam_ros.evaluation.sequences import Pair

FIGURES = {
    'repeatability': 'repeatability, 300 points, 240x320', 'localisation_px': 'localisation error, px',
    'repeatability_full': 'repeatability, 1000 points, 480x640',
    'localisation_full_px': 'localisation error, px ', 'descriptor_map': 'nearest-neighbour mAP',
    'matching_score': 'matching score', 'precision': 'precision of the matches', 'recall': 'recall of true matches',
    'homography_1px': 'homography within 1 px', 'homography_3px': 'homography within 3 px',
    'homography_5px': 'homography within 5 px', 'auc_ransac': 'homography AUC 10 px, RANSAC',
    'auc_dlt': 'homography AUC 10 px, DLT', 'calibration_error': 'calibration error of confidences',
    'keypoints': 'keypoints', 'matches': 'matches',
}
LOWER = tuple(title for title in FIGURES.values() if title.startswith(('localisation', 'calibration')))


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'measure keypoints, descriptors and homographies on sequences, or on random views of photographs'
    parser = subparsers.add_parser('homography', help=text, description=text)
    parser.add_argument('folders', type=Path, nargs='+', metavar='DIR',
                        help='sequences, folders of them, or photographs')
    parser.add_argument('--random', type=int, default=0, metavar='N',
                        help='the folders hold photographs: N random views of each')
    photographs.add_options(parser, 0)
    front_ends.add_options(parser)
    parser.set_defaults(handler=evaluate_homography)


def evaluate_homography(arguments: argparse.Namespace) -> int:
    """Measure front-ends on image pairs with known homographies."""
    ends = front_ends.from_arguments(arguments)
    if arguments.random < 0:
        raise ValueError(f'--random {arguments.random}: must be 0 or more')
    if not arguments.random and (arguments.held_out or arguments.limit):
        raise ValueError('--held-out and --limit are for photographs: give --random N, too')
    pairs = _random_pairs(arguments) if arguments.random else _sequence_pairs(arguments.folders)
    results: dict[str, dict[str, PairResult]] = {end.name: {} for end in ends}
    judged: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {end.name: [] for end in ends}
    distinct = report.Distinct()
    for pair, found in homography.evaluate(ends, pairs):
        H, title = pair.fitted(sequences.FULL).H_1_0, distinct(pair.name)
        for name, (result, matches) in found.items():
            results[name][title] = result
            judged[name].append((
                matches.scores, measures.right_matches(matches.keypoints0, matches.keypoints1, H)))
        if arguments.out:
            _picture(arguments.out, title, pair, found)
    if not all(results.values()):
        raise ValueError(f'no readable image pairs in {", ".join(map(str, arguments.folders))}')
    summaries = [homography.summarise(list(by_pair.values())) for by_pair in results.values()]
    calibrations = {name: measures.calibration(*map(np.concatenate, zip(*parts))) for name, parts in judged.items()}
    for summary, (error, _) in zip(summaries, calibrations.values()):
        summary['calibration_error'] = error
    rows = [[title, *(summary[key] for summary in summaries)] for key, title in FIGURES.items()]
    count = int(summaries[0]['pairs'])
    report.show(f'{count} pairs; points within 3 px are the same', ['', *results], rows, LOWER, across=True)
    if arguments.out:
        report.write_json(arguments.out / 'homography.json', {
            **front_ends.about(arguments), 'random': arguments.random, 'seed': arguments.seed,
            **homography.as_json(results),
            'calibration': {name: {'error': homography.plain({'': error})[''], 'bins': [*map(homography.plain, bins)]}
                            for name, (error, bins) in calibrations.items()}})
    return 0


def _sequence_pairs(folders: list[Path]) -> Iterator[Pair]:
    for folder in progress.track(sequences.find_sequences(folders), 'sequences'):
        yield from sequences.read_sequence(folder)


def _random_pairs(arguments: argparse.Namespace) -> Iterator[Pair]:
    for number, (name, image) in enumerate(photographs.read(arguments)):
        rng = np.random.default_rng([arguments.seed, number])
        yield from sequences.random_views(image, name, arguments.random, rng)


def _picture(out: Path, title: str, pair: Pair, found: dict) -> None:
    fitted = pair.fitted(sequences.FULL)
    rows = [
        report.draw_matches(fitted, matches, (
            f'{title}   {name}: {result.right} of {len(matches)} matches right, '
            f'homography off by {result.corner_error_px:.1f} px'))
        for name, (result, matches) in found.items()]
    report.write_picture(out / f'{title.replace(" ", "_")}.jpg', rows)
