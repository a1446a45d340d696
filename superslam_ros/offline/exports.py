"""What `superslam run` found, for other programs: trajectory for KITTI's tools and as CSV, a point cloud, COLMAP."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.data import TrackingState
from superslam_ros.geometry.pose import inverse, quaternion
from superslam_ros.maps import export
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.keyframe import KeyframeFeed
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.offline.history import History
from superslam_ros.slam import MotionEstimator, Step

FILES = {'kitti': 'trajectory_kitti.txt', 'csv': 'trajectory.csv', 'ply': 'landmarks.ply', 'colmap': 'colmap'}
"""Kind -> what it is called in the folder of the results."""


class Exports:
    """Gathers what is to be exported beside trajectory.tum."""

    def __init__(self, kinds: Collection[str], motion: MotionEstimator, config: MapConfig, name: str) -> None:
        """Begin.

        :param kinds: of :data:`FILES`; ``motion`` of the odometry; ``name`` of the recording.
        """
        self._kinds, self._mapper = kinds, None
        if {'ply', 'colmap'} & set(kinds):      # the map of the odometry forgets
            self._mapper = Mapper(Map(), replace(config, close_loops=False), 'build')
            self._mapper.session, self._feed = name, KeyframeFeed(motion)

    def add(self, step: Step) -> None:
        """Take a frame that the odometry has just taken."""
        if self._mapper is not None:
            for keyframe in self._feed.new():
                self._mapper.add(keyframe)

    def write(self, out: Path, history: History) -> None:
        """Write the files.

        :raises BagError: when they cannot be written.
        """
        try:
            if 'kitti' in self._kinds:
                _kitti(out / FILES['kitti'], history)
            if 'csv' in self._kinds:
                _csv(out / FILES['csv'], history)
        except OSError as error:
            raise BagError(f'{out}: cannot be written ({error.strerror or error})') from error
        for kind in ('ply', 'colmap'):
            if kind in self._kinds:
                export.export(self._mapper.map, out / FILES[kind], kind)


def _kitti(path: Path, history: History) -> None:
    """Write a line of twelve numbers for every frame, tracked or not: rows of T_first_camera (3, 4)."""
    first = inverse(history.poses[0])
    np.savetxt(path, [(first @ T)[:3].ravel() for T in history.poses], fmt='%.9g')


def _csv(path: Path, history: History) -> None:
    """Write a row for every frame: T_odom_camera of the optical frame, and whether it was tracked."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['stamp_ns', 'state', 'x', 'y', 'z', 'qx', 'qy', 'qz', 'qw', 'inliers', 'resets'])
        for stamp, state, T, inliers, resets in zip(
                history.stamps, history.states, history.poses, history.inliers, history.segments):
            numbers = [f'{value:.9g}' for value in (*T[:3, 3], *quaternion(T[:3, :3]))]
            writer.writerow([stamp, TrackingState(state).name.lower(), *numbers, inliers, resets])
