"""The frame of a run that its picture shows."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.camera import ideal, to_ideal
from superslam_ros.offline.picture import Scene
from superslam_ros.slam import Step


class BestScene:
    """Keeps the frame that shows best what the front-end does: many matches over a large motion."""

    def __init__(self) -> None:
        """Begin with nothing."""
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
            points, depths = keypoint_depths(step)
            self.scene = Scene(
                step.frame.image, step.features, reference, temporal, points, depths, step.motion.metric)
        keep = {stamp, temporal.stamp0_ns} if not temporal.keyframe else {stamp}
        self._images = {key: image for key, image in self._images.items() if key in keep}


def keypoint_depths(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 2) keypoints whose depth was measured in this frame, and their depths (N,) in metres."""
    frame = step.frame
    if step.stereo is not None and len(step.stereo) and frame.right_camera is not None:
        left = to_ideal(frame.camera, step.stereo.keypoints0, False)
        right = to_ideal(frame.right_camera, step.stereo.keypoints1, False)
        disparity = left[:, 0] - right[:, 0]
        pinhole = ideal(frame.right_camera, False)
        good = (disparity > 0.5) & (np.abs(left[:, 1] - right[:, 1]) < 2)
        scale = pinhole.fx * abs(frame.right_camera.baseline_to(frame.camera))
        return step.stereo.keypoints0[good], scale / disparity[good]
    if frame.depth_m is not None and len(step.features):
        x, y = np.rint(step.features.keypoints).astype(int).T
        height, width = frame.depth_m.shape
        depth = frame.depth_m[y.clip(0, height - 1), x.clip(0, width - 1)]
        good = np.isfinite(depth)
        return step.features.keypoints[good], depth[good]
    return np.zeros((0, 2)), np.zeros(0)
