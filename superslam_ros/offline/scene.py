"""The frame of a run that its picture shows."""

from __future__ import annotations

import numpy as np

from superslam_ros.pictures.overview import Scene
from superslam_ros.slam import OdometryConfig, Step
from superslam_ros.slam.tracking.depth import depth_source


class BestScene:
    """Keeps the frame that shows best what the front-end does: many matches over a large motion."""

    def __init__(self, config: OdometryConfig) -> None:
        """Begin with nothing; ``config`` is the odometry's, which measures depth."""
        self._config = config
        self.scene: Scene | None = None
        self._score = -1.0
        self._images: dict[int, np.ndarray] = {}

    def see(self, step: Step) -> None:
        """Consider a frame."""
        stamp, temporal = step.frame.stamp_ns, step.temporal
        self._images[stamp] = step.frame.image
        reference = self._images.get(temporal.stamp0_ns, step.frame.image)
        moved = np.linalg.norm(temporal.keypoints1 - temporal.keypoints0, axis=1)
        score = (
            step.motion.inliers * min(float(np.median(moved)), 0.05 * step.frame.image.shape[1])
            if len(temporal)
            else 0
        )
        if score > self._score:
            self._score = score
            self.scene = Scene(
                step.frame.image, step.features, reference, temporal, *keypoint_depths(step, self._config))
        keep = {stamp, temporal.stamp0_ns} if not temporal.keyframe else {stamp}
        self._images = {key: image for key, image in self._images.items() if key in keep}


def keypoint_depths(step: Step, config: OdometryConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 2) keypoints whose depth was measured in this frame, and their depths (N,) in metres."""
    frame, pixels = step.frame, step.features.keypoints
    source = depth_source(
        frame.camera, step.stereo, frame.right_camera, frame.depth_m, config, config.pixel_sigma * step.features.scales)
    inverse, sigma = source.inverse_depth(np.arange(len(pixels)), pixels)
    measured = inverse > sigma
    return pixels[measured], 1 / inverse[measured]
