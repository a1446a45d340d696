"""The overview of a run."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from superslam_ros.pictures.overview import _show


@pytest.mark.parametrize('shape, drawn', [
    ((3000, 4000), (1500, 2000)), ((120, 160), (120, 160)), ((1, 9000), (1, 2000))])
def test_large_images_are_drawn_from_a_small_copy(shape: tuple[int, int], drawn: tuple[int, int]) -> None:
    """Memory is bounded; what is drawn over it is in pixels of the image all the same."""
    axes = Figure().add_subplot()
    _show(axes, np.zeros(shape, np.uint8), 'caption')
    assert axes.images[0].get_array().shape == drawn
    assert axes.images[0].get_extent() == [-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5]
    assert axes.get_xlim() == (-0.5, shape[1] - 0.5) and axes.get_ylim() == (shape[0] - 0.5, -0.5)
