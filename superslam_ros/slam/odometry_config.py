"""Options of motion estimation."""

from __future__ import annotations

from dataclasses import dataclass

from superslam_ros.config import option


@dataclass(frozen=True)
class OdometryConfig:
    """Options of motion estimation."""

    rectified: bool = option(True, 'The images are rectified already; false: keypoints are rectified by camera_info')
    min_inliers: int = option(12, 'Landmarks that must agree on a pose, else tracking is lost', low=6, high=1000)
    threshold_px: float = option(3.0, 'Reprojection error below which a match supports a pose, before it is '
                                 'refined',
                                 low=0.1, high=50.0, live=True)
    pixel_sigma: float = option(1.0, 'First guess of the standard deviation of a keypoint (pixels), which is then '
                                'measured', low=0.01, high=20.0)
    depth_sigma: float = option(0.003, 'Standard deviation of a depth image, as inverse depth (1/m): '
                                'sigma_z = depth_sigma * z * z', low=1e-6, high=1.0, live=True)
    min_depth: float = option(0.1, 'Nearest usable depth (m)', low=0.0, high=100.0, live=True)
    max_depth: float = option(20.0, 'Farthest usable depth of a depth image (m)', low=0.1, high=10000.0, live=True)
    max_relative_depth_sigma: float = option(1.0, 'Landmarks are used if the standard deviation of their depth is '
                                             'below this fraction of it', low=0.001, high=10.0, live=True)
    min_parallax_deg: float = option(1.0, 'Monocular: smallest angle between the rays of a triangulated landmark',
                                     low=0.05, high=30.0, live=True)
    first_baseline: float = option(0.0, 'Monocular: metres between the first frame and the one at which tracking '
                                   'begins; sets the scale of the map; 0 if unknown', low=0.0, high=1000.0)
    camera_height: float = option(0.0, 'Monocular: height (m) of the level camera above a ground plane that it '
                                  'sees at the start; sets the scale of the map; 0 if unknown', low=0.0, high=1000.0)
    keyframes: int = option(20, 'Keyframes kept in the local map', low=2, high=10000)
    search_radius_px: float = option(6.0, 'Landmarks that the matcher missed are searched for within this distance '
                                     'of where they should appear; 0 turns this off', low=0.0, high=200.0, live=True)
    min_similarity: float = option(0.75, 'Lowest cosine similarity of a landmark that is found by this search',
                                   low=-1.0, high=1.0, live=True)
    still_px: float = option(0.5, 'If keypoints move less than this (median), the camera is taken to stand '
                             'still and its pose is held; 0 turns this off', low=0.0, high=20.0)
    prediction_s: float = option(1.0, 'While lost, the last velocity is kept for this long (s)', low=0.0, high=60.0)
    acceleration: float = option(2.0, 'While lost, the largest expected acceleration, by which the uncertainty '
                                 'of the prediction grows (m/s^2, rad/s^2)', low=0.01, high=1000.0)
    two_d: bool = option(False, 'The robot moves in the plane of its start, on a level floor: height, roll and pitch '
                         'of the base (of the camera, where no base is known) are held')
    two_d_sigma_m: float = option(0.01, 'With two_d: how far the height strays (m, 1 sigma)', low=1e-4, high=10.0)
    two_d_sigma_rad: float = option(0.01, 'With two_d: how far roll and pitch stray (rad, 1 sigma)', low=1e-4, high=1.0)
    disparity_offset: float = option(0.0, 'Stereo: pixels that all disparities are too large, and that are taken off '
                                     'them', low=-50.0, high=50.0)
    disparity_correction: str = option('warn', 'Stereo: what to do where near and far points disagree, as they do when '
                                       'a calibration has drifted: warn with the number, auto: correct it and say so, '
                                       'or off', choices=('warn', 'auto', 'off'))
    least_position_sigma: float = option(0.0, 'Smallest standard deviation of a position that is published (m), for '
                                         'filters that take small ones too literally', low=0.0, high=100.0, live=True)
    least_rotation_sigma: float = option(0.0, 'The same of an orientation (rad)', low=0.0, high=3.0, live=True)
    least_speed_sigma: float = option(0.0, 'The same of a velocity (m/s)', low=0.0, high=100.0, live=True)
    least_turn_sigma: float = option(0.0, 'The same of an angular velocity (rad/s)', low=0.0, high=100.0, live=True)
