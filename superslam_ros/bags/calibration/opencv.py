"""Calibrations that OpenCV's FileStorage has written, as YAML or XML: of one camera, or of a pair."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from superslam_ros import conversions
from superslam_ros.bags.calibration.entry import NO_R_OR_P, Entry
from superslam_ros.geometry.pose import compose

SINGLE = (('camera_matrix', 'cameraMatrix', 'Camera_Matrix', 'K', 'M'),
          ('distortion_coefficients', 'distCoeffs', 'dist_coeffs', 'Distortion_Coefficients', 'D'))
LEFT, RIGHT = ((tuple(name.format(side) for name in ('M{}', 'K{}', 'cameraMatrix{}', 'camera_matrix_{}')),
                tuple(name.format(side) for name in ('D{}', 'distCoeffs{}', 'distortion_coefficients_{}')))
               for side in (1, 2))
_SIZES = (('image_width', 'image_height'), ('image_Width', 'image_Height'), ('width', 'height'))


def entries(path: Path, size: tuple[int, int] | None) -> list[Entry]:
    """Return the camera of a file, or the left and the right one.

    :param size: (width, height) of the images, for files that do not say it.
    :raises ValueError: when there is no camera in it, or a value is wrong.
    """
    storage = cv2.FileStorage()     # whose open() raises, unlike its constructor, what can be caught
    try:
        storage.open(str(path), cv2.FILE_STORAGE_READ)
        size = _size(storage) or size
        if size is None:
            raise ValueError('the size of the images is not in it; add image_width and image_height')
        marked = storage.getNode('fisheye_model')
        fisheye = not marked.empty() and marked.real() != 0
        if _matrix(storage, SINGLE[0]) is not None:
            return [_entry(storage, SINGLE, size, fisheye, '0')]
        left = _entry(storage, LEFT, size, fisheye, 'left')
        if _matrix(storage, RIGHT[0]) is None:
            return [left]
        R, t = (_matrix(storage, names) for names in (('R',), ('T', 't')))
        T = None if R is None or t is None else compose(R.reshape(3, 3), t)
        right = _entry(storage, RIGHT, size, fisheye, 'right')
        return [Entry(left.name, left.camera, np.eye(4)), Entry(right.name, right.camera, T)]
    finally:
        storage.release()


def _entry(storage: cv2.FileStorage, names: tuple[tuple[str, ...], ...], size: tuple[int, int], fisheye: bool,
           name: str) -> Entry:
    K, D = (_matrix(storage, one) for one in names)
    if K is None:
        raise ValueError(f'no camera matrix in it ({", ".join((*SINGLE[0], *LEFT[0]))})')
    return Entry(name, conversions.make_camera(
        *size, K.reshape(-1), np.zeros(4 if fisheye else 0) if D is None else D.reshape(-1),
        'equidistant' if fisheye else '', NO_R_OR_P, NO_R_OR_P, name))


def _matrix(storage: cv2.FileStorage, names: tuple[str, ...]) -> np.ndarray | None:
    for name in names:
        node = storage.getNode(name)
        if not node.empty() and node.isMap():
            return np.asarray(node.mat(), np.float64)
    return None


def _size(storage: cv2.FileStorage) -> tuple[int, int] | None:
    for names in _SIZES:
        nodes = [storage.getNode(name) for name in names]
        if not any(node.empty() for node in nodes):
            return int(nodes[0].real()), int(nodes[1].real())
    for name in ('image_size', 'imageSize', 'img_size', 'size'):
        node = storage.getNode(name)
        if not node.empty() and node.isSeq() and node.size() == 2:
            return int(node.at(0).real()), int(node.at(1).real())
    return None

