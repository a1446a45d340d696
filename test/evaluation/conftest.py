import cv2
import numpy as np
import pytest


@pytest.fixture
def picture():
    """Give a function that paints (height, width) uint8 rectangles."""
    return paint


def paint(width=640, height=480, seed=0):
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 90, np.uint8)
    for _ in range(250):
        x, y = rng.integers(0, [width, height])
        w, h = rng.integers(6, 50, 2)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), int(rng.integers(256)), -1)
    return image
