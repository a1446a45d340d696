"""What RViz shows: landmarks by age, keyframes as frusta, what the camera sees, keypoints in the image, and boards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from superslam_ros.boards.board import Board
from superslam_ros.boards.types import BoardDetection
from superslam_ros.data import Camera, Features, Matches, Motion
from superslam_ros.geometry.camera import from_ideal, ideal
from superslam_ros.geometry.pose import transform
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, ODOMETRY
from superslam_ros.messages import MessageFactory
from superslam_ros.slam.mapping.map import LocalMap, View

KEYFRAME_COLOUR = 0.94, 0.72, 0.18, 1.0
EDGE_COLOURS = {ODOMETRY: (0.55, 0.6, 0.68, 1.0), LOOP: (0.94, 0.35, 0.3, 1.0)}
MATCH_COLOUR = 0.18, 0.83, 0.75, 0.35
FRUSTUM = 0.05
"""Depth of a frustum, as a part of the median distance of the landmarks."""
AXIS_COLOURS = (1.0, 0.25, 0.25, 1.0), (0.25, 0.9, 0.3, 1.0), (0.3, 0.55, 1.0, 1.0)
"""Of x, y and z."""
AXIS_SQUARES = 2
"""Length of the axes of a board, in squares."""
CORNER_COLOUR, TEXT_COLOUR = (45, 212, 191), (255, 200, 0)
EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))
"""Of the camera's centre, 0, and the corners of its image."""


def landmarks(make: MessageFactory, odom_frame: str, motion: Motion, local_map: LocalMap) -> Any:
    """Return a sensor_msgs/PointCloud2 of the landmarks, with their age in keyframes."""
    table = local_map.landmarks
    return make.points(motion.stamp_ns, odom_frame, table.points, local_map.total - 1 - table.born)


def keyframes(make: MessageFactory, odom_frame: str, motion: Motion, local_map: LocalMap) -> Any:
    """Return a visualization_msgs/MarkerArray with the frusta of the keyframes."""
    size = _frustum_size(motion, local_map.landmarks.points)
    ends = np.concatenate([frustum(keyframe, size) for keyframe in local_map.keyframes])
    return make.lines(motion.stamp_ns, odom_frame, 'keyframes', ends, KEYFRAME_COLOUR, 0.1 * size)


def observations(make: MessageFactory, odom_frame: str, motion: Motion, local_map: LocalMap) -> Any:
    """Return a visualization_msgs/MarkerArray with lines from the camera to the landmarks that it sees."""
    points, ends = local_map.landmarks.points, np.zeros((0, 2, 3))
    if motion.inliers and local_map.previous is not None:
        seen = points[local_map.known(local_map.previous)[1]]
        ends = np.stack([np.broadcast_to(motion.T_odom_camera[:3, 3], seen.shape), seen], 1)
    width = 0.02 * _frustum_size(motion, points)
    return make.lines(motion.stamp_ns, odom_frame, 'observations', ends, MATCH_COLOUR, width)


def map_landmarks(make: MessageFactory, stamp_ns: int, map_frame: str, kept: Map) -> Any:
    """Return a sensor_msgs/PointCloud2 of all landmarks of a map; their age is that of their host, in keyframes."""
    rows = kept.landmarks.living()
    return make.points(stamp_ns, map_frame, kept.points_of(rows), kept.next_id - 1 - kept.landmarks.host[rows])


def map_graph(make: MessageFactory, stamp_ns: int, map_frame: str, kept: Map) -> Any:
    """Return a visualization_msgs/MarkerArray with the edges of a map: what the odometry said, and the loops."""
    places = {number: one.T_map_camera[:3, 3] for number, one in kept.keyframes.items()}
    markers = []
    for kind, colour in EDGE_COLOURS.items():
        ends = [(places[edge.start], places[edge.end]) for edge in kept.edges if edge.kind == kind and edge.inlier]
        ends = np.array(ends, dtype=np.float64).reshape(-1, 2, 3)
        markers += make.lines(stamp_ns, map_frame, kind, ends, colour, 0.03).markers
    return make.make('visualization_msgs/MarkerArray', markers=markers)


def frustum(keyframe: View, size: float) -> np.ndarray:
    """Return the (8, 2, 3) ends of the edges of a camera's view, ``size`` metres deep, in odom."""
    width, height = keyframe.features.image_size
    camera = keyframe.pinhole
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)
    rays = (corners - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    points = np.zeros((5, 3))
    points[1:] = size * np.column_stack([rays, np.ones(4)])
    return transform(keyframe.T_odom_camera, points)[np.array(EDGES)]


def _frustum_size(motion: Motion, points: np.ndarray) -> float:
    if not len(points):
        return FRUSTUM
    return FRUSTUM * float(np.median(np.linalg.norm(points - motion.T_odom_camera[:3, 3], axis=1)))


def overlay(gray: np.ndarray, features: Features, matches: Matches) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB: keypoints as circles of their scale, matches as lines from where they were.

    The surer a match, the greener.
    """
    picture = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    for centre, scale in zip(np.rint(features.keypoints).astype(int).tolist(), features.scales.tolist()):
        cv2.circle(picture, centre, round(2 * scale), (255, 200, 0), 1, cv2.LINE_AA)
    ends = np.rint(matches.keypoints0).astype(int), np.rint(matches.keypoints1).astype(int)
    for start, end, score in zip(*(side.tolist() for side in ends), matches.scores.tolist()):
        cv2.line(picture, start, end, (int(255 * (1 - score)), int(255 * score), 60), 1, cv2.LINE_AA)
    return picture


def board_markers(
    make: MessageFactory, stamp_ns: int, frame_id: str, boards: Mapping[str, Board], found: Sequence[BoardDetection],
) -> Any:
    """Return a visualization_msgs/MarkerArray: the squares and axes of the boards with poses; those of others go."""
    poses = {one.board: one.T_camera_board for one in found if one.T_camera_board is not None}
    markers = []
    for name, board in boards.items():
        lines = {name: (_grid(board), MATCH_COLOUR)}
        lines.update({f'{name}/{axis}': (ends[None], colour)
                      for axis, ends, colour in zip('xyz', _axes(board), AXIS_COLOURS)})
        for title, (ends, colour) in lines.items():
            seen = transform(poses[name], ends.reshape(-1, 3)).reshape(-1, 2, 3) if name in poses else ends[:0]
            width = board.square_m * (0.05 if title == name else 0.1)
            markers += make.lines(stamp_ns, frame_id, title, seen, colour, width).markers
    return make.make('visualization_msgs/MarkerArray', markers=markers)


def board_overlay(
    gray: np.ndarray, boards: Mapping[str, Board], found: Sequence[BoardDetection], camera: Camera | None, text: str,
) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB: corners with some of their ids, axes of boards with poses, names, and a text."""
    picture = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    unit = max(1.0, min(gray.shape) / 480)
    line = max(1, round(unit))
    for one in found:
        corners = np.rint(one.pixels).astype(int).tolist()
        for (x, y), number in zip(corners, one.ids.tolist()):
            cv2.circle(picture, (x, y), round(4 * unit), CORNER_COLOUR, line, cv2.LINE_AA)
            if number % (boards[one.board].squares_x - 1) == 0:
                _write(picture, str(number), (x + round(5 * unit), y - round(5 * unit)), 0.4 * unit)
        if one.T_camera_board is not None and camera is not None:
            for ends, colour in zip(_axes(boards[one.board]), AXIS_COLOURS):
                seen = ideal(camera, False).project(transform(one.T_camera_board, ends))
                if np.isfinite(seen).all() and np.abs(seen).max() < 1e4:
                    start, end = np.rint(from_ideal(camera, seen, False)).astype(int).tolist()
                    cv2.line(picture, start, end, [int(255 * part) for part in colour[:3]], 2 * line, cv2.LINE_AA)
        place = np.rint(one.pixels.min(0)).astype(int) - [0, round(14 * unit)]
        _write(picture, one.board, tuple(place.clip(round(12 * unit)).tolist()), 0.55 * unit)
    _write(picture, text, (round(8 * unit), gray.shape[0] - round(10 * unit)), 0.45 * unit)
    return picture


def _write(picture: np.ndarray, text: str, place: tuple[int, int], scale: float) -> None:
    """Write a text that can be read on black and on white; what does not fit is smaller, down to half."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, max(0.5, (picture.shape[1] - place[0]) / max(width, 1)))
    line = max(1, round(2 * scale))
    for colour, width in (((0, 0, 0), 3 * line), (TEXT_COLOUR, line)):
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width, cv2.LINE_AA)


def _grid(board: Board) -> np.ndarray:
    """Return (N, 2, 3) ends of the lines between squares, in the board's frame (m)."""
    across, down = board.squares_x * board.square_m, board.squares_y * board.square_m
    rows = [[(0, y * board.square_m, 0), (across, y * board.square_m, 0)] for y in range(board.squares_y + 1)]
    columns = [[(x * board.square_m, 0, 0), (x * board.square_m, down, 0)] for x in range(board.squares_x + 1)]
    return np.array(rows + columns, dtype=np.float64)


def _axes(board: Board) -> np.ndarray:
    """Return (3, 2, 3) ends of the axes x, y, z in the board's frame (m)."""
    ends = np.zeros((3, 2, 3))
    ends[:, 1] = AXIS_SQUARES * board.square_m * np.eye(3)
    return ends
