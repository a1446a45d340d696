"""The stages, in the order the data takes: extract, match, temporal, motion, map; odometry is their spine."""

from superslam_ros.slam.extract import Extractor, ExtractorConfig
from superslam_ros.slam.match import Matcher, MatcherConfig

__all__ = ['Extractor', 'ExtractorConfig', 'Matcher', 'MatcherConfig']
