"""Options of maps that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from superslam_ros.config import option


@dataclass(frozen=True)
class MapConfig:
    """Options of building a map, and of finding the camera in it."""

    max_keypoints: int = option(600, 'Keypoints of a keyframe that are used, those of landmarks first', low=50,
                                high=10000)
    max_keyframes: int = option(0, 'Keyframes kept in the map, the most redundant ones go first; 0: no limit', low=0,
                                high=1000000)
    matcher: str = option('nearest', 'How keypoints are matched to the landmarks of a place: nearest, by their '
                          'descriptors; or supermap, by a network and their descriptors, which is slower and helps '
                          'where views are far apart',
                          choices=('nearest', 'supermap'))
    matcher_weights: str = option('', 'Path of the weights of supermap; empty: those shipped')
    device: str = option('auto', 'Where supermap runs; auto takes the GPU if there is one',
                         choices=('auto', 'cpu', 'cuda'))
    places: int = option(3, 'Places that are compared with a keyframe, those that look most alike first', low=1,
                         high=100)
    keyframes_per_place: int = option(5, 'Keyframes whose landmarks make a place', low=1, high=100)
    min_similarity: float = option(0.6, 'Lowest cosine similarity of a landmark and the nearest keypoint', low=-1.0,
                                   high=1.0)
    threshold_px: float = option(4.0, 'Reprojection error below which a match supports a pose, before it is refined',
                                 low=0.1, high=50.0)
    min_inliers: int = option(25, 'Landmarks that must agree on a pose in the map', low=6, high=1000)
    hint_radius: float = option(5.0, 'Places so near (m) to where the camera is said to be are tried first; found '
                                'there, it is believed at once', low=0.0, high=1e6)
    close_loops: bool = option(True, 'Look for places that were seen before, and correct the map where one is')
