"""Worlds whose answer is known: textured planes and boxes, seen by any camera, with exact depth and correspondences."""

from superslam_ros.worlds.photometry import Photometry, PhotometryConfig
from superslam_ros.worlds.render import (
    View,
    cast,
    correspondences,
    pinhole,
    project,
    render,
    right_pose,
    stereo_pair,
)
from superslam_ros.worlds.room import box, room_world
from superslam_ros.worlds.surface import Surface, Texture, World, checkerboard_world
from superslam_ros.worlds.trajectory import demo_trajectory, look_at, stamps

__all__ = [
    'Photometry',
    'PhotometryConfig',
    'Surface',
    'Texture',
    'View',
    'World',
    'box',
    'cast',
    'checkerboard_world',
    'correspondences',
    'demo_trajectory',
    'look_at',
    'pinhole',
    'project',
    'render',
    'right_pose',
    'room_world',
    'stamps',
    'stereo_pair',
]
