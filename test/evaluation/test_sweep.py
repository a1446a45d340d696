import numpy as np

from superslam_ros.evaluation import sweep
from superslam_ros.evaluation.homography import FrontEnd


def test_views_are_what_they_say(picture):
    levels = list(sweep.views(picture(), 'p', np.random.default_rng(1)))
    assert [(name, level) for name, level, _ in levels] == [
        (name, level) for name, values in sweep.SWEEPS.items() for level in values]
    by_level = {(name, level): pair for name, level, pair in levels}
    still, turned = by_level['rotation', 0].H_1_0, by_level['rotation', 90].H_1_0
    centre = np.array([319.5, 239.5, 1])
    # getRotationMatrix2D turns anticlockwise: what lay to the right of the centre is now above it.
    right = np.linalg.inv(still) @ (centre + np.array([100, 0, 0]))
    above = turned @ right
    np.testing.assert_allclose(above[:2] / above[2], [319.5, 139.5], atol=1e-6)
    assert by_level['light', 0.125].image1.mean() < 0.2 * by_level['light', 1].image1.mean()
    noise = by_level['noise', 20].image1.astype(float) - by_level['noise', 0].image1
    assert 15 < noise.std() < 20


def test_what_is_harder_scores_less(picture):
    photographs = [('a', picture(320, 240)), ('b', picture(320, 240, seed=1))]
    results = sweep.evaluate([FrontEnd('sift')], photographs, 0)
    for name, harder, easier in (('noise', 40, 0), ('scale', 0.5, 1), ('light', 0.0625, 1)):
        levels = results[name]['sift']
        assert levels[harder].matching_score < levels[easier].matching_score and levels[easier].pairs == 2
    assert results['rotation']['sift'][90].homography_3px == 1
    assert results == sweep.evaluate([FrontEnd('sift')], photographs, 0)
