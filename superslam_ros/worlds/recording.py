"""What cameras record on a path: frames with exact poses, whichever the world."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from superslam_ros.data import Camera, Frame
from superslam_ros.worlds.building import Building
from superslam_ros.worlds.hazards import Hazards, HazardView
from superslam_ros.worlds.photometry import Photometry
from superslam_ros.worlds.render import View, render, right_pose
from superslam_ros.worlds.surface import World
from superslam_ros.worlds.trajectory import stamps


@dataclass(frozen=True, eq=False)
class Recording:
    """A camera, or a stereo pair, on a path.

    :ivar poses: (F, 4, 4) T_world_camera of the left, or only, optical frame.
    :ivar hazards: what moves and shines in the world.
    :ivar right_camera: None for one camera; frames have exact depth either way.
    """

    world: World | Building
    poses: np.ndarray
    rate_hz: float
    photometry: Photometry
    camera: Camera
    right_camera: Camera | None = None
    start_ns: int = 1_000_000_000
    hazards: Hazards | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.poses)

    def __iter__(self) -> Iterator[tuple[Frame, np.ndarray]]:
        """Yield (frame with depth, T_world_camera); the depth is exact, the images have sensor noise."""
        times = stamps(len(self), self.rate_hz, self.start_ns)
        with ThreadPoolExecutor(2) as pool:
            for index, (stamp, pose) in enumerate(zip(times, self.poses)):
                tasks: list[tuple[int, int, Camera, np.ndarray]] = [(index, 0, self.camera, pose)]
                if self.right_camera is not None:
                    tasks.append((index, 1, self.right_camera, right_pose(pose, self.right_camera)))
                seen, *right = pool.map(self._view, tasks)
                yield Frame(int(stamp), seen.image, self.camera, right[0].image if right else None,
                            self.right_camera, seen.depth_m), pose

    def _view(self, task: tuple[int, int, Camera, np.ndarray]) -> View | HazardView:
        index, channel, camera, pose = task
        if self.hazards is not None:
            seen = self.hazards.render(camera, pose, index)
            return seen._replace(image=self.photometry(seen.image, index, channel))
        world = self.world if isinstance(self.world, World) else self.world.seen_from(camera, pose)
        seen = render(world, camera, pose)
        return seen._replace(image=self.photometry(seen.image, index, channel))
