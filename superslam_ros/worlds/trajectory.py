"""Smooth camera paths with exact poses, in a world with z up."""

from __future__ import annotations

import numpy as np


def look_at(position: np.ndarray | tuple, target: np.ndarray | tuple, roll: float = 0.0) -> np.ndarray:
    """Return T_world_camera (4, 4) of an optical frame at ``position`` that looks at ``target``, upright.

    :param roll: radians about the viewing direction, clockwise as the camera sees it turn.
    :raises ValueError: when the target is at the position, or straight above or below.
    """
    position, target = np.asarray(position, dtype=np.float64), np.asarray(target, dtype=np.float64)
    forward = target - position
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-9:
        raise ValueError(f'look_at: no upright view from {position} to {target}')
    forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=1)
    T_world_camera[:3, 3] = position
    return T_world_camera


def stamps(frames: int, rate_hz: float, start_ns: int = 1_000_000_000) -> np.ndarray:
    """Return (frames,) int64 nanoseconds at a constant rate."""
    return start_ns + np.rint(np.arange(frames) * (1e9 / rate_hz)).astype(np.int64)


def demo_trajectory(frames: int = 150, rate_hz: float = 20.0, seed: int = 0) -> np.ndarray:
    """Return (frames, 4, 4) T_world_camera of a walk through :func:`~superslam_ros.worlds.room_world`.

    A loop around the middle of the room at walking speed (about 0.6 m/s), looking where a person would look,
    with the bob and sway of a hand. The seed changes phases and amplitudes, never the speed.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / rate_hz
    phase = rng.uniform(0, 2 * np.pi)
    sway = rng.uniform(0, 2 * np.pi, 6)
    angle = phase + 0.55 * time
    height = 1.35 + 0.12 * np.sin(0.9 * time + sway[0]) + 0.012 * np.sin(2 * np.pi * 1.8 * time)
    position = np.stack([1.35 * np.cos(angle), 0.85 * np.sin(angle), height], axis=-1)
    heading = (
        angle + 0.45 + 0.30 * np.sin(0.8 * time + sway[1]) + 0.01 * np.sin(2 * np.pi * 0.9 * time + sway[2])
    )
    pitch = -0.10 + 0.12 * np.sin(0.7 * time + sway[3]) + 0.008 * np.sin(2 * np.pi * 1.8 * time + sway[4])
    roll = 0.03 * np.sin(0.6 * time + sway[5])
    ahead = np.stack(
        [np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.sin(pitch)], axis=-1
    )
    return np.stack([look_at(p, p + a, r) for p, a, r in zip(position, ahead, roll)])
