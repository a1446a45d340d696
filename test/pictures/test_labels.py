"""Points on frames, in the colour of what their tracks are."""

import cv2
import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.improve.evidence import Evidence, write_frame
from superslam_ros.improve.tracks import Tracks
from superslam_ros.pictures.labels import STABLE, UNSTABLE, draw_labels, frame_with_labels


def test_points_have_the_colours_of_their_labels(tmp_path):
    for frame in range(2):
        write_frame(tmp_path, frame, np.full((48, 64), 100, np.uint8))
    pixels = np.float32([[10, 10], [40, 10], [20, 30], [50, 40]] * 2)
    evidence = Evidence('walk', Pinhole(50, 50, 31.5, 23.5), (64, 48), True, 'depth', [0, 1], [np.eye(4)] * 2, [0, 0],
                        [0, 4, 8], pixels, np.ones(8), np.ones(8), np.ones(8), np.zeros((8, 4), np.float16),
                        folder=tmp_path)
    tracks = Tracks(np.array([0, 2, 4, 6]), np.array([0, 1] * 3), np.array([0, 0, 1, 1, 2, 2]))
    image = frame_with_labels(evidence, tracks, np.int8([1, -1, 0]), 1)
    scale = image.shape[0] // 48

    def shows(colour, x, y):
        part = image[(y - 3) * scale:(y + 4) * scale, (x - 3) * scale:(x + 4) * scale].astype(int)
        return bool((np.abs(part - colour).sum(-1) < 30).any())

    assert shows(STABLE, 10, 10) and not shows(UNSTABLE, 10, 10)
    assert shows(UNSTABLE, 40, 10) and not shows(STABLE, 40, 10)
    assert not shows(STABLE, 20, 30) and not shows(UNSTABLE, 20, 30) and not shows(STABLE, 50, 40)
    draw_labels(tmp_path / 'labels.png', evidence, tracks, np.int8([1, -1, 0]))
    assert cv2.imread(str(tmp_path / 'labels.png')).shape == (image.shape[0], 3 * image.shape[1], 3)
