"""The spine: from a frame to where the camera is."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from superslam_ros.config import group
from superslam_ros.data import Features, Frame, Matches, Motion
from superslam_ros.slam.checks import SkippedFrame, StampOrder, camera_of
from superslam_ros.slam.extract import Extractor, ExtractorConfig, use_threads
from superslam_ros.slam.guess import GuessConfig
from superslam_ros.slam.imu import ImuConfig
from superslam_ros.slam.interrupt import Interrupt, go_on
from superslam_ros.slam.mapping.smoothing import SmootherConfig
from superslam_ros.slam.match import Matcher, MatcherConfig, warn_of_strangers
from superslam_ros.slam.motion import MotionEstimator
from superslam_ros.slam.odometry_config import OdometryConfig
from superslam_ros.slam.temporal import KeyframeMatcher, TemporalConfig

log = logging.getLogger(__name__)


class FeatureExtractor(Protocol):
    """SuperPoint, or what stands in for it."""

    name: str

    def batch(
        self, grays: Sequence[np.ndarray], given: Sequence[np.ndarray | None] | None = None
    ) -> list[Features]:
        """Return the features of some images, outside of the masks that are ``given`` (zero: none are to be there)."""


@dataclass(frozen=True)
class SlamConfig:
    """Options of the whole chain."""

    extractor: ExtractorConfig = group(ExtractorConfig)
    matcher: MatcherConfig = group(MatcherConfig)
    temporal: TemporalConfig = group(TemporalConfig)
    odometry: OdometryConfig = group(OdometryConfig)
    smoother: SmootherConfig = group(SmootherConfig)
    guess: GuessConfig = group(GuessConfig)
    imu: ImuConfig = group(ImuConfig)


@dataclass
class Step:
    """Everything one frame gave, stage by stage; ``timings_ms`` by stage name."""

    frame: Frame
    features: Features
    right_features: Features | None
    temporal: Matches
    stereo: Matches | None
    motion: Motion
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass
class Extracted:
    """A frame with its features, and the milliseconds that they took."""

    frame: Frame
    features: Features
    right_features: Features | None
    timings_ms: dict[str, float] = field(default_factory=dict)


class VisualOdometry:
    """SuperPoint, matching and motion estimation on frames in the order of their stamps."""

    def __init__(
        self,
        config: SlamConfig | None = None,
        extractor: FeatureExtractor | None = None,
        matcher: Callable[[Features, Features], Matches] | None = None,
        interrupt: Interrupt = go_on,
    ) -> None:
        """Load the networks, where none are given.

        :param interrupt: called between parts of the networks' work; what it raises comes out of :meth:`process`, and
            the frame is as if it had not been.
        :raises FileNotFoundError: when weights are missing.
        :raises ValueError: when weights are of another architecture.
        :raises RuntimeError: when the device is not there.
        """
        self.config = config or SlamConfig()
        self.extractor = extractor or Extractor(self.config.extractor, interrupt)
        self.matcher = matcher or Matcher(self.config.matcher, interrupt)
        if matcher is None and isinstance(self.extractor, Extractor):
            warn_of_strangers(self.extractor.config, self.config.matcher)
        self.temporal = KeyframeMatcher(self.matcher, self.config.temporal)
        self.motion = MotionEstimator(self.config.odometry, self.config.smoother)
        self.skipped: Counter[str] = Counter()
        self.resets: Counter[str] = Counter()
        self.order = StampOrder()

    def reset(self, reason: str) -> None:
        """Forget the past; the next frame begins a new odometry at the origin."""
        log.warning('odometry reset: %s', reason)
        self.resets[reason] += 1
        self.temporal.reset()
        self.motion.reset()
        self.order.reset()

    def retune(self, config: SlamConfig) -> None:
        """Take over the live options of a configuration, from the next frame on; the others stay as they were built."""
        self.config = config
        self.extractor.config, self.matcher.config = config.extractor, config.matcher
        self.temporal.config, self.motion.config = config.temporal, config.odometry

    def process(self, frame: Frame) -> Step | None:
        """Take one frame through all stages.

        :returns: None for a frame that cannot be used; why is logged and counted in ``skipped``.
        """
        try:
            self.check_images(frame)
            self.check_stamp(frame)
            extracted = self.extract(frame)
        except SkippedFrame as skip:
            self.skipped[skip.reason] += 1
            level = logging.WARNING if self.skipped[skip.reason] == 1 else logging.DEBUG
            log.log(level, 'frame at %.3f s skipped: %s (said once per reason)', frame.stamp_ns * 1e-9, skip)
            return None
        return self.track(extracted)

    def extract(self, frame: Frame) -> Extracted:
        """Find the keypoints of a frame that has passed ``check_images``.

        Nothing that :meth:`track` works with is touched: those of the next frame can be found meanwhile.
        """
        timings: dict[str, float] = {}
        # 1. Keypoints and descriptors, of both images at once.
        with timed(timings, 'extract'):
            images = [frame.image] if frame.right_image is None else [frame.image, frame.right_image]
            masked = [] if frame.mask is None else [[frame.mask, None][:len(images)]]
            features, *right = self.extractor.batch(images, *masked)
        return Extracted(frame, features, right[0] if right else None, timings)

    def track(self, extracted: Extracted) -> Step:
        """Take a frame through the other stages that has passed ``check_stamp``."""
        frame, features, right_features = extracted.frame, extracted.features, extracted.right_features
        timings = extracted.timings_ms
        use_threads(self.config.extractor.threads)

        # 2. Left to right, for depth; the reference keyframe to now, for motion.
        with timed(timings, 'match'):
            stereo, temporal = self.temporal.with_stereo(features, right_features, frame.stamp_ns)
        # 3. and 4. Where the camera is, and what it has seen.
        with timed(timings, 'motion'):
            motion = self.motion.process(
                features, temporal, frame.camera, stereo, frame.right_camera, frame.depth_m)

        self.order.accept(frame.stamp_ns)
        return Step(frame, features, right_features, temporal, stereo, motion, timings)

    def check_images(self, frame: Frame) -> None:
        """Refuse images that would spoil the map, and give them their cameras.

        :raises SkippedFrame: saying why.
        """
        if frame.camera is None:
            raise SkippedFrame('no calibration', 'no camera_info has come for it yet')
        frame.camera = camera_of(frame.image.shape, frame.camera, 'image')
        if frame.right_image is not None:
            if frame.right_camera is None:
                raise SkippedFrame('no calibration', 'no camera_info of the right camera has come yet')
            frame.right_camera = camera_of(frame.right_image.shape, frame.right_camera, 'right image')
        if frame.depth_m is not None and frame.depth_m.shape != frame.image.shape:
            height, width = frame.depth_m.shape
            raise SkippedFrame(
                'depth of another size',
                f'depth is {width}x{height}, the image {frame.image.shape[1]}x{frame.image.shape[0]}; '
                'use depth that is registered to the image')

    def check_stamp(self, frame: Frame) -> None:
        """Refuse a frame out of order, and start over where time jumped back.

        :raises SkippedFrame: saying why.
        """
        if self.order.jumped_back(frame.stamp_ns):
            self.reset('time jumped back')


@contextmanager
def timed(timings_ms: dict[str, float], stage: str) -> Iterator[dict[str, float]]:
    """Put the milliseconds that a stage takes under its name."""
    start = time.perf_counter()
    yield timings_ms
    timings_ms[stage] = (time.perf_counter() - start) * 1e3
