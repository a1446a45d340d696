"""Stage 3: features, matches and depths to motion."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from superslam_ros.data import Camera, Features, Matches, Motion, TrackingState
from superslam_ros.geometry.camera import alone, ideal, rectification, to_ideal
from superslam_ros.geometry.pnp import PoseEstimate
from superslam_ros.geometry.pose import (
    T_BODY_OPTICAL,
    at_least,
    carry_covariance,
    compose,
    inverse,
    rotate_covariance,
    transform,
)
from superslam_ros.slam.mapping import landmarks
from superslam_ros.slam.mapping.map import LocalMap, View
from superslam_ros.slam.mapping.smoothing import Smoother, SmootherConfig
from superslam_ros.slam.odometry_config import OdometryConfig
from superslam_ros.slam.tracking import monocular
from superslam_ros.slam.tracking.aided import Aided
from superslam_ros.slam.tracking.depth import DepthSource, StereoDepth, depth_source
from superslam_ros.slam.tracking.disparity import DisparityMonitor, correct
from superslam_ros.slam.tracking.dynamics import FIRST_VARIANCE, Dynamics
from superslam_ros.slam.tracking.holding import Holding
from superslam_ros.slam.tracking.localize import locate
from superslam_ros.slam.tracking.noise import KeypointNoise
from superslam_ros.slam.tracking.prediction import Predictor
from superslam_ros.slam.tracking.rest import Rest, RestDetector

log = logging.getLogger(__name__)


class MotionEstimator(Aided):
    """Turns every frame's matches into a pose in odom, and keeps the local map.

    :ivar metric: whether the unit is the metre; ``doubt``: what uncertain scales add to covariances.
    :ivar no_depth: why the last frames that should have had depths had none.
    :ivar disparity: what is known of the offset of a stereo pair's disparities.
    :ivar noise: of keypoints.
    :ivar T_base_camera: (4, 4) of the camera on what moves in a plane, for ``two_d``; until it is known, of one that
        looks along x. Taken over with the first frame after a reset.
    """

    def __init__(
        self, config: OdometryConfig | None = None, smoother: SmootherConfig | None = None,
        predictor: Predictor | None = None,
    ) -> None:
        """Begin without a map.

        :raises ImportError: when a smoother is asked for that is not installed.
        """
        super().__init__(predictor)
        self.config = config or OdometryConfig()
        smoother = smoother or SmootherConfig()
        # The oldest keyframe of the window has to be in the map.
        smoother = replace(smoother, window=min(smoother.window, self.config.keyframes))
        self.smoother = Smoother(smoother, self.config.min_inliers)
        self._rest = RestDetector(self.config.still_px)
        self._warnings: set[str] = set()
        self.no_depth = ''
        self._start = self.T_base_camera = T_BODY_OPTICAL
        self.disparity = DisparityMonitor(self.config.disparity_offset)
        self.reset()

    def begin_at(self, T_odom_camera: np.ndarray) -> None:
        """Say where the first frame is, after every reset; by default at odom's origin, the camera looking along x."""
        if not np.array_equal(T_odom_camera, self._start):
            self._start = T_odom_camera
            self.reset()

    def reset(self) -> None:
        """Forget the map."""
        self._compare_anew()
        self.dynamics = Dynamics(
            self._start.copy(), self.config.prediction_s, self.config.acceleration, self._guess)
        self.noise = KeypointNoise(self.config.pixel_sigma)
        self.metric = False
        self._holding = Holding(self._warn_once)
        self._mono_depth: float | None = None
        self.doubt = monocular.ScaleDoubt()
        self.begin_segment()

    def begin_segment(self) -> None:
        """Forget the map, but not where the camera is: odom goes on, as unsure as the prediction."""
        self.map = LocalMap(self.config.keyframes)
        self.smoother.reset()
        self._rest.reset()

    def process(
        self, features: Features, temporal: Matches, camera: Camera, stereo: Matches | None = None,
        right_camera: Camera | None = None, depth_m: np.ndarray | None = None,
    ) -> Motion:
        """Estimate the pose of a frame.

        :param features: of the left (or only) image.
        :param temporal: matches from an earlier frame to this one (``KeyframeMatcher``), with its stamp.
        :param camera: of the left (or only) image.
        :param stereo: matches from the left to the right image of this frame, with ``right_camera``.
        :param depth_m: (H, W) depth registered to the image, metres, NaN where not measured.
        :raises ValueError: naming it, when the stereo calibration has no baseline or the depth image another
            size than the camera.
        """
        if not self.config.rectified and right_camera is None:
            camera = alone(camera)
        R_ideal_camera = self._R_ideal_camera = rectification(camera, self.config.rectified)
        if self.dynamics.stamp_ns is None:
            R_camera_ideal = compose(R_ideal_camera.T, np.zeros(3))
            T, covariance = self._holding.begin(
                self.config, self.imu, self._start, self.T_base_camera, R_camera_ideal, temporal.stamp1_ns)
            self.dynamics.place(T, covariance + np.eye(6) * FIRST_VARIANCE)
        source = depth_source(
            camera, stereo, right_camera, depth_m, self.config, self.noise.sigma_px * features.scales,
            self.disparity.applied_px)
        self._note_depth(source.problem)
        if self.map.keyframes and self.map.keyframes[-1].features.image_size != features.image_size:
            log.warning('the image size has changed: a new map begins where the camera is thought to be')
            self.begin_segment()
        stamp_ns = temporal.stamp1_ns
        view = self._view(features, temporal, camera, source, self.dynamics.predict(stamp_ns))
        if view.has_depth and not self.metric:
            if len(self.map.landmarks):
                log.warning('depth has come: the map without scale is given up')
                self.begin_segment()
            self.metric, self.doubt, self.no_depth = True, monocular.ScaleDoubt(), ''
        rest = self._rest.update(temporal)
        reference = self.map.find(temporal.stamp0_ns)
        if reference is not None and reference.number < 0:
            self._add_keyframe(reference, None, None)
        estimate = None if reference is None else self._locate(view, reference, temporal)
        estimate, contradicted = self._with_gyroscope(estimate, self.dynamics, self.noise.honesty())
        if contradicted:
            view.landmark_ids = np.zeros_like(view.landmark_ids)
        turn = None
        if estimate is None and reference is not None and not contradicted:
            turn = monocular.turned(view, reference, temporal, self.config)
        guessed = self._move(view, reference, estimate, turn, rest)
        if estimate is not None and rest is Rest.MOVING and isinstance(source, StereoDepth):
            self._watch_disparity(view, reference, temporal, source)
        if estimate is not None:
            self.map.previous = view
        if view.has_depth:
            self.doubt.settle(view.T_odom_camera[:3, 3])
        if temporal.keyframe:
            if estimate is None and turn is None:
                self.smoother.reset()
            if estimate is not None:
                self._holding.hold_upright(view, self.imu, R_ideal_camera, self.metric)
            self._add_keyframe(view, reference if estimate is not None else None, temporal)
            self.dynamics.correct(view.T_odom_camera, view.covariance)
        elif estimate is not None:
            landmarks.triangulate(self.map, reference, view, temporal, self.config)
        state = self._state(estimate is not None, turn is not None, temporal)
        inliers = 0 if estimate is None else int(estimate.inliers.sum())
        return self._motion(view, temporal, state, inliers, rest, guessed)

    def _motion(
        self, view: View, temporal: Matches, state: TrackingState, inliers: int, rest: Rest, guessed: bool
    ) -> Motion:
        """Return what is told to others, of the camera of the images: a stereo pair's ideal one is turned from it."""
        T, velocity, honesty = view.T_odom_camera, self.dynamics.velocity, self.noise.honesty()
        R_ideal_camera = self._R_ideal_camera
        velocity_covariance = self.dynamics.velocity_covariance * honesty + self.doubt.of_velocity(velocity)
        covariance, o = view.covariance * honesty + self.doubt.of_position(T[:3, 3]), self.config
        return Motion(
            view.stamp_ns, state, T @ compose(R_ideal_camera, np.zeros(3)),
            at_least(covariance, o.least_position_sigma, o.least_rotation_sigma),
            (velocity.reshape(2, 3) @ R_ideal_camera).ravel(),
            at_least(rotate_covariance(R_ideal_camera.T, velocity_covariance), o.least_speed_sigma, o.least_turn_sigma),
            inliers, len(temporal), temporal.keyframe, self.metric, rest is not Rest.MOVING and not guessed,
            rest is Rest.REPEATED, guessed)

    def _note_depth(self, problem: str) -> None:
        """Say once that a frame's depths are of no use, and keep why for those who ask where the scale is."""
        if problem:
            self.no_depth = problem
            self._warn_once(f'{problem}. Without depth there is no scale', 'no depth')

    def _watch_disparity(self, view: View, reference: View, temporal: Matches, source: StereoDepth) -> None:
        """Look whether near and far points agree on the motion, and correct what was measured if that is wanted."""
        if self.config.disparity_correction == 'off':
            return
        self.disparity.see(view, reference, temporal, source.scale)
        if self.config.disparity_correction == 'warn':
            self.disparity.tell()
        elif change_px := self.disparity.correction():
            correct(self.map, [view], change_px / source.scale)
            self.smoother.reset()

    def _warn_once(self, warning: str, about: str = '') -> None:
        if (about or warning) not in self._warnings:
            self._warnings.add(about or warning)
            log.warning(warning)

    @property
    def beyond_plane(self) -> int:
        """Poses since the last reset that were beyond the plane of ``two_d``, and left as vision has them."""
        return self._holding.beyond

    @property
    def without_scale(self) -> bool:
        """Whether the map is in other units than metres."""
        return not self.metric and len(self.map.landmarks) > 0

    # --- what a frame measures --------------------------------------------------------------------

    def _view(
        self, features: Features, temporal: Matches, camera: Camera, source: DepthSource, T_odom_camera: np.ndarray
    ) -> View:
        count = len(features)
        w, w_sigma = source.inverse_depth(np.arange(count), features.keypoints)
        return View(
            temporal.stamp1_ns, T_odom_camera, np.eye(6), features, pinhole=ideal(camera, self.config.rectified),
            pixels=to_ideal(camera, features.keypoints, self.config.rectified),
            pixel_sigma=self.noise.of(features, temporal),
            inverse_depth=w, inverse_depth_sigma=w_sigma, correlation=source.correlation)

    # --- landmarks --------------------------------------------------------------------------------

    def _add_keyframe(self, view: View, reference: View | None, temporal: Matches | None) -> None:
        """Put a frame into the map: its landmarks, then the adjustment of all."""
        self.map.add(view)
        landmarks.measure(self.map, view, self.config)
        if reference is not None:
            landmarks.triangulate(self.map, reference, view, temporal, self.config)
        if len(self.map.landmarks):
            held = self._holding.prior(view, self.metric)
            self.smoother.update(self.map, any(one.has_depth for one in self.map.keyframes[-2:]), held)
            if held is not None:
                view.covariance = self._holding.at_least(view, self.metric)
            self.map.fuse_descriptors()
            self.map.cull()
            self._remember_depth(view, self.map.landmarks.points[self.map.known(view)[1]])

    def _remember_depth(self, view: View, points: np.ndarray) -> None:
        """Keep the median depth of points (N, 3) in odom, for a monocular map that begins when all are lost."""
        if len(points):
            away = transform(inverse(view.T_odom_camera), points)
            self._mono_depth = max(1e-3, float(np.median(away[:, 2])))

    # --- pose -------------------------------------------------------------------------------------

    def _locate(self, view: View, reference: View, temporal: Matches) -> PoseEstimate | None:
        """Find the frame against the map, which begins with it where one camera alone has none yet."""
        if not len(self.map.known(reference, temporal.indices[:, 0])[1]) and not reference.has_depth and len(temporal):
            self._begin_monocular(view, reference, temporal)
        return locate(view, reference, temporal, self.map, self.config)

    def _begin_monocular(self, view: View, reference: View, temporal: Matches) -> None:
        """Begin (or begin again) a monocular map."""
        # A map that begins again keeps the scale of the last one as well as it can.
        first = replace(self.config, first_baseline=0.0, camera_height=0.0) if self.metric else self.config
        told = self._guess(reference.stamp_ns, view.stamp_ns)
        baseline = None if told is None or told.rotation_only else monocular.distance(told)
        try:
            found = monocular.begin(view, reference, temporal, first, self._mono_depth, baseline)
        except monocular.NoGround as problem:
            self._warn_once(str(problem))
            return
        if found is None:
            return
        view.T_odom_camera = found.T_odom_camera
        self.metric |= found.metric
        self.doubt.begin(found.scale_sigma, reference.T_odom_camera[:3, 3])
        self._remember_depth(view, found.points)
        good, points, covariance = found.matches, found.points, found.covariance
        reference.landmark_ids[temporal.indices[good, 0]] = landmarks.make(
            self.map, points, covariance, view, temporal.indices[good, 1])

    def _move(
        self, view: View, reference: View | None, estimate: PoseEstimate | None, turn: np.ndarray | None, rest: Rest
    ) -> bool:
        """Give the view its pose and covariance, found or predicted, and update the velocity.

        :returns: whether the pose is what other sensors tell.
        """
        dynamics, stamp_ns = self.dynamics, view.stamp_ns
        guessed = dynamics.knows(stamp_ns) and (estimate is None or rest is Rest.REPEATED)
        if rest is Rest.REPEATED and guessed:
            view.T_odom_camera, view.covariance = dynamics.dead_reckon(stamp_ns, dynamics.predict(stamp_ns))
        elif rest is Rest.REPEATED and dynamics.stamp_ns is not None:
            view.T_odom_camera, view.covariance = dynamics.hold_unmeasured(stamp_ns)
        elif estimate is not None:
            offset = estimate.T_world_camera[:3, 3] - reference.T_odom_camera[:3, 3]
            T, covariance = self._holding.hold(
                estimate.T_world_camera, carry_covariance(reference.covariance, offset) + estimate.covariance,
                self.metric)
            if rest is Rest.STILL:
                view.T_odom_camera, view.covariance = dynamics.hold(
                    stamp_ns, T, covariance, estimate.covariance)
            else:
                view.T_odom_camera, view.covariance = T, covariance
                dynamics.measure(stamp_ns, view.T_odom_camera, covariance, estimate.covariance)
            if estimate.inliers.sum() >= 30:
                self.noise.learn(estimate, self.map, view.correlation > 0)
            self._compare(view.stamp_ns, view.T_odom_camera, estimate.covariance * self.noise.honesty())
        elif turn is not None:
            view.T_odom_camera, view.covariance = dynamics.turn(stamp_ns, view.T_odom_camera, turn)
        else:
            view.T_odom_camera, view.covariance = dynamics.dead_reckon(stamp_ns, view.T_odom_camera)
        if estimate is None or rest is Rest.REPEATED:
            self._interrupt()
            if self._holding.in_plane:
                view.T_odom_camera, view.covariance = self._holding.hold(
                    view.T_odom_camera, view.covariance, self.metric)
                dynamics.correct(view.T_odom_camera, view.covariance)
        return guessed

    def _state(self, located: bool, turned: bool, temporal: Matches) -> TrackingState:
        first = temporal.stamp0_ns == temporal.stamp1_ns and self.map.total == 1
        if not located and (first or (not self.metric and not len(self.map.landmarks))):
            return TrackingState.INITIALIZING
        return TrackingState.TRACKING if located or turned else TrackingState.LOST
