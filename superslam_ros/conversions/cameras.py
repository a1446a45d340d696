"""sensor_msgs/CameraInfo, and the fields of calibration files, to cameras."""

from __future__ import annotations

from typing import Any

import numpy as np

from superslam_ros.camera import Camera, Window
from superslam_ros.conversions.errors import ConversionError
from superslam_ros.conversions.headers import frame_id

_DISTORTION_NAMES = {
    '': 'none', 'none': 'none', 'plumb_bob': 'plumb_bob', 'rational_polynomial': 'rational_polynomial',
    'equidistant': 'equidistant', 'fisheye': 'equidistant', 'kannala_brandt': 'equidistant',
    'radtan': 'plumb_bob', 'radial-tangential': 'plumb_bob',
}
OPENCV_LENGTHS = (4, 5, 8, 12, 14)
"""How many distortion coefficients OpenCV takes."""
EQUIDISTANT_LENGTH = 4
_SHORTEST = 0.02
"""Of a focal length, in widths of the image: no lens sees more than 176 degrees through a pinhole."""


def camera(message: Any, rectified: bool = False) -> Camera:
    """Return a sensor_msgs/CameraInfo as a Camera; ``Camera.of_image`` applies its binning and region of interest.

    :param rectified: the images are rectified already: the camera is then the one of P, without distortion.
    :raises ConversionError: when it is not calibrated, or contradicts itself, naming the field.
    """
    def field(name: str) -> np.ndarray:
        value = getattr(message, name.lower(), None)
        return np.asarray(getattr(message, name) if value is None else value, dtype=np.float64).reshape(-1)

    return make_camera(
        int(message.width), int(message.height), field('K'), field('D'), str(message.distortion_model),
        field('R'), field('P'), frame_id(message.header.frame_id) or 'camera_optical', rectified, _window(message))


def _window(message: Any) -> Window | None:
    """Return what part of the sensor the images are, None for all of it; zeros in the message mean that, too."""
    binning = max(1, int(getattr(message, 'binning_x', 0))), max(1, int(getattr(message, 'binning_y', 0)))
    roi = getattr(message, 'roi', None)
    x, y, width, height = (int(getattr(roi, name, 0)) for name in ('x_offset', 'y_offset', 'width', 'height'))
    window = Window(x, y, width or int(message.width) - x, height or int(message.height) - y, *binning)
    return None if window == Window(0, 0, int(message.width), int(message.height)) else window


def make_camera(
    width: int, height: int, K: np.ndarray, D: np.ndarray, model: str, R: np.ndarray, P: np.ndarray,
    frame: str, rectified: bool = False, window: Window | None = None,
) -> Camera:
    """Return a Camera from the fields of a camera_info; R or P of zeros mean that they were not given.

    :raises ConversionError: naming the field that is wrong.
    """
    name = _distortion_model(model, D)
    P = P if P.size == 12 and P.any() else None
    R = R if R.size == 9 and R.any() else np.eye(3)
    try:
        raw = Camera(
            width, height, K, D if name != 'none' else np.zeros(0), name, R, P, frame, window)
    except ValueError as error:
        raise ConversionError(str(error)) from error
    _check(raw)
    return _rectified(raw) if rectified else raw


def off_centre(camera: Camera) -> str:
    """Return what to say of a calibration whose principal point is far from the middle of the image, or nothing."""
    (width, height), (cx, cy) = camera.image_size, camera.K[:2, 2]
    if camera.window is not None or (width < 4 * cx < 3 * width and height < 4 * cy < 3 * height):
        return ''
    return (f'the principal point of K, ({cx:g}, {cy:g}), is far from the middle of the image of {width}x{height}: is '
            'it the calibration of another resolution, or of a whole sensor of which the image is a part?')


def _distortion_model(model: str, D: np.ndarray) -> str:
    """Return the model's name in ``data``; none where all coefficients of a polynomial are zero."""
    name = _DISTORTION_NAMES.get(model.lower())
    if name is None:
        raise ConversionError(
            f'distortion model {model!r} is unknown; known: {", ".join(_DISTORTION_NAMES)[2:]}')
    if name == 'equidistant':   # with coefficients of zero it is a fisheye all the same
        if len(D) < EQUIDISTANT_LENGTH or D[EQUIDISTANT_LENGTH:].any():
            raise ConversionError(f'D has {len(D)} values; {name} has {EQUIDISTANT_LENGTH}')
        return name
    if not D.any():
        return 'none'
    if not model:               # old calibration files do not name it
        name = 'plumb_bob' if len(D) <= 5 else 'rational_polynomial'
    if name == 'none':
        raise ConversionError(f'distortion_model is {model!r}, but D is not zero')
    if len(D) not in OPENCV_LENGTHS:
        raise ConversionError(f'D has {len(D)} values; {name} has {", ".join(map(str, OPENCV_LENGTHS))}')
    return name


def _check(raw: Camera) -> None:
    """Refuse matrices that cannot be what they are said to be."""
    who = f'camera {raw.frame_id}'
    if not np.allclose(raw.K[2], [0, 0, 1]) or raw.K[1, 0]:
        raise ConversionError(f'{who}: K is no intrinsic matrix: below its diagonal are zeros, its last value is 1')
    if not raw.K[:2, 2].any() or min(raw.K[0, 0], raw.K[1, 1]) < _SHORTEST * raw.width:
        raise ConversionError(
            f'{who}: not calibrated (fx {raw.K[0, 0]:g}, fy {raw.K[1, 1]:g}, cx {raw.K[0, 2]:g}, cy {raw.K[1, 2]:g}, '
            f'{raw.width}x{raw.height} pixels); calibrate it, or publish a camera_info with a valid K')
    if not np.allclose(raw.R @ raw.R.T, np.eye(3), atol=1e-2) or np.linalg.det(raw.R) < 0:
        raise ConversionError(f'{who}: R is no rotation; leave it zero where there is none')
    if min(raw.P[0, 0], raw.P[1, 1]) < _SHORTEST * raw.width or not np.allclose(raw.P[2, :3], [0, 0, 1]):
        raise ConversionError(f'{who}: P is no projection (fx {raw.P[0, 0]:g}, fy {raw.P[1, 1]:g}, last row '
                              f'{raw.P[2].tolist()}); leave it zero where there is none')


def _rectified(raw: Camera) -> Camera:
    """Return the undistorted camera of the rectified image: K is the left part of P, R the identity."""
    return Camera(raw.width, raw.height, raw.P[:, :3], np.zeros(0), 'none', np.eye(3), raw.P, raw.frame_id, raw.window)
