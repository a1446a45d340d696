"""Stage 3: matches and depths to motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from superslam_ros.config import option
from superslam_ros.data import Camera, Keyframe, Matches, Motion, TrackingState
from superslam_ros.geometry import two_view
from superslam_ros.geometry.camera import Pinhole, ideal, to_ideal
from superslam_ros.geometry.pnp import Observations, PoseEstimate, estimate_pose
from superslam_ros.geometry.pose import (
    T_BODY_OPTICAL,
    carry_covariance,
    compose,
    inverse,
    rotate_covariance,
    rotation_exp,
    rotation_log,
    transform,
)
from superslam_ros.slam.depth import DepthSource, ImageDepth, NoDepth, StereoDepth
from superslam_ros.slam.map import LocalMap, Reference

FIRST_VARIANCE = 1e-8
"""Of the first pose, which defines odom: not zero, which filters refuse."""


@dataclass(frozen=True)
class OdometryConfig:
    """Options of motion estimation."""

    rectified: bool = option(True, 'The images are rectified already; false: keypoints are rectified by camera_info')
    min_inliers: int = option(12, 'Landmarks that must agree on a pose, else tracking is lost', low=6, high=1000)
    threshold_px: float = option(3.0, 'Reprojection error below which a match supports a pose in RANSAC',
                                 low=0.1, high=50.0)
    pixel_sigma: float = option(1.0, 'Standard deviation of a keypoint (pixels)', low=0.01, high=20.0)
    depth_sigma: float = option(0.003, 'Standard deviation of a depth image, as inverse depth (1/m): '
                                'sigma_z = depth_sigma * z * z', low=1e-6, high=1.0)
    min_depth: float = option(0.1, 'Nearest usable depth (m)', low=0.0, high=100.0)
    max_depth: float = option(20.0, 'Farthest usable depth of a depth image (m)', low=0.1, high=10000.0)
    max_relative_depth_sigma: float = option(0.5, 'Landmarks whose depth is less certain than this part of it are '
                                             'not used', low=0.001, high=1.0)
    min_parallax_deg: float = option(1.0, 'Monocular: smallest angle between the rays of a triangulated landmark',
                                     low=0.05, high=30.0)
    keyframes: int = option(20, 'Keyframes kept in the local map', low=1, high=10000)
    prediction_s: float = option(1.0, 'While lost, the last velocity is believed for so long (s)', low=0.0, high=60.0)
    acceleration: float = option(2.0, 'While lost, how fast the velocity may be changing: uncertainty of the '
                                 'prediction (m/s^2, rad/s^2)', low=0.01, high=1000.0)


class MotionEstimator:
    """Turns every frame's matches into a pose in odom, and keeps the local map."""

    def __init__(self, config: OdometryConfig | None = None) -> None:
        """Begin without a map."""
        self.config = config or OdometryConfig()
        self.reset()

    def reset(self, T_odom_camera: np.ndarray | None = None) -> None:
        """Forget the map.

        :param T_odom_camera: where the next frame is; default: odom's origin, the camera looking along x.
        """
        self.map = LocalMap(self.config.keyframes)
        self._T_odom_camera = T_BODY_OPTICAL.copy() if T_odom_camera is None else T_odom_camera
        self._covariance = np.eye(6) * FIRST_VARIANCE
        self._velocity = np.zeros(6)
        self._velocity_covariance = np.eye(6)
        self._stamp_ns: int | None = None
        self._tracked_ns: int | None = None
        self._landmarks_made = 0

    def process(
        self, stamp_ns: int, temporal: Matches, camera: Camera, stereo: Matches | None = None,
        right_camera: Camera | None = None, depth_m: np.ndarray | None = None,
    ) -> Motion:
        """Estimate the pose of a frame.

        :param temporal: matches from an earlier frame to this one (``KeyframeMatcher``).
        :param camera: of the left (or only) image.
        :param stereo: matches from the left to the right image of this frame, with ``right_camera``.
        :param depth_m: (H, W) depth registered to the image, metres, NaN where not measured.
        :raises ValueError: naming it, when the stereo calibration has no baseline or the depth image another
            size than the camera.
        """
        pinhole = ideal(camera, self.config.rectified)
        source = self._depth_source(camera, stereo, right_camera, depth_m)
        metric = not isinstance(source, NoDepth)
        prediction = self._predict(stamp_ns)
        reference = self.map.find(temporal.stamp0_ns)
        estimate = None
        if reference is not None and len(temporal):
            pixels0 = to_ideal(camera, temporal.keypoints0, self.config.rectified)
            pixels1 = to_ideal(camera, temporal.keypoints1, self.config.rectified)
            self._complete(reference, temporal, pixels0, pinhole)
            if not metric and not (reference.landmark_ids > 0).any():
                self._initialise(reference, temporal, pixels0, pixels1, pinhole)
            estimate = self._locate(reference, temporal, pixels1, pinhole, source, prediction)
        T, covariance = self._accept(stamp_ns, reference, estimate, prediction)
        frame = Reference(stamp_ns, T, covariance, depth=source)
        if estimate is not None:
            self._inherit(reference, frame, temporal, estimate)
            if not metric:
                self._triangulate(reference, frame, temporal, pixels0, pixels1, pinhole)
            self.map.previous = frame
        if temporal.keyframe:
            self.map.add(frame)
        return Motion(
            stamp_ns, self._state(estimate, temporal, metric), T, covariance, self._velocity.copy(),
            self._velocity_covariance.copy(), 0 if estimate is None else int(estimate.inliers.sum()),
            len(temporal), temporal.keyframe, metric)

    # --- depth and landmarks ----------------------------------------------------------------------

    def _depth_source(
        self, camera: Camera, stereo: Matches | None, right_camera: Camera | None, depth_m: np.ndarray | None
    ) -> DepthSource:
        config = self.config
        if stereo is not None and right_camera is not None:
            return StereoDepth(stereo, camera, right_camera, config.rectified, config.pixel_sigma)
        if depth_m is not None:
            if depth_m.shape != (camera.height, camera.width):
                raise ValueError(
                    f'depth image is {depth_m.shape[1]}x{depth_m.shape[0]}, camera {camera.frame_id} '
                    f'{camera.width}x{camera.height}: use depth that is registered to the image')
            return ImageDepth(depth_m, config.depth_sigma, config.min_depth, config.max_depth)
        return NoDepth()

    def _complete(self, reference: Reference, temporal: Matches, pixels0: np.ndarray, pinhole: Pinhole) -> None:
        """Give the reference's keypoints that are needed now their measured landmarks."""
        indices = temporal.indices[:, 0]
        reference.reserve(int(indices.max()) + 1)
        w, sigma = reference.depth.inverse_depth(indices, temporal.keypoints0)
        with np.errstate(invalid='ignore'):
            new = (reference.landmark_ids[indices] == 0) & (sigma < self.config.max_relative_depth_sigma * w)
        if new.any():
            self._place(reference, indices[new], pinhole.rays(pixels0[new]), w[new], sigma[new], pinhole)

    def _place(
        self, frame: Reference, indices: np.ndarray, rays: np.ndarray, w: np.ndarray, sigma: np.ndarray,
        pinhole: Pinhole,
    ) -> None:
        """Add landmarks at inverse depth ``w`` along rays of a frame."""
        pixel_sigma = self.config.pixel_sigma
        noise = np.zeros((len(w), 3, 3))
        noise[:, 0, 0] = noise[:, 1, 1] = pixel_sigma**2
        noise[:, 2, 2] = sigma**2
        noise[:, 0, 2] = noise[:, 2, 0] = frame.depth.correlation * pixel_sigma * sigma
        # The pixel moves a point across its ray, the inverse depth along it.
        moves = np.zeros((len(w), 3, 3))
        moves[:, 0, 0], moves[:, 1, 1] = 1 / (pinhole.fx * w), 1 / (pinhole.fy * w)
        moves[:, :, 2] = -rays / (w**2)[:, None]
        moves = frame.T_odom_camera[:3, :3] @ moves
        points = transform(frame.T_odom_camera, rays / w[:, None])
        self._add_landmarks(frame, indices, points, moves @ noise @ moves.transpose(0, 2, 1))

    def _add_landmarks(
        self, frame: Keyframe, indices: np.ndarray, points: np.ndarray, covariance: np.ndarray
    ) -> None:
        ids = self._landmarks_made + 1 + np.arange(len(indices))
        self._landmarks_made += len(indices)
        frame.place(indices, points, covariance, ids)

    def _inherit(self, reference: Reference, frame: Reference, temporal: Matches, estimate: PoseEstimate) -> None:
        """Hand the landmarks that agreed on to the frame's keypoints."""
        known = np.flatnonzero(reference.landmark_ids[temporal.indices[:, 0]] > 0)
        index0, index1 = temporal.indices[known[estimate.inliers]].T
        frame.place(
            index1, reference.landmarks[index0], reference.landmark_covariance[index0], reference.landmark_ids[index0])

    # --- monocular --------------------------------------------------------------------------------

    def _initialise(
        self, reference: Reference, temporal: Matches, pixels0: np.ndarray, pixels1: np.ndarray, pinhole: Pinhole
    ) -> None:
        """Begin (or begin again) a monocular map: the median depth of the first landmarks is 1."""
        found = two_view.reconstruct(pixels0, pixels1, pinhole)
        if found is None:
            return
        good = np.isfinite(found.points[:, 0])
        scale = 1 / np.median(found.points[good, 2])
        T_0_1 = compose(found.T_0_1[:3, :3], found.T_0_1[:3, 3] * scale)
        self._add_seen(reference, temporal.indices[good, 0], found.points[good] * scale, T_0_1, pinhole)

    def _triangulate(
        self, reference: Reference, frame: Reference, temporal: Matches, pixels0: np.ndarray,
        pixels1: np.ndarray, pinhole: Pinhole,
    ) -> None:
        """Add landmarks for matched keypoints that have none, where the parallax allows."""
        new = np.flatnonzero(reference.landmark_ids[temporal.indices[:, 0]] == 0)
        T_0_1 = inverse(reference.T_odom_camera) @ frame.T_odom_camera
        points = two_view.triangulate(
            pixels0[new], pixels1[new], pinhole, T_0_1, np.radians(self.config.min_parallax_deg),
            self.config.threshold_px)
        good = np.isfinite(points[:, 0])
        if good.any():
            index0, index1 = temporal.indices[new[good]].T
            self._add_seen(reference, index0, points[good], T_0_1, pinhole)
            frame.place(
                index1, reference.landmarks[index0], reference.landmark_covariance[index0],
                reference.landmark_ids[index0])

    def _add_seen(
        self, reference: Reference, indices: np.ndarray, points: np.ndarray, T_0_1: np.ndarray, pinhole: Pinhole
    ) -> None:
        """Add triangulated points (N, 3) of the reference's camera; the baseline bounds their depth's certainty."""
        baseline = max(float(np.linalg.norm(T_0_1[:3, 3])), 1e-9)
        z = points[:, 2]
        sigma = np.full(len(z), np.sqrt(2) * self.config.pixel_sigma / (pinhole.fx * baseline))
        self._place(reference, indices, points / z[:, None], 1 / z, sigma, pinhole)

    # --- pose -------------------------------------------------------------------------------------

    def _locate(
        self, reference: Reference, temporal: Matches, pixels1: np.ndarray, pinhole: Pinhole, source: DepthSource,
        prediction: np.ndarray,
    ) -> PoseEstimate | None:
        """Find the frame against the reference's landmarks."""
        index0 = temporal.indices[:, 0]
        known = reference.landmark_ids[index0] > 0
        w, sigma = source.inverse_depth(temporal.indices[known, 1], temporal.keypoints1[known])
        # A match of low confidence is a keypoint of low precision.
        pixel_sigma = self.config.pixel_sigma / np.sqrt(np.clip(temporal.scores[known], 0.25, 1).astype(np.float64))
        seen = Observations(
            reference.landmarks[index0[known]], reference.landmark_covariance[index0[known]], pixels1[known],
            pixel_sigma, w, sigma, source.correlation)
        return estimate_pose(seen, pinhole, prediction, self.config.threshold_px, self.config.min_inliers)

    def _predict(self, stamp_ns: int) -> np.ndarray:
        """Return the pose at a time under the last velocity, which is believed for a while only."""
        if self._stamp_ns is None:
            return self._T_odom_camera
        seconds = (stamp_ns - self._stamp_ns) * 1e-9
        believed = self.config.prediction_s - (self._stamp_ns - (self._tracked_ns or self._stamp_ns)) * 1e-9
        seconds = float(np.clip(seconds, 0, max(0.0, believed)))
        step = compose(rotation_exp(self._velocity[3:] * seconds), self._velocity[:3] * seconds)
        return self._T_odom_camera @ step

    def _accept(
        self, stamp_ns: int, reference: Reference | None, estimate: PoseEstimate | None, prediction: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pose and covariance, found or predicted, and update the velocity."""
        elapsed = 0.0 if self._stamp_ns is None else max(0.0, (stamp_ns - self._stamp_ns) * 1e-9)
        if estimate is not None:
            T = estimate.T_world_camera
            relative = estimate.covariance
            offset = T[:3, 3] - reference.T_odom_camera[:3, 3]
            covariance = carry_covariance(reference.covariance, offset) + relative
            self._update_velocity(T, relative, elapsed)
            self._tracked_ns = stamp_ns
        elif self._stamp_ns is None:
            T, covariance = prediction, self._covariance
            self._tracked_ns = stamp_ns
        else:
            T = prediction
            drift = (self.config.acceleration * elapsed) ** 2 * max(elapsed, 1e-3) ** 2
            # The velocity's error grows while lost, and every step adds what it may have done.
            self._velocity_covariance = self._velocity_covariance + np.eye(6) * (
                self.config.acceleration * elapsed) ** 2
            R = self._T_odom_camera[:3, :3]
            moved = rotate_covariance(R, self._velocity_covariance) * elapsed**2
            covariance = self._covariance + moved + np.eye(6) * drift
        self._T_odom_camera, self._covariance, self._stamp_ns = T, covariance, stamp_ns
        return T, covariance

    def _update_velocity(self, T: np.ndarray, covariance: np.ndarray, elapsed: float) -> None:
        """Take the velocity, along the camera's axes, from the step since the last frame."""
        if elapsed <= 0:
            return
        step = inverse(self._T_odom_camera) @ T
        self._velocity = np.concatenate([step[:3, 3], rotation_log(step[:3, :3])]) / elapsed
        # Both ends of the step are uncertain, about equally.
        self._velocity_covariance = 2 * rotate_covariance(T[:3, :3].T, covariance) / elapsed**2

    def _state(self, estimate: PoseEstimate | None, temporal: Matches, metric: bool) -> TrackingState:
        if estimate is not None:
            return TrackingState.TRACKING
        first = temporal.stamp0_ns == temporal.stamp1_ns and self.map.total == 1
        mapped = any((one.landmark_ids > 0).any() for one in self.map.keyframes)
        if first or (not metric and not mapped):
            return TrackingState.INITIALIZING
        return TrackingState.LOST
