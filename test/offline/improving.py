"""A short walk through the rendered room for `superslam improve`, which is asked for less; also in other processes."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.bags.writer import BagWriter
from superslam_ros.evaluation import general, pose_pairs
from superslam_ros.improve import checks
from superslam_ros.improve.split import SplitConfig
from superslam_ros.models import precision
from superslam_ros.offline import judging, refit
from superslam_ros.offline.improve import ImproveOptions, improve
from superslam_ros.offline.judging import Watch
from superslam_ros.training import loop
from superslam_ros.training.stages import improve as learning

FRAMES = 100
OPTIONS = ImproveOptions(
    steps=2, batch=4, device='cpu', block_s=0.25, most_pairs=12,
    split=SplitConfig(fewest_frames=8, common=0.6, view_s=0.3))


def ask_for_less(patch):
    """Ask for less, and measure less."""
    for name, value in (('FEWEST_FRAMES', 40), ('FEWEST_KEYPOINTS', 40), ('FEWEST_STABLE', 20)):
        patch.setattr(checks, name, value)
    patch.setattr(pose_pairs, 'ORDERS', 1)
    patch.setattr(judging, 'SHARES', (1.0,))
    patch.setattr(learning, '_VALIDATED', 4)
    patch.setattr(precision, 'native_bfloat16', lambda: False)
    noise = np.random.default_rng(0).integers(0, 255, (30, 40), np.uint8)
    patch.setattr(general, 'rendered', lambda: iter([('a', cv2.resize(noise, (160, 120)))]))


def walk_through(room):
    """Return frames of a slow walk, 160x120 with depth, and their true poses."""
    poses = worlds.demo_trajectory(2 * FRAMES, 30.0)[::2]
    photometry = worlds.Photometry(worlds.LIGHTS['day'])
    return list(worlds.Recording(room, poses, 10.0, photometry, worlds.pinhole(160, 120)))


def write(folder, frames, calibrated=True):
    """Write a bag of images with depth."""
    make = Messages(typestore())
    with BagWriter(folder, make.store) as writer:
        for frame in frames:
            if calibrated:
                writer.write('/camera/camera_info', frame.stamp_ns, make.camera_info(frame.stamp_ns, frame.camera))
            writer.write('/camera/image_rect', frame.stamp_ns, make.image(frame.stamp_ns, 'camera', frame.image))
            writer.write('/camera/depth/image_rect', frame.stamp_ns, make.image(
                frame.stamp_ns, 'camera', np.rint(np.nan_to_num(frame.depth_m) * 1000).astype(np.uint16)))
    return folder


def run_until(bag, out, point):
    """Run `superslam improve` in this process, which SIGKILL ends at a point: in a stage, or after a step of training.

    Where there is no such point, print the report.
    """
    steps = 0

    def start(name, _):
        nonlocal steps
        steps = 0
        watched['name'] = name

    def step():
        nonlocal steps
        steps += 1
        if watched['name'] == point and steps == 2:      # in the middle of it
            os.kill(os.getpid(), signal.SIGKILL)

    def trained(run, made=loop._Run.step_once):
        made(run)
        run.save()
        if point == f'step {run.step}':
            os.kill(os.getpid(), signal.SIGKILL)

    def torn(folder, partial, made=refit.take_over):
        made(folder, partial)
        if point == 'weights':
            partial.write_bytes(partial.read_bytes()[:100])
            os.kill(os.getpid(), signal.SIGKILL)

    watched = {}
    with pytest.MonkeyPatch.context() as patch:
        ask_for_less(patch)
        patch.setattr(loop._Run, 'step_once', trained)
        patch.setattr(refit, 'take_over', torn)
        print(json.dumps(improve([Path(bag)], Path(out), replace(OPTIONS, steps=3), Watch(start, step))))
