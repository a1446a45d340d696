"""How long every stage takes, in one run: the paper's networks, SIFT and ORB beside ours, on the same frames.

Times of machines, and of one machine at different hours, do not compare; ratios within one run do. So everything that
is measured takes its turn on every frame, and the time of the paper's network on the image alone, in float32, is 1.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from superslam_ros.data import Features
from superslam_ros.evaluation.baselines import make_extractor
from superslam_ros.models import checkpoint, extractors, superglue, superpoint
from superslam_ros.models.folded import FoldedSuperGlue
from superslam_ros.models.superglue import SuperGlue
from superslam_ros.offline.demo import DemoOptions, render_frames
from superslam_ros.slam import SlamConfig, VisualOdometry
from superslam_ros.slam.extract import Extractor, pick_device
from superslam_ros.slam.match import Matcher

UNIT = "the paper's SuperPoint, network alone, float32"
WARM_UP = 2
_NINE = "matching, SuperGlue of the paper's nine rounds of 256 (random weights), float32"


@dataclass(frozen=True)
class SpeedOptions:
    """What is measured.

    ``frames`` are rendered, RGB-D, of ``size`` (width, height); ``threads`` of PyTorch and OpenCV.
    """

    size: tuple[int, int] = (640, 480)
    frames: int = 12
    threads: int = 1


@dataclass(frozen=True)
class Row:
    """What one stage takes: the median over the frames, in ms, and as a part of the unit."""

    name: str
    median_ms: float
    ratio: float


def measure(config: SlamConfig, options: SpeedOptions, on_frame: Callable[[], None] = lambda: None) -> list[Row]:
    """Measure extraction, matching and odometry.

    :param config: of ours; the paper's network, SIFT and ORB get as many keypoints.
    :param on_frame: called after every frame.
    :raises RuntimeError: when the device is not there.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    try:
        return _measure(config, options, on_frame)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _measure(config: SlamConfig, options: SpeedOptions, on_frame: Callable[[], None]) -> list[Row]:
    width, height = options.size
    odometry = VisualOdometry(config)
    of_image, of_pair = _extraction(config), _matching(config)
    times: dict[str, list[float]] = {}
    previous: tuple[Features, Features] | None = None
    demo = DemoOptions(frames=options.frames + WARM_UP, width=width, height=height)
    for number, (frame, _) in enumerate(render_frames(demo)):
        took = {name: _timed(work, frame.image) for name, work in of_image.items()}
        features = odometry.extractor.batch([frame.image])[0]
        if previous is not None:
            took.update({name: _timed(work, previous, features) for name, work in of_pair.items()})
        step = odometry.process(replace(frame, right_image=None, right_camera=None))
        if step is not None:
            took.update({f'odometry, {stage}': ms for stage, ms in step.timings_ms.items()})
            took['odometry, whole frame'] = sum(step.timings_ms.values())
        previous = features
        if number >= WARM_UP:
            for name, ms in took.items():
                times.setdefault(name, []).append(ms)
        on_frame()
    medians = {name: statistics.median(values) for name, values in times.items()}
    return [Row(name, ms, ms / medians[UNIT]) for name, ms in medians.items()]


def _extraction(config: SlamConfig) -> dict[str, Callable[[np.ndarray], object]]:
    """Return what is measured on one image."""
    device = pick_device(config.extractor.device)
    paper = replace(config.extractor, weights=str(checkpoint.shipped('superpoint')))
    network = extractors.load(paper.weights).to(device, memory_format=torch.channels_last)

    def alone(gray: np.ndarray) -> object:
        with torch.inference_mode():
            image = torch.from_numpy(gray)[None, None].to(device).float() / 255
            scores, _ = network(superpoint.pad_to_cells(image).contiguous(memory_format=torch.channels_last))
            return scores[0, 0, 0].item()       # waits for a GPU

    ours = Extractor(config.extractor)
    found: dict[str, Callable[[np.ndarray], object]] = {UNIT: alone, f'extraction, {ours.precision}': ours}
    if ours.precision in ('bfloat16', 'float16'):
        found['extraction, float32'] = Extractor(replace(config.extractor, precision='float32'))
    found["extraction, the paper's SuperPoint, float32"] = Extractor(replace(paper, precision='float32'))
    return {**found, 'extraction, SIFT': make_extractor('sift', config.extractor),
            'extraction, ORB': make_extractor('orb', config.extractor)}


def _matching(config: SlamConfig) -> dict[str, Callable[[Features, Features], object]]:
    """Return what is measured on two images."""
    nearest, glue = (Matcher(replace(config.matcher, matcher=name)) for name in ('nearest', 'superglue'))
    nine = Matcher(replace(config.matcher, matcher='superglue'))
    papers = SuperGlue(superglue.ROUNDS).eval().requires_grad_(False).to(glue.device)
    nine.network = FoldedSuperGlue(papers, torch.float32)
    return {'matching, nearest neighbours': nearest, 'matching, SuperGlue': glue, _NINE: nine}


def _timed(work: Callable, *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return (time.perf_counter() - start) * 1e3


def as_table(measured: dict[str, Sequence[Row]]) -> tuple[list[str], list[list]]:
    """Return columns and rows: by name, for every setting milliseconds and the ratio to the unit."""
    columns = ['stage', *(f'{setting}, {unit}' for setting in measured for unit in ('ms', 'x'))]
    names = dict.fromkeys(row.name for rows in measured.values() for row in rows)
    by_name = {setting: {row.name: row for row in rows} for setting, rows in measured.items()}
    return columns, [
        [name, *(value for setting in measured
                 for value in ((by_name[setting][name].median_ms, by_name[setting][name].ratio)
                               if name in by_name[setting] else (float('nan'),) * 2))]
        for name in names]


def frames_per_second(rows: Sequence[Row]) -> float:
    """Return how many frames of odometry a second has, one after the other."""
    return next(1e3 / row.median_ms for row in rows if row.name == 'odometry, whole frame')
