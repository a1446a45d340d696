"""What an inertial measurement unit measures on a path, with the errors of a real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

GRAVITY_M_S2 = 9.81
_NEAR_S = 1e-3


@dataclass(frozen=True)
class ImuErrors:
    """Densities of white noise and of the biases' random walk, and biases at the start (1 sigma), of a cheap unit."""

    gyroscope_noise: float = 1e-3           # rad/s/sqrt(Hz)
    gyroscope_walk: float = 1e-4            # rad/s^2/sqrt(Hz)
    gyroscope_bias: float = 0.015           # rad/s
    accelerometer_noise: float = 5e-3       # m/s^2/sqrt(Hz)
    accelerometer_walk: float = 1e-3        # m/s^3/sqrt(Hz)
    accelerometer_bias: float = 0.04        # m/s^2


class Measured(NamedTuple):
    """Stamps (N,) int64, rates and specific forces (N, 3) in the axes of the unit, and the gyroscope's true bias."""

    stamps_ns: np.ndarray
    angular_rad_s: np.ndarray
    linear_m_s2: np.ndarray
    bias_rad_s: np.ndarray


def measure(
    poses: np.ndarray, rate_hz: float, rng: np.random.Generator, T_imu_camera: np.ndarray | None = None,
    imu_hz: float = 200.0, start_ns: int = 1_000_000_000, errors: ImuErrors | None = None,
) -> Measured:
    """Return what a unit that is fixed to a camera measures from its first pose to its last one.

    Between poses the path is a cubic spline (positions, and the elements of the rotation, made a rotation again), so
    that speeds and accelerations are continuous, and the poses are met exactly.

    :param poses: (F, 4, 4) T_world_camera, ``rate_hz`` a second from ``start_ns`` on, z of the world being up.
    :param T_imu_camera: (4, 4) of the optical frame; where not given, both frames are the same.
    """
    errors, T_imu_camera = errors or ImuErrors(), np.eye(4) if T_imu_camera is None else T_imu_camera
    T = np.asarray(poses, np.float64) @ np.linalg.inv(T_imu_camera)
    count = int((len(T) - 1) * imu_hz / rate_hz + 1e-6) + 1
    since_ns = np.rint(np.arange(count) * (1e9 / imu_hz)).astype(np.int64)
    # Poses a little before, at, and a little after every sample.
    at = np.clip(since_ns * 1e-9, _NEAR_S, (len(T) - 1) / rate_hz - _NEAR_S)
    values = np.stack([_spline(T[:, :3].reshape(-1, 12), rate_hz, at + near) for near in (-_NEAR_S, 0, _NEAR_S)])
    values = values.reshape(3, count, 3, 4)
    U, _, V = np.linalg.svd(values[..., :3])
    R, p = U @ V, values[..., 3]
    # Sine and not angle: over 2 ms they are the same.
    step = R[0].transpose(0, 2, 1) @ R[2]
    angular = np.stack([step[:, 2, 1] - step[:, 1, 2], step[:, 0, 2] - step[:, 2, 0], step[:, 1, 0] - step[:, 0, 1]], 1)
    angular /= 4 * _NEAR_S
    acceleration = (p[0] - 2 * p[1] + p[2]) / _NEAR_S**2
    force = np.einsum('nji,nj->ni', R[1], acceleration + np.array([0, 0, GRAVITY_M_S2]))

    def walking(start: float, density: float) -> np.ndarray:
        steps = rng.normal(size=(count, 3)) * density / np.sqrt(imu_hz)
        steps[0] = rng.normal(size=3) * start
        return np.cumsum(steps, 0)

    def white(density: float) -> np.ndarray:
        return rng.normal(size=(count, 3)) * density * np.sqrt(imu_hz)

    bias = walking(errors.gyroscope_bias, errors.gyroscope_walk)
    force += walking(errors.accelerometer_bias, errors.accelerometer_walk) + white(errors.accelerometer_noise)
    return Measured(start_ns + since_ns, angular + bias + white(errors.gyroscope_noise), force, bias)


def _spline(values: np.ndarray, rate_hz: float, at: np.ndarray) -> np.ndarray:
    """Return (N, K) values at times (N,) of the natural cubic spline through values (F, K), ``rate_hz`` a second."""
    bend = np.zeros_like(values)        # second derivative, in steps
    right = 6 * (values[:-2] - 2 * values[1:-1] + values[2:])
    factors = np.zeros(len(right))
    for i in range(len(right)):         # the tridiagonal system 1, 4, 1
        pivot = 4 - (factors[i - 1] if i else 0.0)
        factors[i] = 1 / pivot
        right[i] = (right[i] - (right[i - 1] if i else 0.0)) / pivot
    for i in range(len(right) - 1, -1, -1):
        bend[i + 1] = right[i] - factors[i] * bend[i + 2]
    along = at * rate_hz
    cell = np.clip(along.astype(int), 0, len(values) - 2)
    b = (along - cell)[:, None]
    a = 1 - b
    return (a * values[cell] + b * values[cell + 1] +
            ((a**3 - a) * bend[cell] + (b**3 - b) * bend[cell + 1]) / 6)
