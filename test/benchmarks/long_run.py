"""A long walk through a rendered room: does the cost per frame, or the memory, grow?

    python test/benchmarks/long_run.py --frames 10000 --out OUT

writes OUT/long_run.csv and OUT/long_run.png, and prints the last tenth as a ratio to the second one. Time counts as a
multiple of what the other stages take for the same frames: that cannot grow, and a busy machine slows down both.
"""

from __future__ import annotations

import argparse
import csv
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from superslam_ros import worlds
from superslam_ros.data import Frame
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.baselines import NAMES, make_extractor
from superslam_ros.slam import SlamConfig, VisualOdometry

RATE_HZ = 20.0
COLUMNS = ('frame', 'motion_ms', 'total_ms', 'memory_mb', 'keyframes', 'landmarks')


def frames(count: int, seed: int = 0) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yield RGB-D frames of an endless loop through the demo's room, with T_world_camera."""
    world, camera = worlds.room_world(seed), worlds.stereo_pair()[0]
    photometry = worlds.Photometry(worlds.PhotometryConfig(seed=seed))
    stamps = worlds.stamps(count, RATE_HZ)
    for index, pose in enumerate(worlds.demo_trajectory(count, RATE_HZ, seed)):
        seen = worlds.render(world, camera, pose, supersample=1)
        image = photometry(seen.image, index, 0)
        yield Frame(int(stamps[index]), image, camera, depth_m=seen.depth_m), pose


def memory_mb() -> float:
    """Return the resident memory of this process."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def run(count: int, features: str, seed: int) -> tuple[np.ndarray, trajectory.TrajectoryError, int]:
    """Return one row of COLUMNS per frame, the trajectory's error, and how many frames were lost."""
    config = SlamConfig()
    odometry = VisualOdometry(config, make_extractor(features, config.extractor))
    rows, stamps, estimated, true, lost = [], [], [], [], 0
    start = time.monotonic()
    for index, (frame, pose) in enumerate(frames(count, seed)):
        step = odometry.process(frame)
        local_map = odometry.motion.map
        rows.append((index, step.timings_ms['motion'], sum(step.timings_ms.values()), memory_mb(),
                     len(local_map.keyframes), len(local_map.landmarks)))
        stamps.append(frame.stamp_ns)
        estimated.append(step.motion.T_odom_camera)
        true.append(pose)
        lost += int(step.motion.state) == 2
        if index % 500 == 499:
            print(f'{index + 1} frames, {time.monotonic() - start:.0f} s, {rows[-1][3]:.0f} MB', flush=True)
    return np.array(rows), trajectory.compare(stamps, np.array(estimated), stamps, np.array(true)), lost


def draw(path: Path, rows: np.ndarray, title: str) -> None:
    """Plot time and memory over the frames."""
    figure = Figure(figsize=(9, 5), dpi=110, layout='constrained')
    above, below = figure.subplots(2, 1, sharex=True)
    block = max(1, len(rows) // 200)
    cut = rows[:len(rows) // block * block].reshape(-1, block, rows.shape[1])
    others = cut[..., 2] - cut[..., 1]
    above.plot(cut[:, 0, 0], cut[..., 1].mean(1) / others.mean(1), linewidth=1, label=f'mean of {block} frames')
    above.plot(cut[:, 0, 0], np.median(cut[..., 1], axis=1) / np.median(others, axis=1), label='median')
    above.set_ylabel('time of the motion stage /\ntime of extraction and matching')
    above.set_ylim(0)
    above.legend(fontsize='small')
    above.set_title(title)
    below.plot(rows[:, 0], rows[:, 3], label='resident memory, MB')
    below.set_ylabel('MB')
    below.set_ylim(0)
    below.set_xlabel('frame')
    for axes in (above, below):
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--frames', type=int, default=10000)
    parser.add_argument('--features', choices=NAMES, default='sift')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, required=True)
    options = parser.parse_args()
    rows, error, lost = run(options.frames, options.features, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / 'long_run.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(np.round(rows, 2).tolist())
    tenth = max(1, len(rows) // 10)
    early, late = rows[tenth:2 * tenth].mean(0), rows[-tenth:].mean(0)
    early_cost, late_cost = (part[1] / (part[2] - part[1]) for part in (early, late))
    summary = (f'{len(rows)} RGB-D frames with {options.features}: {lost} lost, ATE {error.ate_rmse_m:.3f} m over '
               f'{error.true_path_m:.0f} m, last tenth to second tenth: motion x '
               f'{late_cost / early_cost:.2f}, memory x {late[3] / early[3]:.2f}')
    draw(options.out / 'long_run.png', rows, summary)
    print(summary)


if __name__ == '__main__':
    main()
