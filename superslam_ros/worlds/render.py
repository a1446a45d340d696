"""Ray casting: any camera at any pose -> gray image and exact depth; exact correspondences between views.

A rectangle with corner t and unit axes r_u, r_v in the camera frame is seen through M = [r_u r_v t]: the ray
(x, y, 1) of a pixel meets it at M^-1 (x, y, 1) = (u, v, 1) / z, so one 3x3 product per pixel gives the place on
the texture and the inverse depth; the largest inverse depth wins. Images are box-filtered over the pixel from
several rays, each reading a pyramid of the texture at the ray's footprint.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.data import Camera
from superslam_ros.worlds.surface import Surface, Texture, World

_ROW = 512
# Two points on one ray are the same surface when their depths agree to this fraction.
_DEPTH_TOLERANCE = 1e-6


class View(NamedTuple):
    """What a camera sees: ``image`` (H, W) uint8, ``depth_m`` (H, W) float32 along z, NaN where nothing is.

    ``surface`` (H, W) int32 is the number of the world's surface that is seen at a pixel's centre, -1 where nothing is.
    """

    image: np.ndarray
    depth_m: np.ndarray
    surface: np.ndarray


def pinhole(
    width: int = 320,
    height: int = 240,
    focal_px: float | None = None,
    frame_id: str = 'camera_optical',
    baseline_m: float = 0.0,
) -> Camera:
    """Return an undistorted, rectified camera with the principal point in the middle of the image.

    :param focal_px: focal length; default 0.85 of the width (61 degrees across).
    :param baseline_m: distance to the right of the left camera, for the right one of a pair.
    """
    f = focal_px or 0.85 * width
    K = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])
    P = np.hstack([K, [[-f * baseline_m], [0], [0]]])
    return Camera(width, height, K, np.zeros(5), 'plumb_bob', np.eye(3), P, frame_id)


def stereo_pair(width: int = 320, height: int = 240, focal_px: float | None = None,
                baseline_m: float = 0.12) -> tuple[Camera, Camera]:
    """Return the cameras of a rectified stereo pair."""
    left = pinhole(width, height, focal_px, 'camera_left_optical')
    return left, pinhole(width, height, focal_px, 'camera_right_optical', baseline_m)


def right_pose(T_world_left: np.ndarray, right: Camera) -> np.ndarray:
    """Return T_world_right (4, 4) of the right camera of a rectified pair."""
    T_left_right = np.eye(4)
    T_left_right[0, 3] = right.baseline_m
    return T_world_left @ T_left_right


def render(world: World, camera: Camera, T_world_camera: np.ndarray, supersample: int = 2) -> View:
    """Render one view of the raw camera (K and distortion).

    :param T_world_camera: (4, 4) pose of the optical frame.
    :param supersample: rays per pixel along each axis.
    """
    T_camera_world = np.linalg.inv(T_world_camera)
    fine_rays = pixel_rays(camera, pixel_grid(camera, supersample))
    ids, _, inverses = _nearest(world, camera, T_camera_world, fine_rays, supersample)
    gray = np.full(ids.size, world.background, dtype=np.float32)
    step = 1 / (supersample * max(camera.K[0, 0], camera.K[1, 1]))
    flat = ids.ravel()
    order = np.argsort(flat.astype(np.min_scalar_type(-len(world.surfaces) - 1)), kind='stable')
    for chosen in np.split(order, np.flatnonzero(np.diff(flat[order])) + 1):
        index = flat[chosen[0]]
        if index >= 0:
            gray[chosen] = _shade(world.surfaces[index], inverses[index], fine_rays.reshape(-1, 2)[chosen], step)
    gray = gray.reshape(ids.shape)
    image = cv2.resize(gray, camera.image_size, interpolation=cv2.INTER_AREA) if supersample > 1 else gray
    surface, inverse_depth, _ = _nearest(
        world, camera, T_camera_world, pixel_rays(camera, pixel_grid(camera, 1)), 1)
    depth = np.full(inverse_depth.shape, np.nan, dtype=np.float32)
    seen = inverse_depth > 0
    depth[seen] = 1 / inverse_depth[seen]
    return View(np.rint(image).clip(0, 255).astype(np.uint8), depth, surface)


def cast(world: World, camera: Camera, T_world_camera: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the (N, 3) float64 world points seen at (N, 2) pixels, rows of NaN where there is nothing."""
    rays = pixel_rays(camera, np.asarray(pixels, dtype=np.float64).reshape(-1, 2), np.float64)
    inverse_depth = _cast_rays(world, np.linalg.inv(T_world_camera), rays)
    depth = np.where(inverse_depth > 0, 1 / np.where(inverse_depth > 0, inverse_depth, 1), np.nan)
    points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * depth[:, None]
    return points @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]


def project(camera: Camera, T_world_camera: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project world points into the raw image.

    :param points: (N, 3) metres.
    :returns: pixels (N, 2) float64, NaN behind the camera, and depths (N,) along z.
    """
    T_camera_world = np.linalg.inv(T_world_camera)
    local = np.asarray(points, dtype=np.float64) @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
    depth = local[:, 2]
    front = depth > 1e-9
    pixels = np.full((len(local), 2), np.nan)
    if not front.any():
        return pixels, depth
    if camera.distortion.any():
        pixels[front] = _distort(camera, local[front])
    else:
        homogeneous = (local[front] / depth[front, None]) @ camera.K.T
        pixels[front] = homogeneous[:, :2]
    return pixels, depth


def before(T_camera_world: np.ndarray, corners: np.ndarray, near_m: float = 1e-3) -> np.ndarray:
    """Return the part of a convex polygon (N, 3) in the world that is before a camera: (M, 3) in the camera's frame."""
    local = corners @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
    depth = local[:, 2]
    if (depth >= near_m).all():
        return local
    after, behind = np.roll(local, -1, axis=0), np.roll(depth, -1)
    crosses = (depth >= near_m) != (behind >= near_m)
    part = (near_m - depth[crosses]) / (behind - depth)[crosses]
    cut = local[crosses] + (after - local)[crosses] * part[:, None]
    return np.concatenate([local[depth >= near_m], cut])


def correspondences(
    world: World, camera0: Camera, T_world_camera0: np.ndarray, pixels0: np.ndarray,
    camera1: Camera, T_world_camera1: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where camera 1 sees what camera 0 sees.

    :param pixels0: (N, 2) pixels of camera 0, anywhere between pixel centres.
    :returns: pixels of camera 1 (N, 2) float64 (NaN where undefined), and (N,) bool: inside image 1 and hidden
        by nothing.
    """
    points = cast(world, camera0, T_world_camera0, pixels0)
    pixels1, depth1 = project(camera1, T_world_camera1, points)
    visible = np.isfinite(pixels1).all(axis=1)
    visible &= ((pixels1 >= -0.5) & (pixels1 <= np.array(camera1.image_size) - 0.5)).all(axis=1)
    if visible.any():
        rays = pixel_rays(camera1, pixels1[visible], np.float64)
        nearest = _cast_rays(world, np.linalg.inv(T_world_camera1), rays)
        visible[visible] = nearest <= (1 + _DEPTH_TOLERANCE) / depth1[visible]
    return pixels1, visible


def pixel_grid(camera: Camera, supersample: int) -> np.ndarray:
    """Return (H * s, W * s, 2) pixel coordinates of the rays that tile every pixel evenly."""
    offsets = (np.arange(supersample) + 0.5) / supersample - 0.5
    x = np.add.outer(np.arange(camera.width), offsets).ravel()
    y = np.add.outer(np.arange(camera.height), offsets).ravel()
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)


def pixel_rays(camera: Camera, pixels: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Return (..., 2) normalised image coordinates (x / z, y / z) of pixels, distortion removed."""
    if not camera.distortion.any():
        K = camera.K
        y = (pixels[..., 1] - K[1, 2]) / K[1, 1]
        x = (pixels[..., 0] - K[0, 2] - K[0, 1] * y) / K[0, 0]
        return np.stack([x, y], axis=-1).astype(dtype)
    flat = np.ascontiguousarray(pixels.reshape(-1, 1, 2), dtype=np.float64)
    if camera.distortion_model == 'equidistant':
        rays = cv2.fisheye.undistortPoints(flat, camera.K, camera.distortion[:4])
    else:
        # OpenCV 5 gave undistortPoints the criteria that undistortPointsIter has in OpenCV 4.
        undistort = getattr(cv2, 'undistortPointsIter', cv2.undistortPoints)
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-10)
        rays = undistort(flat, camera.K, camera.distortion, R=None, P=None, criteria=criteria)
    return rays.reshape(pixels.shape).astype(dtype)


def _distort(camera: Camera, points: np.ndarray) -> np.ndarray:
    points = np.ascontiguousarray(points.reshape(-1, 1, 3))
    if camera.distortion_model == 'equidistant':
        pixels, _ = cv2.fisheye.projectPoints(
            points, np.zeros(3), np.zeros(3), camera.K, camera.distortion[:4]
        )
    else:
        pixels, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.K, camera.distortion)
    return pixels.reshape(-1, 2)


def _inverse_map(surface: Surface, T_camera_world: np.ndarray) -> np.ndarray | None:
    """Return M^-1 (3, 3), or None when the camera is behind the surface or in its plane."""
    rotation, translation = T_camera_world[:3, :3], T_camera_world[:3, 3]
    M = np.stack(
        [rotation @ surface.axis_u, rotation @ surface.axis_v, rotation @ surface.origin + translation],
        axis=1,
    )
    return np.linalg.inv(M) if np.linalg.det(M) > 1e-6 else None


def _window(
    surface: Surface, camera: Camera, T_world_camera: np.ndarray, scale: int
) -> tuple[slice, slice] | None:
    """Return the rows and columns of the fine image that the surface may touch, None when it is out of sight."""
    corners = before(np.linalg.inv(T_world_camera), surface.corners)
    if not len(corners):
        return None
    if camera.distortion.any():
        return slice(None), slice(None)
    pixels = (corners / corners[:, 2:]) @ camera.K[:2].T
    low = np.floor((pixels.min(axis=0) + 0.5) * scale).clip(0).astype(int)
    high = np.ceil((pixels.max(axis=0) + 0.5) * scale).clip(0).astype(int) + 1
    if low[0] >= camera.width * scale or low[1] >= camera.height * scale or (high <= 1).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def _meet(inverse: np.ndarray, surface: Surface, rays: np.ndarray) -> np.ndarray:
    """Return the inverse depths at which (..., 2) rays meet a surface, 0 where they miss it."""
    inverse = inverse.astype(rays.dtype)
    x, y = rays[..., 0], rays[..., 1]
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in inverse)
    hit = (u >= 0) & (v >= 0)
    hit &= u <= w * surface.size_m[0]
    hit &= v <= w * surface.size_m[1]
    return np.where(hit & (w > 0), w, 0)


def _nearest(
    world: World, camera: Camera, T_camera_world: np.ndarray, rays: np.ndarray, scale: int
) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """Return for every ray of the image the surface's index (-1: none), the inverse depth, and the maps used."""
    T_world_camera = np.linalg.inv(T_camera_world)
    ids = np.full(rays.shape[:2], -1, dtype=np.int32)
    best = np.zeros(rays.shape[:2], dtype=np.float32)
    inverses = {}
    for index, surface in enumerate(world.surfaces):
        inverse = _inverse_map(surface, T_camera_world)
        window = None if inverse is None else _window(surface, camera, T_world_camera, scale)
        if window is None:
            continue
        inverses[index] = inverse
        depth = _meet(inverse, surface, rays[window])
        nearer = depth > best[window]
        np.copyto(best[window], depth, where=nearer)
        np.copyto(ids[window], index, where=nearer)
    return ids, best, inverses


def _cast_rays(world: World, T_camera_world: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Return the largest inverse depth (N,) float64 over all surfaces along (N, 2) rays; 0 where there is none."""
    best = np.zeros(len(rays))
    for surface in world.surfaces:
        inverse = _inverse_map(surface, T_camera_world)
        if inverse is not None:
            np.maximum(best, _meet(inverse, surface, rays), out=best)
    return best


def _shade(surface: Surface, inverse: np.ndarray, rays: np.ndarray, step: float) -> np.ndarray:
    """Return the gray levels (N,) float32 of a surface along (N, 2) rays that lie ``step`` (x / z) apart."""
    x, y = np.ascontiguousarray(rays.T)
    inverse = inverse.astype(np.float32)
    u, v, z = (row[0] * x + row[1] * y + row[2] for row in inverse)
    np.reciprocal(z, out=z)
    u *= z
    v *= z
    # Footprint of a ray: the singular values of J = d(u, v) / d(x, y), from the trace and determinant of J J^T.
    ux, uy, vx, vy = (
        (inverse[axis, k] - place * inverse[2, k]) * z for axis, place in ((0, u), (1, v)) for k in (0, 1))
    trace = ux * ux + uy * uy + vx * vx + vy * vy
    determinant = np.abs(ux * vy - uy * vx)
    major = np.sqrt((trace + np.sqrt(np.maximum(trace * trace - 4 * determinant * determinant, 0))) / 2)
    # A surface seen at a slant is compressed one way: half the longer side, so that it is not all blur.
    footprint = np.maximum(determinant / np.maximum(major, 1e-12), major / 2) * step
    texels = surface.texture.levels[0].shape[1] / surface.size_m[0]
    level = np.log2(np.maximum(footprint * texels, 1))
    place = np.stack([u / np.float32(surface.size_m[0]), v / np.float32(surface.size_m[1])], axis=-1)
    return _read_pyramid(surface.texture, place, level)


def _read_pyramid(texture: Texture, place: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Read a texture at (N, 2) places in [0, 1] and fractional pyramid levels (N,), trilinearly."""
    level = np.minimum(level, len(texture.levels) - 1)
    lower = np.floor(level).astype(np.int32)
    part = (level - lower).astype(np.float32)
    gray = np.zeros(len(place), dtype=np.float32)
    for index in range(int(lower.min()), int(lower.max()) + 2):
        for chosen, weight in ((lower == index, 1 - part), (lower == index - 1, part)):
            chosen &= weight > 0
            if chosen.any():
                gray[chosen] += weight[chosen] * _read(texture.levels[index], place[chosen])
    return gray


def _read(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Read an image bilinearly at (N, 2) places in [0, 1]; the rows keep within what cv2.remap can index."""
    height, width = image.shape
    count = len(place)
    padded = np.zeros((-(-count // _ROW) * _ROW, 2), dtype=np.float32)
    padded[:count] = place * np.array([width, height], dtype=np.float32) - np.float32(0.5)
    maps = padded.reshape(-1, _ROW, 2)
    values = cv2.remap(image, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.ravel()[:count].astype(np.float32)
