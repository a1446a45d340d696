"""The demo bag: a stereo camera with depth carried through a rendered room or building, with exact ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros import worlds
from superslam_ros.bags.bag import BagError
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.bags.writer import BagWriter
from superslam_ros.data import Frame
from superslam_ros.evaluation.trajectory import write_tum
from superslam_ros.geometry.pose import compose, inverse

LEFT, RIGHT, DEPTH, TRUTH = '/camera/left', '/camera/right', '/camera/depth/image_rect', '/ground_truth'
IMU, IMU_FRAME, IMU_HZ = '/imu/data', 'imu_link', 200.0
T_IMU_CAMERA = compose([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0.03, 0.06, -0.02])
"""The left optical frame on the IMU, whose x is ahead and z up (REP 103)."""


@dataclass(frozen=True)
class DemoOptions:
    """What the demo looks like; the default is 6.5 s of 320x240 at 20 Hz in a room.

    :ivar frames: how many; in a building the most, and None for the whole walk.
    :ivar seed: of textures, path and noise.
    :ivar building: walk through this building, as ``walk`` says, in place of the room; with ``hazards`` on the way.
    :ivar imu: record an IMU besides, on the same path.
    """

    frames: int | None = 130
    seed: int = 0
    width: int = 320
    height: int = 240
    rate_hz: float = 20.0
    baseline_m: float = 0.12
    texels_per_metre: int = 320
    building: worlds.BuildingOptions | None = None
    walk: worlds.Walk = field(default_factory=worlds.Walk)
    light: str = 'day'
    hazards: worlds.HazardOptions | None = None
    imu: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        :raises BagError: naming it.
        """
        if (self.frames is not None and self.frames < 2) or min(self.width, self.height) < 64 or not self.rate_hz > 0:
            raise BagError('demo: at least 2 frames of 64x64 at a positive rate')
        if self.light not in worlds.LIGHTS:
            raise BagError(f'demo: no light {self.light}; there are {", ".join(worlds.LIGHTS)}')

    def recording(self) -> worlds.Recording:
        """Return what is recorded.

        :raises BagError: for a walk that is none.
        """
        left, right = worlds.stereo_pair(self.width, self.height, baseline_m=self.baseline_m)
        photometry = worlds.Photometry(replace(worlds.LIGHTS[self.light], seed=self.seed))
        if self.building is None:
            poses = worlds.demo_trajectory(self.frames or 130, self.rate_hz, self.seed)
            return worlds.Recording(worlds.room_world(self.seed, self.texels_per_metre), poses, self.rate_hz,
                                    photometry, left, right)
        try:
            poses = worlds.walk(self.building, replace(self.walk, rate_hz=self.rate_hz, seed=self.seed))
        except ValueError as error:
            raise BagError(f'demo: {error}') from error
        building = worlds.building(self.building)
        hazards = self.hazards and worlds.Hazards(building, poses, self.rate_hz, self.hazards)
        return worlds.Recording(building, poses[:self.frames], self.rate_hz, photometry, left, right, hazards=hazards)


def render_frames(options: DemoOptions) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yield (stereo frame with depth, T_world_camera); the depth is exact, the images have sensor noise."""
    yield from options.recording()


def write_demo(
    folder: Path, options: DemoOptions | None = None, progress: Callable[[], None] = lambda: None,
    begin: Callable[[int], None] = lambda frames: None,
) -> tuple[Path, Path]:
    """Write the bag ``folder/demo`` and its ground truth ``folder/demo.tum`` (T_world_camera, left optical).

    The same options give the same bytes.

    :param progress: called after every frame; ``begin`` before the first, with their number.
    :returns: the paths of both.
    :raises BagError: when the folder cannot be written.
    """
    options = options or DemoOptions()
    bag, truth = Path(folder) / 'demo', Path(folder) / 'demo.tum'
    make, recording = Messages(typestore()), options.recording()
    begin(len(recording))
    stamps, poses = [], []
    measured = _imu(make, recording, options.seed) if options.imu else iter(())
    upcoming = next(measured, None)
    with BagWriter(bag, make.store) as writer:
        for frame, pose in recording:
            if not stamps:
                _write_static(writer, make, frame, options.imu)
            while upcoming is not None and upcoming[0] <= frame.stamp_ns:
                writer.write(IMU, *upcoming)
                upcoming = next(measured, None)
            _write_frame(writer, make, frame, pose)
            stamps.append(frame.stamp_ns)
            poses.append(pose)
            progress()
    write_tum(truth, stamps, poses)
    return bag, truth


def _imu(make: Messages, recording: worlds.Recording, seed: int) -> Iterator[tuple[int, Any]]:
    """Yield stamps (ns) and messages of an IMU on the path of a recording, from its first pose to its last one."""
    errors = worlds.ImuErrors()
    found = worlds.measure(
        recording.poses, recording.rate_hz, np.random.default_rng([seed, 53]), T_IMU_CAMERA, IMU_HZ,
        recording.start_ns, errors)
    variances = errors.gyroscope_noise**2 * IMU_HZ, errors.accelerometer_noise**2 * IMU_HZ
    for stamp_ns, angular, linear in zip(found.stamps_ns.tolist(), found.angular_rad_s, found.linear_m_s2):
        yield stamp_ns, make.imu(stamp_ns, IMU_FRAME, angular, linear, variances)


def _write_static(writer: BagWriter, make: Messages, frame: Frame, imu: bool) -> None:
    T_left_right = worlds.right_pose(np.eye(4), frame.right_camera)
    writer.write('/tf_static', frame.stamp_ns, make.transform(
        frame.stamp_ns, frame.camera.frame_id, frame.right_camera.frame_id, T_left_right))
    if imu:
        writer.write('/tf_static', frame.stamp_ns, make.transform(
            frame.stamp_ns, frame.camera.frame_id, IMU_FRAME, inverse(T_IMU_CAMERA)))


def _write_frame(writer: BagWriter, make: Messages, frame: Frame, T_world_camera: np.ndarray) -> None:
    stamp = frame.stamp_ns
    for name, camera, image in (
        (LEFT, frame.camera, frame.image), (RIGHT, frame.right_camera, frame.right_image),
    ):
        writer.write(f'{name}/camera_info', stamp, make.camera_info(stamp, camera))
        writer.write(f'{name}/image_rect', stamp, make.image(stamp, camera.frame_id, image))
    millimetres = np.rint(np.nan_to_num(frame.depth_m) * 1000).astype(np.uint16)
    writer.write(DEPTH, stamp, make.image(stamp, frame.camera.frame_id, millimetres))
    writer.write(TRUTH, stamp, make.pose_stamped(stamp, 'world', T_world_camera))
