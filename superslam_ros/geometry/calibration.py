"""Intrinsics of a camera, and where the second one of a pair is, from views of a flat board, whole or in part.

Zhang, A Flexible New Technique for Camera Calibration (PAMI 2000), by OpenCV's implementation. What is judged by is
the error on views that had no part in it: each fifth of the views is left out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from superslam_ros.data import Camera
from superslam_ros.geometry.camera import from_ideal, ideal, to_ideal
from superslam_ros.geometry.pose import compose, inverse, transform

FEWEST_CORNERS, FEWEST_VIEWS = 6, 4
FOLDS = 5
MOST_UNSURE = 0.02
"""Of a focal length, as a part of it: beyond, the views do not determine it."""
LEAST_TILT = math.radians(12)
"""Between the normals of two views; if all are more alike, only f times the distance is known."""
SHORTEST_M = 0.001
"""Baseline; below it, it is one camera."""
OUTLIER = 5.0
"""Residuals beyond so many robust standard deviations are left out."""
_SMALLEST_SIGMA_PX = 0.05
_THIN = 0.03
_END = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-6)
_FORMS = {
    'plumb_bob': ((cv2.CALIB_FIX_K3, 5), (0, 5)), 'rational_polynomial': ((cv2.CALIB_RATIONAL_MODEL, 8),),
    'equidistant': ((cv2.fisheye.CALIB_RECOMPUTE_EXTRINSIC | cv2.fisheye.CALIB_FIX_SKEW, 4),)}
"""Model -> flags of OpenCV and the number of coefficients, the simplest first."""
MODELS = tuple(_FORMS)


@dataclass(frozen=True)
class View:
    """Corners of one image: ``points`` (N, 3) on the board (m), ``pixels`` (N, 2) of the image, ``ids`` (N,)."""

    name: str
    points: np.ndarray
    pixels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        """Return the number of corners."""
        return len(self.ids)

    def select(self, keep: np.ndarray) -> View:
        """Return the corners of a mask or an array of indices."""
        return replace(self, points=self.points[keep], pixels=self.pixels[keep], ids=self.ids[keep])


@dataclass(frozen=True)
class Calibration:
    """A calibrated camera and what it was found from.

    :ivar residuals_px: (N, 2) found less projected, of each view.
    :ivar T_camera_board: (4, 4) of each view.
    :ivar held_out_px: root mean square distance of corners of views that were left out to where they are projected.
    :ivar focal_sigma_px: standard deviation of the focal lengths, from leaving views out (jackknife).
    :ivar outliers: corners that were left out, since they fit none of it.
    """

    camera: Camera
    views: Sequence[View]
    residuals_px: Sequence[np.ndarray]
    T_camera_board: Sequence[np.ndarray]
    held_out_px: float
    focal_sigma_px: float
    outliers: int

    @property
    def rms_px(self) -> float:
        """Root mean square distance of all corners to where they are projected."""
        return rms(self.residuals_px)


def why_unusable(view: View) -> str:
    """Return why a view says nothing of a camera, or nothing."""
    if len(view) < FEWEST_CORNERS:
        return f'{len(view)} corners; {FEWEST_CORNERS} are needed'
    spread = np.linalg.svd(view.points - view.points.mean(0), compute_uv=False)
    return '' if spread[1] > _THIN * spread[0] else 'its corners lie on a line'


def calibrate(views: Sequence[View], image_size: tuple[int, int], model: str = 'plumb_bob') -> Calibration:
    """Return the camera of some views, all usable (:func:`why_unusable`).

    Of the forms of a model, that with the smaller error on left-out views is taken.

    :param image_size: (width, height) in pixels.
    :raises ValueError: when there are too few views, or they do not determine the camera; with what is lacking.
    """
    if len(views) < FEWEST_VIEWS:
        raise ValueError(f'{len(views)} usable views of the board; {FEWEST_VIEWS} are needed, better 15: show it at '
                         'every part of the image, near and far, tilted to all sides')
    found = min((_with_form(views, image_size, model, flags, count) for flags, count in _FORMS[model]),
                key=lambda one: one.held_out_px)
    tilt = _tilt(found.T_camera_board)
    if tilt < LEAST_TILT:
        raise ValueError(f'the board is seen at the same tilt in all views (within {math.degrees(tilt):.0f} degrees), '
                         'from which no focal length follows: tilt it by 30 degrees to the left, right, top and bottom')
    unsure = found.focal_sigma_px / found.camera.K[0, 0]
    if not unsure < MOST_UNSURE:
        raise ValueError(f'the views do not determine the focal length: {found.camera.K[0, 0]:.0f} px, uncertain by '
                         f'{100 * unsure:.0f} %; add views with the board tilted by 30 degrees and more, near enough '
                         'to fill half of the image')
    return found


def _with_form(
    views: Sequence[View], image_size: tuple[int, int], model: str, flags: int, count: int,
) -> Calibration:
    total, given, camera = sum(map(len, views)), views, _start(views, image_size, model)
    for _ in range(3):
        camera, poses = _fit(views, image_size, model, flags, count, camera)
        residuals = [_residuals(camera, view, T) for view, T in zip(given, poses)]
        limit = OUTLIER * max(_robust_sigma(residuals), _SMALLEST_SIGMA_PX)
        kept = [view.select(np.hypot(*left.T) < limit) for view, left in zip(given, residuals)]
        given = [whole for whole, view in zip(given, kept) if not why_unusable(view)]
        views = [view for view in kept if not why_unusable(view)]
        if len(views) < FEWEST_VIEWS:
            raise ValueError(f'only {len(views)} views agree on a camera: is the board flat, its description right?')
    camera, poses = _fit(views, image_size, model, flags, count, camera)
    held_out, focals = _leave_out(views, image_size, model, flags, count, camera)
    k = len(focals)
    return Calibration(
        camera, views, [_residuals(camera, view, T) for view, T in zip(views, poses)], poses, held_out,
        math.sqrt((k - 1) / k * np.sum((focals - focals.mean(0))**2, 0).max()), total - sum(map(len, views)))


def _start(views: Sequence[View], image_size: tuple[int, int], model: str) -> Camera | None:
    """Return where to begin, None where OpenCV does well by itself.

    Its fisheye calibration begins with the focal length of a half circle over the image, from which, up to 4.6, it does
    not find narrower lenses: a pinhole's is nearer.
    """
    if model != 'equidistant':
        return None
    straight = cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3 | cv2.CALIB_ZERO_TANGENT_DIST
    K = _fit(views, image_size, 'plumb_bob', straight, 5, None)[0].K
    return Camera(*image_size, K, np.zeros(4), model, frame_id='camera')


def _leave_out(
    views: Sequence[View], image_size: tuple[int, int], model: str, flags: int, count: int, whole: Camera,
) -> tuple[float, np.ndarray]:
    """Return the error of views that are left out, and the focal lengths (k, 2) without each part of them."""
    k = min(FOLDS, len(views))
    errors, focals = [], []
    for fold in range(k):
        others = [view for n, view in enumerate(views) if n % k != fold]
        camera, _ = _fit(others, image_size, model, flags, count, whole)
        focals.append([camera.K[0, 0], camera.K[1, 1]])
        errors += [_residuals(camera, view, pose_of(camera, view)) for view in views[fold::k]]
    return rms(errors), np.array(focals)


def _fit(
    views: Sequence[View], image_size: tuple[int, int], model: str, flags: int, count: int, guess: Camera | None,
) -> tuple[Camera, list[np.ndarray]]:
    """Return the camera, and T_camera_board of each view; ``guess`` is where to begin."""
    kind, solve = np.float32, cv2.calibrateCamera
    start = (None, None) if guess is None else (guess.K.copy(), guess.distortion.copy())
    if model == 'equidistant':
        kind, solve = np.float64, cv2.fisheye.calibrate
        flags |= 0 if guess is None else cv2.fisheye.CALIB_USE_INTRINSIC_GUESS
    elif guess is not None:
        flags |= cv2.CALIB_USE_INTRINSIC_GUESS
    points, pixels = ([getattr(view, name)[:, None].astype(kind) for view in views] for name in ('points', 'pixels'))
    try:
        _, K, distortion, rotations, translations = solve(
            points, pixels, image_size, *start, flags=flags, criteria=_END)
        camera = Camera(*image_size, K, np.ravel(distortion)[:count], model, frame_id='camera')
    except (cv2.error, ValueError) as error:
        raise ValueError('no camera explains the views: is the description of the board right, and are all images of '
                         f'one camera? ({" ".join(str(error).split())})') from error
    return camera, [compose(cv2.Rodrigues(r)[0], t) for r, t in zip(rotations, translations)]


def pose_of(camera: Camera, view: View) -> np.ndarray:
    """Return T_camera_board (4, 4) with the smallest error in the undistorted image."""
    pixels, K = to_ideal(camera, view.pixels, False), ideal(camera, False).K
    seen = np.isfinite(pixels).all(1)
    _, rotation, translation = cv2.solvePnP(view.points[seen], pixels[seen], K, None)
    return compose(cv2.Rodrigues(rotation)[0], translation)


def _residuals(camera: Camera, view: View, T_camera_board: np.ndarray) -> np.ndarray:
    """Return (N, 2) pixels found less projected."""
    straight = ideal(camera, False).project(transform(T_camera_board, view.points))
    return view.pixels - from_ideal(camera, straight, False)


def rms(residuals_px: Sequence[np.ndarray]) -> float:
    """Return the root mean square length of the rows of all arrays (N, 2)."""
    return float(np.sqrt((np.concatenate(residuals_px)**2).sum(1).mean()))


def _robust_sigma(residuals_px: Sequence[np.ndarray]) -> float:
    return float(1.4826 * np.median(np.abs(np.concatenate(residuals_px))))


def _tilt(poses: Sequence[np.ndarray]) -> float:
    """Return the largest angle between the normals of two boards."""
    normals = np.array([T[:3, 2] for T in poses])
    return float(np.arccos(np.clip(normals @ normals.T, -1, 1)).max())


@dataclass(frozen=True)
class StereoCalibration:
    """A calibrated pair: the cameras with R and P of the rectified pair.

    :ivar T_right_left: (4, 4).
    :ivar vertical_px: root mean square difference of the rows of one corner in the two rectified images.
    :ivar pairs: views that both cameras have.
    """

    left: Camera
    right: Camera
    T_right_left: np.ndarray
    vertical_px: float
    pairs: int


def calibrate_pair(left: Calibration, right: Calibration) -> StereoCalibration:
    """Return where two calibrated cameras are, from the views of one name with common corners.

    :raises ValueError: when there are too few of them, the images differ in size, or the right camera is not to the
        right of the left one.
    """
    if left.camera.image_size != right.camera.image_size:
        raise ValueError(f'left images are {_size(left.camera)}, right ones {_size(right.camera)}: a pair must have '
                         'one size')
    pairs = _common(left.views, right.views)
    if len(pairs) < FEWEST_VIEWS:
        raise ValueError(f'{len(pairs)} views with {FEWEST_CORNERS} corners that both cameras see; {FEWEST_VIEWS} are '
                         'needed, better 15: hold the board where both see it')
    K = [ideal(one.camera, False).K for one in (left, right)]
    points = [a.points.astype(np.float32) for a, _ in pairs]
    seen = [[to_ideal(one.camera, pair[side].pixels, False).astype(np.float32) for pair in pairs]
            for side, one in enumerate((left, right))]
    size = left.camera.image_size
    found = cv2.stereoCalibrate(
        points, *seen, K[0], None, K[1], None, size, flags=cv2.CALIB_FIX_INTRINSIC, criteria=_END)
    R, t = found[5], found[6]
    if np.linalg.norm(t) < SHORTEST_M:
        raise ValueError('left and right camera are at the same place: the images of one camera are given for both')
    if abs(t[0, 0]) < np.abs(t).max() or t[0, 0] > 0:
        place = ', '.join(f'{value:.3f}' for value in -R.T @ t.ravel())
        raise ValueError(f'the right camera is at ({place}) m of the left one (x right, y down, z ahead), which is not '
                         'to its right: exchange left and right')
    cameras = rectify(left.camera, right.camera, compose(R, t))
    rows = [to_ideal(camera, np.concatenate([pair[side].pixels for pair in pairs]), False)[:, 1]
            for side, camera in enumerate(cameras)]
    vertical = float(np.sqrt(np.nanmean((rows[0] - rows[1])**2)))
    return StereoCalibration(*cameras, compose(R, t), vertical, len(pairs))


def _common(left: Sequence[View], right: Sequence[View]) -> list[tuple[View, View]]:
    pairs, others = [], {view.name: view for view in right}
    for view in left:
        if view.name in others:
            _, a, b = np.intersect1d(view.ids, others[view.name].ids, return_indices=True)
            pair = view.select(a), others[view.name].select(b)
            if not why_unusable(pair[0]):
                pairs.append(pair)
    return pairs


def rectify(left: Camera, right: Camera, T_right_left: np.ndarray) -> tuple[Camera, Camera]:
    """Return two cameras of one size and one kind of lens with the R and P of the rectified pair."""
    lenses = (value for one in (left, right) for value in (one.K, one.distortion if one.distortion.size else None))
    given = *lenses, left.image_size, T_right_left[:3, :3].copy(), T_right_left[:3, 3:].copy()
    if left.distortion_model == 'equidistant':
        R0, R1, P0, P1, _ = cv2.fisheye.stereoRectify(*given, cv2.CALIB_ZERO_DISPARITY, balance=0.0)
    else:
        R0, R1, P0, P1 = cv2.stereoRectify(*given, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0)[:4]
    return replace(left, R=R0, P=P0), replace(right, R=R1, P=P1)


def with_projection(camera: Camera) -> Camera:
    """Return a single camera with the P of the undistorted image in which every pixel is one of the raw image."""
    if camera.distortion_model == 'equidistant':
        K = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(
            camera.K, camera.distortion, camera.image_size, np.eye(3), balance=0.0)
    else:
        K, _ = cv2.getOptimalNewCameraMatrix(camera.K, camera.distortion, camera.image_size, 0)
    return replace(camera, R=np.eye(3), P=np.hstack([K, np.zeros((3, 1))]))


def baseline_m(pair: StereoCalibration) -> float:
    """Return the distance between the cameras."""
    return float(np.linalg.norm(inverse(pair.T_right_left)[:3, 3]))


def _size(camera: Camera) -> str:
    return f'{camera.width}x{camera.height}'
