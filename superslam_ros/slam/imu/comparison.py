"""What vision says of the gyroscope: its bias, and whether the two agree."""

from __future__ import annotations

import logging
from collections import deque
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.pose import quaternion, rotation_log
from superslam_ros.slam.imu import alignment
from superslam_ros.slam.imu.bias import CHI2_999, Bias
from superslam_ros.slam.imu.config import ImuConfig
from superslam_ros.slam.imu.samples import Part, Samples
from superslam_ros.slam.imu.turning import turn

log = logging.getLogger(__name__)

WINDOW_NS = 1_000_000_000
"""Rotations are compared over so long."""
HISTORY_NS, CHECK_NS = 20_000_000_000, 5_000_000_000
"""The clocks are compared so often, over so long."""
LAST, MOST_BAD = 8, 3
"""With so many disagreements in so many comparisons, the gyroscope is not believed, until all of the last ones fit."""
QUIET_NS = 30_000_000_000
"""What is wrong is said again after so long."""
LEAST_LATE_S, MOST_LATE_SIGMA_S = 0.008, 0.004
"""An offset of the clocks that is said, and how uncertain it may be."""
LEAST_TURN_RAD, SURE = (0.07, 0.02), 0.8
"""An error of the mount that is said, of a unit that is believed and one that is not, and the least correlation for
that, or an offset, to be known."""
SWERVE_RAD_S2 = 10.0
"""How fast rates change, after the last sample (1 sigma)."""


UNBELIEVED = 'the gyroscope disagrees with vision, and is not believed: '


class Seen(NamedTuple):
    """A rotation (3, 3) by vision, with its covariance (3, 3), along the axes of odom."""

    stamp_ns: int
    R_odom_camera: np.ndarray
    covariance: np.ndarray


def variance(part: Part, angle: float, config: ImuConfig) -> float:
    """Return the variance (rad^2) of a rotation by an angle, but for the bias."""
    return (config.gyroscope_noise**2 * part.seconds[-1] + (config.turn_sigma * angle)**2 +
            (SWERVE_RAD_S2 / 2 * part.beyond_s**2)**2 + 1e-8)


class Comparison:
    """Compares both, second by second.

    :ivar bias: of the gyroscope, which is refined by every second that fits.
    :ivar believed: whether it is, at all.
    :ivar inflation: by how much its covariance has been too small lately, 1 or more.
    :ivar disagreements: seconds in which the difference was beyond the 99.9 % quantile.
    :ivar looked_ns: stamp of the last comparison.
    :ivar fit: what fits best, as of the last time that the clocks were compared.
    """

    def __init__(self, samples: Samples, config: ImuConfig) -> None:
        """Begin."""
        self._samples, self._config, self.bias = samples, config, Bias(config.gyroscope_walk)
        self.believed, self.inflation, self.disagreements = True, 1.0, 0
        self.fit: alignment.Fit | None = None
        self._results: deque[bool] = deque(maxlen=LAST)
        self._turns: deque[tuple[int, int, np.ndarray]] = deque()
        self._said: dict[str, int] = {}
        self._checked_ns, self.looked_ns = 0, -QUIET_NS
        self.interrupt()

    def interrupt(self) -> None:
        """Vision is lost: begin anew with the next frame that it places."""
        self._start: Seen | None = None
        self._last: Seen | None = None

    def moved(self, R_odom_before: np.ndarray) -> None:
        """Take over that odom has been turned (3, 3): rotations from before are what it says now."""
        self._start, self._last = (
            one and one._replace(R_odom_camera=R_odom_before @ one.R_odom_camera) for one in (self._start, self._last))

    def see(self, seen: Seen, R_imu_camera: np.ndarray) -> None:
        """Take a rotation that vision has found."""
        if self._turns and seen.stamp_ns < self._turns[-1][1]:      # the images have begun anew
            self.interrupt()
            self._turns.clear()
            self._checked_ns = seen.stamp_ns
        if self._last is not None:
            step = rotation_log(self._last.R_odom_camera.T @ seen.R_odom_camera)
            self._turns.append((self._last.stamp_ns, seen.stamp_ns, step))
            while self._turns[0][0] < seen.stamp_ns - HISTORY_NS:
                self._turns.popleft()
        self._last = seen
        if self._start is None:
            self._start = seen
        elif seen.stamp_ns - self._start.stamp_ns >= WINDOW_NS:
            self._compare(self._start, seen, R_imu_camera)
            self._start = seen
        if seen.stamp_ns - self._checked_ns >= CHECK_NS and self._turns and \
                seen.stamp_ns - self._turns[0][0] >= CHECK_NS:
            self._checked_ns = seen.stamp_ns
            self._check(R_imu_camera)

    def _compare(self, start: Seen, end: Seen, R_imu_camera: np.ndarray) -> None:
        part = self._samples.part(start.stamp_ns, end.stamp_ns)
        if part is None:
            return
        turned = turn(part.seconds, part.angular - self.bias.mean)
        by_vision = R_imu_camera @ start.R_odom_camera.T @ end.R_odom_camera @ R_imu_camera.T
        error = rotation_log(by_vision @ turned.R.T)
        R = R_imu_camera @ start.R_odom_camera.T
        noise = R @ (start.covariance + end.covariance) @ R.T
        noise += np.eye(3) * variance(part, turned.angle, self._config)
        self.looked_ns = end.stamp_ns
        squared = self.bias.measure(end.stamp_ns, error, -turned.per_bias, noise)
        self.inflation = max(1.0, 0.7 * self.inflation + 0.3 * squared / 3)
        self._results.append(squared < CHI2_999)
        if squared >= CHI2_999:
            self.disagreements += 1
            log.debug('the gyroscope disagrees with vision at %.3f s: %.2f degrees apart, having turned by %.1f',
                      end.stamp_ns * 1e-9, *np.degrees([np.linalg.norm(error), turned.angle]))
        bad = self._results.count(False)
        if self.believed and bad >= MOST_BAD:
            self.believed = False
            self._check(R_imu_camera)
        elif not self.believed and not bad:
            self.believed = True
            log.info('the gyroscope agrees with vision again, and is believed')

    # --- what is wrong, if something is ---------------------------------------------------------------

    def _check(self, R_imu_camera: np.ndarray) -> None:
        """Compare the clocks and the axes, and say what does not fit: at once, or what two looks agree on."""
        before, self.fit = self.fit, self._fit(R_imu_camera)
        if self.fit is None or self.fit.correlation < SURE:
            if not self.believed:
                self._tell('wrong' if self.fit is None else 'unlike', UNBELIEVED + self._why())
            return
        late, turned = self.fit.late_s, _turned(self.fit, R_imu_camera, LEAST_TURN_RAD[not self.believed])
        twice = not self.believed or (before is not None and abs(late - before.late_s) < LEAST_LATE_S / 2)
        if twice and self._is_late():
            self._tell('late', f"the IMU's stamps are {abs(late) * 1e3:.0f} ms {'late' if late > 0 else 'early'} (+- "
                       f'{self.fit.late_sigma_s * 1e3:.1f} ms), compared to those of the images: set imu.time_offset: '
                       f'{self._config.time_offset - late:.3f}')
        elif not self.believed:
            self._tell('fit', UNBELIEVED + self._why(turned))
        elif twice and turned is not None:
            self._tell('mount', f'the gyroscope does not quite agree with vision: {self._why(turned)}')

    def _fit(self, R_imu_camera: np.ndarray) -> alignment.Fit | None:
        reach_ns = round((alignment.REACH_S + alignment.STEP_S) * 1e9)
        if not self._turns:
            return None
        stamps, values = self._samples.within(self._turns[0][0] - 2 * reach_ns, self._turns[-1][1] + 2 * reach_ns)
        if len(stamps) < 2:
            return None
        inside = [one for one in self._turns if one[0] - reach_ns >= stamps[0] and one[1] + reach_ns <= stamps[-1]]
        if not inside:
            return None
        start_ns = inside[0][0]
        edges = np.array([[a - start_ns, b - start_ns] for a, b, _ in inside]) * 1e-9
        return alignment.fit(edges, np.array([step for _, _, step in inside]), (stamps - start_ns) * 1e-9,
                             values[:, :3], R_imu_camera)

    def _is_late(self) -> bool:
        """Whether the stamps are surely off by what is of any consequence."""
        sigma_s = self.fit.late_sigma_s
        return sigma_s < MOST_LATE_SIGMA_S and abs(self.fit.late_s) > max(LEAST_LATE_S, 4 * sigma_s)

    def _why(self, turned: float | None = None) -> str:
        fit = self.fit
        if fit is None:
            return 'it turns too little to see why (wrong extrinsics, units, axes or stamps?)'
        if fit.correlation < SURE:
            return (f'no mount, scale or offset of stamps makes them agree (at best, {fit.correlation:.2f} of 1): is '
                    'the IMU fixed to this camera, and are its stamps from the same clock?')
        if fit.mirrored:
            return 'its axes are left-handed: one of them has the wrong sign, or two are swapped'
        if not 0.9 < fit.scale < 1.1:
            unit = ' (in deg/s? sensor_msgs/Imu has rad/s)' if 40 < fit.scale < 80 else ''
            return f'its rates are {fit.scale:.3g} times those that the camera sees{unit}'
        if turned is not None:
            numbers = ' '.join(f'{value:.4f}' for value in quaternion(fit.R_imu_camera))
            return (f'the extrinsics are {np.degrees(turned):.1f} degrees off, and so may roll and pitch be: a '
                    f'rotation (x y z w) {numbers} from the axes of the camera to those of the IMU would fit')
        return 'mount, scale and stamps fit on the whole: is it loose, or noisier than imu.gyroscope_noise?'

    def _tell(self, about: str, text: str) -> None:
        now_ns = 0 if self._last is None else self._last.stamp_ns
        said = self._said.get(about)
        quiet = said is not None and 0 <= now_ns - said < QUIET_NS
        if not quiet:
            self._said[about] = now_ns
        log.log(logging.DEBUG if quiet else logging.WARNING, 'at %.3f s: %s', now_ns * 1e-9, text)


def _turned(fit: alignment.Fit, R_imu_camera: np.ndarray, least: float) -> float | None:
    """Return the angle (rad) by which a mount is off; None where that is little, or within its uncertainty."""
    error = rotation_log(R_imu_camera.T @ fit.R_imu_camera) if not fit.mirrored else np.zeros(3)
    angle = float(np.linalg.norm(error))
    return angle if angle > least and error @ fit.information @ error > 2 * CHI2_999 else None
