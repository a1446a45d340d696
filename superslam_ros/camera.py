"""A calibrated camera, and which part of its sensor the images are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

DISTORTION_MODELS = ('none', 'plumb_bob', 'rational_polynomial', 'equidistant')
_AWAY = 0.25
"""Of a principal point from the middle, in halves of the image: farther, and it may not be that of the image."""


@dataclass(frozen=True)
class Window:
    """What part of a calibrated sensor the images are: a region of interest, then binning (sensor_msgs/CameraInfo).

    :ivar x: of the region's left edge, in pixels of the sensor, as ``y``, ``width`` and ``height``.
    :ivar binning_x: so many pixels of a row become one; ``binning_y``: of a column.
    """

    x: int
    y: int
    width: int
    height: int
    binning_x: int = 1
    binning_y: int = 1

    def fits(self, sensor: tuple[int, int]) -> bool:
        """Say whether the region lies on a sensor of (width, height)."""
        return self.x + self.width <= sensor[0] and self.y + self.height <= sensor[1]

    def __str__(self) -> str:
        """Return what the messages of errors call it."""
        return (f'region of interest {self.width}x{self.height} at ({self.x}, {self.y}), binning '
                f'{self.binning_x}x{self.binning_y}')


@dataclass(frozen=True)
class Camera:
    """A calibrated camera, with the fields of sensor_msgs/CameraInfo.

    ``K`` (3, 3) and ``distortion`` (n,) belong to the raw image; ``R`` (3, 3) rotates the raw optical
    frame to the rectified one, and ``P`` (3, 4) projects rectified coordinates; for the right camera of
    a stereo pair ``P[0, 3] = -fx * baseline``. With a ``window`` all of them belong to the whole sensor, and
    :meth:`of_image` gives the camera of its images.
    """

    width: int
    height: int
    K: np.ndarray
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = 'none'
    R: np.ndarray = field(default_factory=lambda: np.eye(3))
    P: np.ndarray | None = None
    frame_id: str = 'camera_optical'
    window: Window | None = None

    def __post_init__(self) -> None:
        """Bring the matrices to shape and refuse a calibration that cannot project.

        :raises ValueError: naming the field, when a matrix has another shape, holds NaN, or is zero.
        """
        for name, shape in (('K', (3, 3)), ('R', (3, 3)), ('P', (3, 4))):
            value = getattr(self, name)
            if value is None:
                value = np.hstack([self.K, np.zeros((3, 1))])
            value = np.asarray(value, dtype=np.float64)
            if value.size != shape[0] * shape[1]:
                raise ValueError(f'camera {self.frame_id}: {name} has {value.size} values, expected {shape}')
            object.__setattr__(self, name, value.reshape(shape))
        object.__setattr__(self, 'distortion', np.asarray(self.distortion, dtype=np.float64).reshape(-1))
        if self.width < 1 or self.height < 1:
            raise ValueError(f'camera {self.frame_id}: size {self.width}x{self.height} is not a size')
        if not (np.isfinite(self.K).all() and self.K[0, 0] > 0 and self.K[1, 1] > 0):
            raise ValueError(
                f'camera {self.frame_id}: not calibrated (fx {self.K[0, 0]}, fy {self.K[1, 1]}); '
                'calibrate it, or publish a camera_info with a valid K'
            )
        for name in ('distortion', 'R', 'P'):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f'camera {self.frame_id}: {name} is not finite')
        if self.distortion_model not in DISTORTION_MODELS:
            raise ValueError(
                f'camera {self.frame_id}: distortion model {self.distortion_model!r} is not one of '
                f'{", ".join(DISTORTION_MODELS)}'
            )

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    def same(self, other: Camera) -> bool:
        """Say whether another calibration has the same values, whatever its frame is called."""
        return all(getattr(self, name) == getattr(other, name) for name in (
            'image_size', 'distortion_model', 'window')) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ('K', 'distortion', 'R', 'P'))

    def of_image(self, width: int, height: int) -> Camera:
        """Return the camera of images of a size: this one, or the part of its sensor that the window says.

        Where a driver gives a window, but has brought size and K to the image itself, they are taken as they are.

        :raises ValueError: when the calibration is of another size, or contradicts itself.
        """
        whole = replace(self, window=None)
        part = whole if self.window is None else self._part(self.window)
        shape = np.array([width, height])
        found = f'is {width}x{height}, its calibration {self.width}x{self.height}'
        if self.window is not None:
            found += f' with {self.window}'
        fits = self.window is not None and self.window.fits(self.image_size)
        if part is whole or (self.image_size == (width, height) and not (fits and part.image_size == (width, height))):
            chosen, other = whole, part
        else:           # drivers round the size of a binned image up or down
            chosen, other = replace(part, width=width, height=height), whole
        if np.abs(shape - (whole if chosen is whole else part).image_size).max() > (chosen is not whole):
            raise ValueError(found)
        away, other_away = (np.abs(2 * one.K[:2, 2] / shape - 1).max() for one in (chosen, other))
        if (away > _AWAY and other_away < away / 2) or (chosen is not whole and not fits):
            raise ValueError(f'{found}, which contradicts itself or the principal point '
                             f'({self.K[0, 2]:g}, {self.K[1, 2]:g}) of K')
        return chosen

    def _part(self, window: Window) -> Camera:
        """Return the camera of a window: the principal point moves first, then everything is scaled."""
        shrink = np.diag([1 / window.binning_x, 1 / window.binning_y, 1])
        K, P = self.K.copy(), self.P.copy()
        for matrix in (K, P):
            matrix[:2, 2] -= window.x, window.y
        return replace(self, width=max(1, window.width // window.binning_x),
                       height=max(1, window.height // window.binning_y), K=shrink @ K, P=shrink @ P, window=None)

    @property
    def baseline_m(self) -> float:
        """Metres along x of the rectified pair, from where P says the other camera is, to this one."""
        return float(-self.P[0, 3] / self.P[0, 0]) if self.P[0, 0] else 0.0

    def baseline_to(self, left: Camera) -> float:
        """Return the metres from a left camera to this one along x of the rectified pair.

        By the definition of P the left one has none of its own; KITTI's colour pair is measured from a third camera.
        """
        return self.baseline_m - left.baseline_m
