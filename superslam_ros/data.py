"""What travels between the stages, and the conventions they share.

Pixels
    A pixel's centre is at integer coordinates: (0, 0) is the centre of the top-left pixel, x to the
    right, y down. Keypoints are float32 pixels of the *original* image, whatever size a network saw.
Poses
    ``T_a_b`` is a 4x4 float64 matrix that maps a point in frame b to frame a: ``p_a = T_a_b @ p_b``.
    Camera frames are optical (z forward, x right, y down; REP-103); the pose that odometry reports is
    ``T_odom_camera``, odom being a right-handed frame with z up in which the first camera looks along x.
Units
    Metres, seconds, radians; times are integer nanoseconds (``stamp_ns``).
Covariances
    6x6 in the order x, y, z, rotation about x, y, z (REP-103), axes fixed to the named frame.
Absence
    What is not known is None, or not listed: ``Matches`` lists index pairs, there is no -1.
    A depth that was not measured is NaN.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from superslam_ros.camera import Camera

if TYPE_CHECKING:
    import torch

JUMP_BACK_NS = 1_000_000_000
"""A stamp so much older than the last one is a new beginning (a looped bag); less is a frame out of order."""


@dataclass
class Frame:
    """One instant of a camera: the image and whatever was recorded with it.

    ``image`` and ``right_image`` are (H, W) uint8; ``depth_m`` is (H, W) float32 metres along z of the
    camera, registered to ``image``, NaN where not measured; ``mask`` is (H, W), zero where no keypoints are to be.
    """

    stamp_ns: int
    image: np.ndarray
    camera: Camera | None = None
    right_image: np.ndarray | None = None
    right_camera: Camera | None = None
    depth_m: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class PosedImage:
    """A gray image of an ideal pinhole camera with its depth and its pose: what training takes of a bag.

    ``image`` (H, W) uint8; ``depth_m`` (H, W) float32 along z, NaN where not known; ``K`` (3, 3);
    ``T_world_camera`` (4, 4).
    """

    image: np.ndarray
    depth_m: np.ndarray
    K: np.ndarray
    T_world_camera: np.ndarray


class Features:
    """Keypoints of one image with their descriptors.

    :ivar keypoints: (N, 2) float32 pixels (x, y) of the original image.
    :ivar scores: (N,) float32 detection confidences in [0, 1], in decreasing order.
    :ivar image_size: (width, height) of the original image.
    :ivar scales: (N,) float32, how many times smaller the copy of the image is in which a keypoint was found: 1 for
        the image itself. So many times less exact the odometry takes its pixels to be.
    :ivar weights: SHA-256 of the weights that made the descriptors; empty where there are none (SIFT), or not known.
    :ivar stability: (N,) float32 probabilities that what a keypoint shows stays where it is and looks the same from
        elsewhere; None where the weights do not say.

    Descriptors are unit-length float32 rows. They may have been made on a GPU and stay there until
    someone asks for the array.
    """

    def __init__(
        self,
        keypoints: np.ndarray,
        scores: np.ndarray,
        descriptors: np.ndarray | torch.Tensor,
        image_size: tuple[int, int],
        scales: np.ndarray | None = None,
        weights: str = '',
        stability: np.ndarray | None = None,
    ) -> None:
        """Store the arrays, ``scales`` by default 1.

        :raises ValueError: when their lengths disagree, a scale is not a positive number or a stability no probability.
        """
        self.keypoints = np.ascontiguousarray(keypoints, dtype=np.float32).reshape(-1, 2)
        self.scores = np.ascontiguousarray(scores, dtype=np.float32).reshape(-1)
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.weights = weights
        is_array = isinstance(descriptors, np.ndarray)
        self._tensor = None if is_array else descriptors
        self._array = np.ascontiguousarray(descriptors, dtype=np.float32) if is_array else None
        if scales is None:
            scales = np.ones(len(self.scores))
        self.scales = np.ascontiguousarray(scales, dtype=np.float32).reshape(-1)
        counts = len(self.keypoints), len(self.scores), len(descriptors), len(self.scales)
        if len(set(counts)) != 1:
            raise ValueError(f'features: {counts[0]} keypoints, {counts[1]} scores, {counts[2]} descriptors, '
                             f'{counts[3]} scales')
        if not ((self.scales > 0) & np.isfinite(self.scales)).all():
            raise ValueError('features: scales must be positive numbers')
        self.stability = stability if stability is None else np.ascontiguousarray(stability, np.float32).reshape(-1)
        if stability is not None and not (
                len(self.stability) == len(self) and ((self.stability >= 0) & (self.stability <= 1)).all()):
            raise ValueError(f'features: stability of {len(self.stability)} values for {len(self)} keypoints, or not '
                             'from 0 to 1')

    def __len__(self) -> int:
        """Return the number of keypoints."""
        return len(self.keypoints)

    @property
    def descriptor_size(self) -> int:
        """Length of a descriptor: 256 for SuperPoint."""
        stored = self._array if self._tensor is None else self._tensor
        return int(stored.shape[1])

    def finite(self) -> bool:
        """Whether every descriptor value is a number, looked at where the descriptors are."""
        if self._tensor is None:
            return bool(np.isfinite(self._array).all())
        return bool(self._tensor.isfinite().all())

    @property
    def descriptors(self) -> np.ndarray:
        """(N, D) float32 array; D is 256 for SuperPoint."""
        if self._array is None:
            self._array = np.ascontiguousarray(self._tensor.detach().float().cpu().numpy())
        return self._array

    def descriptors_on(self, device: torch.device | str) -> torch.Tensor:
        """Return the descriptors as a float32 (N, D) tensor on ``device``, without a copy where it is there."""
        import torch

        if self._tensor is None:
            self._tensor = torch.from_numpy(self._array)
        if self._tensor.device != torch.device(device):
            self._tensor = self._tensor.to(device)
        return self._tensor.float()


@dataclass
class Matches:
    """Pairs of keypoints of image 0 and image 1 that show the same point.

    :ivar indices: (M, 2) int64 rows (index in image 0, index in image 1); each index at most once.
    :ivar scores: (M,) float32 confidences in [0, 1].
    :ivar keypoints0: (M, 2) float32 pixels in image 0.
    :ivar keypoints1: (M, 2) float32 pixels in image 1.
    :ivar stamp0_ns: time of image 0; ``stamp1_ns`` of image 1.
    :ivar keyframe: image 1 becomes the reference (image 0) of the following temporal matches.
    """

    indices: np.ndarray
    scores: np.ndarray
    keypoints0: np.ndarray
    keypoints1: np.ndarray
    stamp0_ns: int = 0
    stamp1_ns: int = 0
    keyframe: bool = False

    def __len__(self) -> int:
        """Return the number of matches."""
        return len(self.indices)

    @classmethod
    def of(cls, features0: Features, features1: Features, indices: np.ndarray, scores: np.ndarray) -> Matches:
        """Make matches from index pairs and look their pixels up."""
        indices = np.asarray(indices, dtype=np.int64).reshape(-1, 2)
        scores = np.asarray(scores, dtype=np.float32).reshape(-1)
        return cls(indices, scores, features0.keypoints[indices[:, 0]], features1.keypoints[indices[:, 1]])

    def select(self, keep: np.ndarray) -> Matches:
        """Return the matches of a boolean mask or an index array, with the stamps kept."""
        return Matches(
            self.indices[keep], self.scores[keep], self.keypoints0[keep], self.keypoints1[keep],
            self.stamp0_ns, self.stamp1_ns, self.keyframe,
        )


class TrackingState(enum.IntEnum):
    """How far the odometry knows where it is; the numbers are those of TrackingStatus.msg."""

    INITIALIZING = 0
    TRACKING = 1
    LOST = 2


@dataclass
class Motion:
    """The odometry's answer for one frame.

    :ivar T_odom_camera: (4, 4) pose of the left (or only) optical frame in odom.
    :ivar covariance: (6, 6) of that pose, in odom.
    :ivar velocity: (6,) linear m/s and angular rad/s of the camera, in the camera's optical frame.
    :ivar velocity_covariance: (6, 6) of it.
    :ivar inliers: how many landmarks support the pose; 0 when it is predicted.
    :ivar metric: False when the scale is not metres (monocular).
    :ivar still: the camera stands still, and its pose is held.
    :ivar repeated: the image is the one before, to the last bit; the pose is held, and trusted less and less.
    :ivar guessed: the pose goes on as other sensors tell, such as wheels, because the image does not tell it.
    """

    stamp_ns: int
    state: TrackingState
    T_odom_camera: np.ndarray
    covariance: np.ndarray
    velocity: np.ndarray
    velocity_covariance: np.ndarray
    inliers: int = 0
    matches: int = 0
    keyframe: bool = False
    metric: bool = True
    still: bool = False
    repeated: bool = False
    guessed: bool = False
