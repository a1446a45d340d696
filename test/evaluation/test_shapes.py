import math

import cv2
import numpy as np
import pytest

from superslam_ros.evaluation import shapes


def test_a_hand_made_precision_recall_curve():
    corners = np.array([[10.0, 10], [50, 50], [90, 90], [20, 80]])
    points = np.array([[10.0, 13], [70, 10], [50, 50], [52, 50]])
    found = shapes.score(points, np.array([0.9, 0.8, 0.7, 0.6]), corners)
    assert found.right.tolist() == [True, False, True, True]
    assert found.covered.tolist() == [1, 0, 1, 0]
    # Corners are covered by the first (precision 1) and the third (2/3) detection; two of four never.
    assert shapes.average_precision([found]) == pytest.approx((1 + 2 / 3) / 4)
    assert shapes.localisation([found]) == pytest.approx(1.5)


def test_images_share_one_ranking():
    corner = np.array([[10.0, 10]])
    good = shapes.score(corner, np.array([0.5]), corner)
    bad = shapes.score(corner + 50, np.array([0.9]), corner)
    assert shapes.average_precision([good, bad]) == pytest.approx(0.5 / 2)
    assert shapes.average_precision([good, good]) == 1


def test_nothing_found_and_nothing_to_find():
    nothing = shapes.score(np.zeros((0, 2)), np.zeros(0), np.array([[1.0, 2]]))
    assert shapes.average_precision([nothing]) == 0 and math.isnan(shapes.localisation([nothing]))
    empty = shapes.score(np.array([[1.0, 2]]), np.ones(1), np.zeros((0, 2)))
    assert not empty.right.any() and math.isnan(shapes.average_precision([empty]))


@pytest.mark.parametrize('noisy', [False, True])
def test_images_are_repeatable(noisy):
    first, again = shapes.images(3, 5, noisy), shapes.images(3, 5, noisy)
    for (kind, image, corners), (_, same, _) in zip(first, again):
        assert image.shape == (120, 160) and image.dtype == np.uint8 and (image == same).all()
        assert len(corners) == 0 or kind not in ('ellipses', 'noise')
        assert ((corners >= 0) & (corners < [160, 120])).all()


def test_classical_detectors_find_the_corner_of_a_square():
    image = np.full((120, 160), 40, np.uint8)
    image[30:90, 50:110] = 200
    # A turned square: FAST's own suppression drops both of two equal neighbours, as at upright corners.
    turn = cv2.getRotationMatrix2D((79.5, 59.5), 20, 1)
    image = cv2.warpAffine(image, turn, (160, 120), borderMode=cv2.BORDER_REPLICATE)
    truth = np.array([[50.0, 30], [109, 30], [109, 89], [50, 89]]) @ turn[:, :2].T + turn[:, 2]
    for detect in (shapes.harris, shapes.shi_tomasi, shapes.fast):
        points, confidences = detect(image)
        assert (np.diff(confidences) <= 0).all()
        assert shapes.score(points, confidences, truth).covered.sum() == 4
    results = shapes.evaluate({'Harris': shapes.harris}, 20, 3, False)
    assert 0.3 < results['Harris']['map'] < 1 and 0 < results['Harris']['localisation_px'] < 3
