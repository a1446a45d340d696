"""The stages, in the order the data takes: extract, match, temporal, motion, map; odometry is their spine."""

from superslam_ros.slam.extract import Extractor, ExtractorConfig
from superslam_ros.slam.mapping.smoothing import SmootherConfig
from superslam_ros.slam.match import Matcher, MatcherConfig
from superslam_ros.slam.motion import MotionEstimator
from superslam_ros.slam.odometry import SlamConfig, Step, VisualOdometry
from superslam_ros.slam.odometry_config import OdometryConfig
from superslam_ros.slam.temporal import KeyframeMatcher, TemporalConfig

__all__ = [
    'Extractor', 'ExtractorConfig', 'KeyframeMatcher', 'Matcher', 'MatcherConfig', 'MotionEstimator',
    'OdometryConfig', 'SlamConfig', 'SmootherConfig', 'Step', 'TemporalConfig', 'VisualOdometry',
]
