"""Pairs of frames of a recording: keypoints are where the other view shows the same point, or are not seen."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.training.data import evidence_frames
from superslam_ros.training.data.evidence_frames import STABLE, UNSTABLE
from superslam_ros.training.data.evidence_pairs import EvidencePairs
from superslam_ros.training.random import Rng
from training.recorded import Recorded

VIEW = (64, 80)
CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def few_keypoints(monkeypatch):
    monkeypatch.setattr(evidence_frames, 'KEYPOINTS', 96)


@pytest.fixture(scope='module')
def recorded():
    return Recorded()


def gray(images, points):
    size = points.new_tensor([images.shape[3], images.shape[2]])
    grid = ((2 * points + 1) / size - 1)[:, None]
    return torch.nn.functional.grid_sample(images, grid, align_corners=False)[:, 0, 0]


def larger(recorded):
    """Turn a recording into one of another camera: twice as many pixels each way, less a column at the right."""
    recorded.images = [cv2.resize(image, None, fx=2, fy=2)[:, :-1] for image in recorded.images]
    recorded._depths = [depth.repeat(2, 0).repeat(2, 1)[:, :-1] for depth in recorded._depths]
    camera = recorded.pinhole
    recorded.pinhole = Pinhole(2 * camera.fx, 2 * camera.fy, 2 * camera.cx + 0.5, 2 * camera.cy + 0.5)
    recorded.pixels = 2 * recorded.pixels + np.float32(0.5)
    return recorded


@pytest.mark.parametrize('recordings', [
    lambda: [Recorded()], lambda: [Recorded(False)], lambda: [Recorded(), larger(Recorded(seed=1))],
], ids=['depth', 'one camera', 'two cameras'])
def test_a_keypoint_looks_the_same_where_it_is_in_the_other_view(recordings):
    views = EvidencePairs([one.part() for one in recordings()], VIEW, CPU).draw(24, Rng(0))
    assert views.images.shape == (48, 1, *VIEW)
    assert views.seen.float().mean() > 0.1
    here, there = gray(views.images, views.keypoints), gray(views.images.roll(24, 0), views.there)
    apart = (here - there).abs()[views.seen]
    elsewhere = (here - there.roll(1, 1)).abs()[views.seen & views.seen.roll(1, 1)]
    assert apart.median() < 0.03                            # views differ in scale, and edges are sharp
    assert apart.median() < 0.4 * elsewhere.median()


def test_pairs_reach_beyond_the_end_of_tracks(recorded):
    """A point whose track has only its first frame is seen in others, too."""
    part = recorded.part()
    keep = part.tracks.first[:-1][np.diff(part.tracks.first) > 0]
    short = type(part.tracks)(first=np.minimum(np.searchsorted(keep, part.tracks.first), len(keep)),
                              frame=part.tracks.frame[keep], keypoint=part.tracks.keypoint[keep])
    views = EvidencePairs([dataclasses.replace(part, tracks=short)], VIEW, CPU).draw(16, Rng(0))
    assert (views.seen & (views.labels == STABLE)).any()


def test_what_is_unstable_has_a_label_and_no_place(recorded):
    labels = np.full(len(recorded.structure.points), STABLE, np.int8)
    labels[::3] = UNSTABLE
    views = EvidencePairs([recorded.part(labels=labels)], VIEW, CPU).draw(16, Rng(0))
    unstable = views.real & (views.labels == UNSTABLE)
    assert 0.2 < unstable.sum() / views.real.sum() < 0.5
    assert not (views.seen & unstable).any()
    assert (views.seen & (views.labels == STABLE)).any()


def test_what_something_hides_is_not_seen(recorded):
    """A wall in front of the camera in every other frame."""
    wall = Recorded()
    wall._depths = [np.full_like(depth, 0.2) if number % 2 else depth for number, depth in enumerate(wall._depths)]
    wall.depth_m[:] = np.nan
    pairs = EvidencePairs([wall.part()], VIEW, CPU)
    assert (pairs._parts[0].pairs % 2 == 0).all()


def test_only_frames_that_are_related_make_pairs(recorded, monkeypatch):
    whole = EvidencePairs([recorded.part()], VIEW, CPU)
    held = recorded.part(frames=np.arange(10) < 6)
    assert len(EvidencePairs([held], VIEW, CPU)) < len(whole)
    split = Recorded()
    split.segment = np.array([0] * 5 + [1] * 5)
    frames = EvidencePairs([split.part()], VIEW, CPU)._parts[0].pairs
    assert len(frames) and (frames[:, 0] // 5 == frames[:, 1] // 5).all()
    both = EvidencePairs([held, split.part()], VIEW, CPU)
    assert both.draw(8, Rng(0)).images.shape == (16, 1, *VIEW)


def test_far_frames_make_pairs_where_they_share_tracks(recorded, monkeypatch):
    monkeypatch.setattr('superslam_ros.training.data.evidence_pairs.REACH', 1)
    monkeypatch.setattr('superslam_ros.training.data.evidence_pairs.SHARED', 5)
    part = recorded.part()
    frames = EvidencePairs([part], VIEW, CPU)._parts[0].pairs
    assert ((frames[:, 0] - frames[:, 1]).abs() > 1).any()
    apart = type(part.tracks)(first=np.arange(len(part.tracks.frame) + 1), frame=part.tracks.frame,
                              keypoint=part.tracks.keypoint)
    lone = dataclasses.replace(
        part, tracks=apart, labels=np.ones(len(apart.frame), np.int8),
        structure=type(apart)(T_world_camera=recorded.T_world_camera, points=np.repeat(
            recorded.structure.points, np.diff(part.tracks.first), 0)))
    frames = EvidencePairs([lone], VIEW, CPU)._parts[0].pairs
    assert ((frames[:, 0] - frames[:, 1]).abs() <= 1).all()


def test_a_long_recording_is_thinned_evenly(recorded):
    frames, = evidence_frames.gather([recorded.part()], most=5)
    assert frames.number.tolist() == [0, 2, 4, 6, 8]


def test_too_little_to_train_on_is_refused(recorded):
    with pytest.raises(ValueError, match='room: 1 frames'):
        EvidencePairs([recorded.part(frames=np.arange(10) == 3)], VIEW, CPU)
    still = Recorded()
    still.T_world_camera = still.structure.T_world_camera = np.repeat(still.T_world_camera[:1], 10, 0)
    still._depths, still.images = still._depths[:1] * 10, still.images[:1] * 10
    with pytest.raises(ValueError, match='stood still'):
        EvidencePairs([still.part()], VIEW, CPU)
