from dataclasses import replace

import numpy as np
import pytest

from superslam_ros.improve import checks


@pytest.fixture
def walk(strip):
    """Give a recording that is as it should be."""
    return strip(np.arange(0, 60, 0.25))


def test_a_good_recording_has_nothing_against_it(walk):
    assert checks.of_frames(walk.evidence) == ''
    assert checks.of_structure(walk.structure, np.ones(len(walk.structure.points), np.int8)) == ''


def test_what_is_wrong_with_frames_is_said(walk, strip):
    segment = np.where(np.arange(240) % 2, -1, 0)
    assert 'lost in 50% of its frames' in checks.of_frames(replace(walk.evidence, segment=segment))
    assert '99 of its frames have a pose, of 100' in checks.of_frames(strip(np.arange(99) / 4).evidence)
    few = strip(np.arange(0, 60, 0.25), density=0.1).evidence
    assert '15 keypoints' in checks.of_frames(few) and 'blurred' in checks.of_frames(few)


def test_what_is_wrong_with_points_is_said(walk):
    labels = np.ones(len(walk.structure.points), np.int8)
    still = replace(walk.structure, parallax_deg=np.full(len(labels), 0.2))
    assert 'hardly moves: 0% of the points' in checks.of_structure(still, labels)
    assert '0 points show that they are stable' in checks.of_structure(walk.structure, -labels)
    nothing = replace(walk.structure, points=np.full_like(walk.structure.points, np.nan))
    assert 'hardly moves' in checks.of_structure(nothing, labels)


def test_pairs_that_do_not_fit_are_said():
    assert checks.of_pairs(0.8) == '' and ' 3% of the keypoints' in checks.of_pairs(0.03)
