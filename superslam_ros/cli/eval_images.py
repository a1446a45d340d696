"""``superslam eval``: homography, shapes, sweep; and what all evaluations of front-ends have in common."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.progress import track

from superslam_ros import config as configuration
from superslam_ros.evaluation import baselines, homography, measures, report, sequences, shapes, sweep
from superslam_ros.evaluation.homography import FrontEnd, PairResult
from superslam_ros.evaluation.sequences import Pair
from superslam_ros.slam.extract import ExtractorConfig
from superslam_ros.slam.match import MatcherConfig, warn_of_strangers

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


def add_subcommands(subparsers: argparse._SubParsersAction) -> None:
    """Add the evaluations as sub-commands; each sets ``handler``, a function of the parsed arguments."""
    _add_homography(subparsers)
    _add_shapes(subparsers)
    _add_sweep(subparsers)


def _add_homography(subparsers: argparse._SubParsersAction) -> None:
    text = 'measure keypoints, descriptors and homographies on sequences, or on random views of photographs'
    parser = subparsers.add_parser('homography', help=text, description=text)
    parser.add_argument('folders', type=Path, nargs='+', metavar='DIR',
                        help='sequences, folders of them, or photographs')
    parser.add_argument('--random', type=int, default=0, metavar='N',
                        help='the folders hold photographs: N random views of each')
    _add_photographs(parser, 0)
    add_front_end(parser)
    parser.set_defaults(handler=evaluate_homography)


def _add_photographs(parser: argparse.ArgumentParser, limit: int) -> None:
    parser.add_argument('--held-out', action='store_true', help='only the photographs that training holds out')
    parser.add_argument('--limit', type=int, default=limit, metavar='N',
                        help=f'at most N photographs, 0 for all (default {limit})')
    parser.add_argument('--seed', type=int, default=0, help='of the views (default 0)')


def add_front_end(parser: argparse.ArgumentParser, names: Sequence[str] = baselines.NAMES) -> None:
    """Add the options that every evaluation of front-ends has."""
    parser.add_argument('--features', default=','.join(names), metavar='NAMES',
                        help=f'front-ends, separated by commas (default {",".join(names)}); superglue: '
                             'SuperPoint with the attention network in place of mutual nearest neighbours; '
                             'NAME-ratio: with a ratio test of 0.8 besides')
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='SuperPoint weights; default: the shipped ones')
    parser.add_argument('--threshold', type=float, default=ExtractorConfig.threshold, metavar='P',
                        help=f'lowest confidence of a SuperPoint keypoint (default {ExtractorConfig.threshold})')
    parser.add_argument('--refine', choices=('none', 'scores', 'corners'), default=ExtractorConfig.refine,
                        help=f'sub-pixel positions of SuperPoint keypoints (default {ExtractorConfig.refine})')
    parser.add_argument('--octaves', type=int, default=ExtractorConfig.octaves, metavar='N',
                        help='image sizes that SuperPoint searches, each half of the one before '
                             f'(default {ExtractorConfig.octaves})')
    parser.add_argument('--superglue-weights', default='', metavar='FILE',
                        help='SuperGlue weights; default: the shipped ones')
    parser.add_argument('--match-threshold', type=float, default=MatcherConfig.match_threshold, metavar='P',
                        help=f'lowest confidence of a SuperGlue match (default {MatcherConfig.match_threshold})')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for JSON and pictures')


def used_weights(arguments: argparse.Namespace) -> dict[str, str]:
    """Return for the JSON which weights the front-ends have."""
    return {name: getattr(arguments, name) or 'shipped' for name in ('weights', 'superglue_weights')}


def front_ends(arguments: argparse.Namespace) -> list[FrontEnd]:
    """Return the front-ends that were asked for.

    :raises ValueError: for an unknown name, or a value out of its range.
    """
    config = configuration.build(ExtractorConfig, {
        'weights': arguments.weights, 'device': arguments.device, 'threshold': arguments.threshold,
        'octaves': arguments.octaves, 'refine': arguments.refine})
    names = [name.strip() for name in arguments.features.split(',')]
    superglue = configuration.build(MatcherConfig, {
        'matcher': 'superglue', 'weights': arguments.superglue_weights, 'device': arguments.device,
        'match_threshold': arguments.match_threshold})
    shared: dict = {}
    ends = [FrontEnd(name, config, superglue if name == 'superglue' else None, shared) for name in names]
    if 'superglue' in names:
        warn_of_strangers(config, superglue)
    return ends


def evaluate_homography(arguments: argparse.Namespace) -> int:
    """Measure front-ends on image pairs with known homographies."""
    ends = front_ends(arguments)
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
            **used_weights(arguments), 'random': arguments.random, 'seed': arguments.seed,
            **homography.as_json(results),
            'calibration': {name: {'error': homography.plain({'': error})[''], 'bins': [*map(homography.plain, bins)]}
                            for name, (error, bins) in calibrations.items()}})
    return 0


def _add_shapes(subparsers: argparse._SubParsersAction) -> None:
    text = 'measure MagicPoint beside FAST, Harris and Shi-Tomasi on synthetic shapes (SuperPoint, Table 5)'
    parser = subparsers.add_parser('shapes', help=text, description=text)
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='MagicPoint or SuperPoint weights; default: the shipped MagicPoint')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--refine', choices=('none', 'scores', 'corners'), default='corners',
                        help='sub-pixel positions of MagicPoint (default corners); but for none, the others get those '
                             'of cornerSubPix')
    parser.add_argument('--count', type=int, default=500, metavar='N', help='images (default 500)')
    parser.add_argument('--seed', type=int, default=1, help='of shapes and noise (default 1)')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the JSON')
    parser.set_defaults(handler=evaluate_shapes)


def evaluate_shapes(arguments: argparse.Namespace) -> int:
    """Measure corner detectors on synthetic shapes, clean and noisy."""
    if arguments.count < 1:
        raise ValueError(f'--count {arguments.count}: must be 1 or more')
    found_by = shapes.detectors(arguments.weights, arguments.device, arguments.refine)
    results = {title: shapes.evaluate(found_by, arguments.count, arguments.seed, title == 'noisy')
               for title in track(('clean', 'noisy'), description='shapes', transient=True)}
    rows = [[name, *(results[title][name][key] for key in ('map', 'localisation_px') for title in results)]
            for name in found_by]
    columns = ['detector', 'mAP clean', 'mAP noisy', 'error clean, px', 'error noisy, px']
    report.show(f'{arguments.count} synthetic shapes of 120x160, corners within 4 px', columns, rows, columns[3:])
    if arguments.out:
        report.write_json(arguments.out / 'shapes.json', {
            'weights': arguments.weights or 'shipped', 'refine': arguments.refine, 'count': arguments.count,
            'seed': arguments.seed,
            **{title: {name: homography.plain(figures) for name, figures in by_name.items()}
               for title, by_name in results.items()}})
    return 0


def _add_sweep(subparsers: argparse._SubParsersAction) -> None:
    text = 'measure what rotation, scale, darkness and noise do to matches on photographs'
    parser = subparsers.add_parser('sweep', help=text, description=text)
    parser.add_argument('folders', type=Path, nargs='+', metavar='DIR', help='photographs')
    _add_photographs(parser, 20)
    add_front_end(parser)
    parser.set_defaults(handler=evaluate_sweep)


def evaluate_sweep(arguments: argparse.Namespace) -> int:
    """Measure front-ends under one change at a time."""
    ends = front_ends(arguments)
    images = photographs(arguments.folders, arguments.held_out, arguments.limit)
    results = sweep.evaluate(ends, images, arguments.seed)
    for title, by_name in results.items():
        rows = [[f'{level:g}', *(f'{levels[level].matching_score:.3f} / {levels[level].homography_3px:.2f}'
                                 for levels in by_name.values())] for level in sweep.SWEEPS[title]]
        report.show(f'{title}: matching score / homography within 3 px', [title, *by_name], rows)
    if arguments.out:
        report.write_json(arguments.out / 'sweep.json', {
            **used_weights(arguments), 'seed': arguments.seed,
            **{title: {name: {f'{level:g}': homography.plain(asdict(figures)) for level, figures in levels.items()}
                       for name, levels in by_name.items()} for title, by_name in results.items()}})
    return 0


def _sequence_pairs(folders: list[Path]) -> Iterator[Pair]:
    for folder in track(sequences.find_sequences(folders), description='sequences', transient=True):
        yield from sequences.read_sequence(folder)


def photographs(folders: list[Path], held_out: bool, limit: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and (H, W) uint8 image of the readable photographs below folders."""
    # The one thing evaluation takes from training: which photographs it has not seen.
    from superslam_ros.training.data import photos
    if limit < 0:
        raise ValueError(f'--limit {limit}: must be 0 or more')
    paths = photos.find(folders)
    if held_out:
        paths = photos.split(paths)[1]
    for path in track(paths[:limit or None], description='photographs', transient=True):
        image = photos.read_gray(path)
        if image is not None:
            yield path.stem, image


def _random_pairs(arguments: argparse.Namespace) -> Iterator[Pair]:
    images = photographs(arguments.folders, arguments.held_out, arguments.limit)
    for number, (name, image) in enumerate(images):
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
