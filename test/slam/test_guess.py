"""A guess from wheels: what it says, how sure it is of it, and what the odometry makes of it."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from points import PERIOD_NS, PointWorld, Walk, trajectory

from superslam_ros.data import TrackingState
from superslam_ros.geometry.pose import (
    T_BODY_OPTICAL,
    carry_covariance,
    compose,
    difference,
    inverse,
    rotate_covariance,
    rotation_exp,
)
from superslam_ros.slam.guess import GuessConfig, OdometryGuess

MOUNT = compose(rotation_exp([0.02, 0.1, 0.2]), [0.3, -0.1, 0.5]) @ T_BODY_OPTICAL
EXACT = GuessConfig(distance_sigma=0.0, heading_sigma=0.0, turn_sigma=0.0)
STEP = np.diag([0.01, 0.002, 0.001, 0.001, 0.001, 0.006])**2
"""Covariance of the error of a step of the wheels."""


def wheels(
    poses: list[np.ndarray], seed: int | None = 0, scale: float = 1.0, stated: str = 'pose',
    config: GuessConfig | None = None,
) -> OdometryGuess:
    """Return the wheels of a base that carries a camera (MOUNT) along T_odom_camera, with random errors of ``STEP``.

    :param stated: pose, velocity or none: which covariance they have.
    """
    random = np.random.default_rng(seed)
    guess, T, covariance = OdometryGuess(config, MOUNT), np.eye(4), np.zeros((6, 6))
    for i, pose in enumerate(poses):
        if i:
            step = MOUNT @ inverse(poses[i - 1]) @ pose @ inverse(MOUNT)
            step[:3, 3] *= scale
            error = np.zeros(6) if seed is None else np.sqrt(np.diag(STEP)) * random.normal(size=6)
            noisy = compose(rotation_exp(error[3:]) @ step[:3, :3], step[:3, 3] + error[:3])
            covariance = carry_covariance(covariance, T[:3, :3] @ noisy[:3, 3])
            covariance = covariance + rotate_covariance(T[:3, :3], STEP)
            T = T @ noisy
        guess.add((i + 1) * PERIOD_NS, T, covariance if stated == 'pose' else np.zeros((6, 6)),
                  STEP / (PERIOD_NS * 1e-9)**2 if stated == 'velocity' else None)
    return guess


def dark_walk(guess: OdometryGuess | None, poses: list[np.ndarray], dark: range, stereo: bool = True) -> list:
    """Return the motions of a walk with a covered lens."""
    walk = Walk(PointWorld.make(noise_px=0.3), stereo=stereo)
    walk.motion.predictor = guess
    return [walk.step(T, dark=i in dark) for i, T in enumerate(poses)]


def squared(motion, T) -> float:
    error = difference(motion.T_odom_camera, T)
    return float(error @ np.linalg.solve(motion.covariance, error))


def test_the_motion_is_that_of_the_camera_also_between_messages(caplog: pytest.LogCaptureFixture) -> None:
    poses = [compose(rotation_exp([0, 0, 0.02 * i]), [0.05 * i, 0, 0]) @ T_BODY_OPTICAL for i in range(12)]
    guess = wheels(poses, seed=None)
    found = guess.between(3 * PERIOD_NS, 9 * PERIOD_NS)
    np.testing.assert_allclose(found.T_0_1, inverse(poses[2]) @ poses[8], atol=1e-9)
    assert not caplog.records       # a covariance that begins with zero is one
    half = guess.between(3 * PERIOD_NS, 3 * PERIOD_NS + PERIOD_NS // 2)
    assert np.abs(difference(half.T_0_1 @ half.T_0_1, inverse(poses[2]) @ poses[3])).max() < 1e-3
    beyond = guess.between(11 * PERIOD_NS, 12 * PERIOD_NS + PERIOD_NS // 2)
    assert 1.4 < np.linalg.norm(beyond.T_0_1[:3, 3]) / np.linalg.norm((inverse(poses[10]) @ poses[11])[:3, 3]) < 1.6
    assert guess.between(3 * PERIOD_NS, 30 * PERIOD_NS) is None and guess.between(0, 5 * PERIOD_NS) is None


@pytest.mark.parametrize('stated', ['pose', 'velocity'])
def test_errors_of_a_motion_are_what_its_covariance_says(stated: str) -> None:
    """Mean of the normalised squared error within its 99.9 % band."""
    poses, squares = trajectory(25), []
    for seed in range(40):
        found = wheels(poses, seed, stated=stated, config=EXACT).between(2 * PERIOD_NS, 25 * PERIOD_NS)
        error = difference(found.T_0_1, inverse(poses[1]) @ poses[24])
        squares.append(error @ np.linalg.solve(found.covariance, error))
    band = 3.3 * np.sqrt(12 / len(squares))
    assert 6 - band < np.mean(squares) < 6 + band


def test_wheels_without_covariance_have_a_floor_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    poses = [compose(np.eye(3), [0.1 * i, 0, 0]) @ T_BODY_OPTICAL for i in range(21)]
    found = wheels(poses, None, stated='none').between(PERIOD_NS, 21 * PERIOD_NS)
    assert caplog.text.count('guess has no covariance that grows') == 1
    # In proportion to the way: 2 % of 2 m along it.
    assert np.sqrt(found.covariance[2, 2]) == pytest.approx(0.04, rel=0.3)


def test_messages_that_make_no_sense_are_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    guess = OdometryGuess(EXACT, T_BODY_OPTICAL)
    for i in range(10):
        guess.add((i + 1) * PERIOD_NS, compose(np.eye(3), [0.1 * i, 0, 0]))
    guess.add(11 * PERIOD_NS, compose(np.eye(3), [np.nan, 0, 0]))
    guess.add(5 * PERIOD_NS, np.eye(4))
    assert guess.last_ns == 10 * PERIOD_NS
    guess.add(11 * PERIOD_NS, compose(np.eye(3), [7.0, 0, 0]))
    guess.add(12 * PERIOD_NS, compose(np.eye(3), [7.1, 0, 0]))
    assert guess.refused == {'no number': 1, 'stamp out of order': 1, 'jump': 1} and 'jump' in caplog.text
    assert guess.between(9 * PERIOD_NS, 12 * PERIOD_NS) is None
    assert guess.between(11 * PERIOD_NS, 12 * PERIOD_NS).T_0_1[2, 3] == pytest.approx(0.1)
    guess.add(PERIOD_NS, np.eye(4))     # the bag begins again
    assert guess.between(9 * PERIOD_NS, 10 * PERIOD_NS) is None and guess.last_ns == PERIOD_NS


def test_the_pose_goes_on_through_two_seconds_of_darkness() -> None:
    """Off by less than the wheels themselves say, said to be lost and by the guess, and better than without."""
    poses, dark, squares = trajectory(40, step_m=0.04), range(10, 30), []
    for seed in range(6):
        motions = dark_walk(wheels(poses, seed, config=EXACT), poses, dark)
        assert {one.state for one in motions[10:30]} == {TrackingState.LOST}
        assert [one.guessed for one in motions] == [i in dark for i in range(40)]
        squares.append(squared(motions[29], poses[29]))
        assert motions[-1].state == TrackingState.TRACKING
        assert np.linalg.norm(difference(motions[-1].T_odom_camera, poses[-1])[:3]) < 0.05
        traces = [np.trace(one.covariance) for one in motions[9:30]]
        assert (np.diff(traces) > 0).all()
    band = 3.3 * np.sqrt(12 / len(squares))
    assert max(0.5, 6 - band) < np.mean(squares) < 6 + band
    blind = dark_walk(None, poses, dark)[29]
    assert np.trace(motions[29].covariance[:3, :3]) < 0.01 * np.trace(blind.covariance[:3, :3])


def test_wheels_that_stop_in_the_dark_leave_the_prediction() -> None:
    poses = trajectory(40)
    full, guess = wheels(poses), OdometryGuess(None, MOUNT)
    for sample in full._samples[:20]:
        guess.add(sample.stamp_ns, sample.T, sample.stated)
    motions = dark_walk(guess, poses, range(10, 30))
    assert [one.guessed for one in motions[10:30]] == [i < 22 for i in range(10, 30)]
    assert (np.diff([np.trace(one.covariance) for one in motions[9:30]]) > 0).all()
    assert motions[-1].state == TrackingState.TRACKING


def test_vision_wins_over_wheels_that_slip_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Wheels that spin: twice as far as the truth."""
    poses = trajectory(40)
    walk = Walk(PointWorld.make(noise_px=0.3))
    walk.motion.predictor = wheels(poses, None, scale=2.0, stated='none')
    motions = [walk.step(T) for T in poses]
    assert np.linalg.norm(difference(motions[-1].T_odom_camera, poses[-1])[:3]) < 0.03
    assert not any(one.guessed for one in motions)
    assert caplog.text.count('guess disagrees with vision') == 1 and walk.motion.agreement.disagreements >= 2
    assert walk.motion.agreement.inflation > 10


def test_one_camera_has_metres_from_wheels() -> None:
    """And goes on in them after a place where it saw nothing."""
    poses = trajectory(60)
    motions = dark_walk(wheels(poses, config=EXACT), poses, range(35, 45), stereo=False)
    assert motions[30].metric and motions[30].state == TrackingState.TRACKING
    away = [np.linalg.norm(one.T_odom_camera[:3, 3] - poses[0][:3, 3]) for one in motions]
    true = [np.linalg.norm(T[:3, 3] - poses[0][:3, 3]) for T in poses]
    assert away[34] / true[34] == pytest.approx(1, abs=0.1) and away[59] / true[59] == pytest.approx(1, abs=0.1)
    assert all(one.guessed for one in motions[35:45])


def test_a_camera_that_repeats_its_image_goes_on_by_the_wheels() -> None:
    poses = trajectory(30, step_m=0.05)
    walk = Walk(PointWorld.make())
    walk.motion.predictor = wheels(poses, None)
    motions = [walk.step(poses[min(i, 9)]) for i in range(30)]
    assert all(one.repeated and one.guessed and not one.still for one in motions[11:])
    assert np.abs(difference(motions[-1].T_odom_camera, poses[-1])).max() < 1e-3


@pytest.mark.parametrize(('pose', 'covariance', 'why'), [
    (np.full((4, 4), np.nan), np.zeros((6, 6)), 'their orientation is none'),
    (np.eye(4), np.diag([-1.0, 0, 0, 0, 0, -1]) * 1.0 - np.diag([0, 1.0, 0, 0, 0, 0]), 'says that they are not known'),
    (np.eye(4), np.eye(6) * 1e6, 'says that they are not known'),
    (np.eye(4), np.zeros((6, 6)), 'stay at the origin'),
])
def test_messages_without_poses_are_followed_by_their_velocities(pose, covariance, why, caplog) -> None:
    """As of drivers whose messages robot_localization fuses by the velocities alone: along a bend, exactly."""
    guess, velocity = OdometryGuess(EXACT, np.eye(4)), np.array([0.5, 0, 0, 0, 0, 0.3])
    for i in range(41):
        guess.add((i + 1) * PERIOD_NS, pose, covariance, np.eye(6) * 1e-4, velocity)
    seconds = 20 * PERIOD_NS * 1e-9
    turn, radius = 0.3 * seconds, 0.5 / 0.3
    found = guess.between(21 * PERIOD_NS, 41 * PERIOD_NS)
    true = compose(rotation_exp([0, 0, turn]), [radius * np.sin(turn), radius * (1 - np.cos(turn)), 0])
    assert np.abs(difference(found.T_0_1, true)).max() < 1e-3
    assert caplog.text.count('the guess has no poses') == 1 and why in caplog.text
    # Twenty independent steps.
    assert found.covariance[5, 5] == pytest.approx(20 * 1e-4 * (PERIOD_NS * 1e-9)**2, rel=0.01)
    guess.add(42 * PERIOD_NS, pose, covariance, None, velocity * np.nan)
    assert guess.refused['no number'] == 1


def test_a_robot_that_waits_at_the_origin_has_poses() -> None:
    guess = OdometryGuess(EXACT, np.eye(4))
    for i in range(40):
        x = 0.1 * max(0, i - 30)
        guess.add((i + 1) * PERIOD_NS, compose(np.eye(3), [x, 0, 0]), None, None, np.array([x > 0, 0, 0, 0, 0, 0.0]))
    assert guess.pose(40 * PERIOD_NS)[0, 3] == pytest.approx(0.9)
