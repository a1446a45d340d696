import cv2
import numpy as np

from superslam_ros.evaluation import general, homography
from superslam_ros.evaluation.homography import FrontEnd


def test_figures_of_views(picture):
    views = list(general.pairs(iter([('a', picture(seed=1)), ('b', picture(seed=2))]), 2))
    assert [pair.name for pair in views] == ['a 1', 'a 2', 'b 1', 'b 2']
    found = general.measure(FrontEnd('sift-ratio'), views)
    summary = homography.summarise([homography.evaluate_pair(FrontEnd('sift-ratio'), pair)[0] for pair in views])
    assert found.mean(0).tolist() == [summary[name] for name in general.FIGURES]
    again = list(general.pairs(iter([('a', picture(seed=1))]), 2))
    assert (again[1].image1 == views[1].image1).all()
    assert general.measure(FrontEnd('sift'), []).shape == (0, 3)


def test_photographs_are_taken_evenly(tmp_path, picture):
    paths = [tmp_path / f'{number}.png' for number in range(5)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), picture(160, 120, number))
    paths[2].write_bytes(b'nothing')
    assert [name for name, _ in general.of_photographs(paths, 3)] == ['0', '4']
    assert len(list(general.of_photographs(paths))) == 4


def test_rooms_are_rendered_where_there_are_no_photographs():
    (name, image), (_, other) = general.rendered(1, 2)
    assert name == 'room 1, view 1' and image.shape == (480, 640) and image.dtype == np.uint8
    assert image.std() > 20 and np.abs(image.astype(float) - other).mean() > 5
