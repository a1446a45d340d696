"""Worlds whose answer is known: textured planes and boxes, seen by any camera, with exact depth and correspondences."""

from superslam_ros.worlds.building import Building, BuildingOptions, building
from superslam_ros.worlds.hazards import HazardOptions, Hazards, HazardView, Kind
from superslam_ros.worlds.imu import ImuErrors, Measured, measure
from superslam_ros.worlds.photometry import LIGHTS, Photometry, PhotometryConfig
from superslam_ros.worlds.recording import Recording
from superslam_ros.worlds.render import (
    View,
    cast,
    correspondences,
    pinhole,
    pixel_grid,
    project,
    render,
    right_pose,
    stereo_pair,
)
from superslam_ros.worlds.room import box, room_world
from superslam_ros.worlds.surface import Surface, Texture, World, checkerboard_world
from superslam_ros.worlds.trajectory import demo_trajectory, look_at, stamps
from superslam_ros.worlds.walks import Walk, lap, walk
from superslam_ros.worlds.wheels import Driven, Slip, WheelErrors, drive

__all__ = [
    'LIGHTS',
    'Building',
    'BuildingOptions',
    'Driven',
    'HazardOptions',
    'HazardView',
    'Hazards',
    'ImuErrors',
    'Kind',
    'Measured',
    'Photometry',
    'PhotometryConfig',
    'Recording',
    'Slip',
    'Surface',
    'Texture',
    'View',
    'Walk',
    'WheelErrors',
    'World',
    'box',
    'building',
    'cast',
    'checkerboard_world',
    'correspondences',
    'demo_trajectory',
    'drive',
    'lap',
    'look_at',
    'measure',
    'pinhole',
    'pixel_grid',
    'project',
    'render',
    'right_pose',
    'room_world',
    'stamps',
    'stereo_pair',
    'walk',
]
