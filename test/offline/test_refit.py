import re

import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint
from superslam_ros.offline.refit import Glue


@pytest.fixture
def glue(tmp_path):
    """Give a SuperGlue whose figures are given by name."""
    before, after, weights = (tmp_path / f'{name}.safetensors' for name in ('before', 'after', 'superglue'))
    for path, about in ((before, {'descriptors_of': 'older'}), (after, {}),
                        (weights, {'superpoint_sha256': 'older'})):
        checkpoint.save({'a': torch.zeros(1)}, path, about)

    class Measured(Glue):
        figures: dict = {}      # noqa: RUF012

        def scores(self, name, superpoint, superglue):
            assert superpoint == (before if name.endswith('before') else after)
            return np.array([self.figures[name.removeprefix('superglue ')]] * 3)

    return Measured(None, before, after, weights)


@pytest.mark.parametrize(('figures', 'refitted', 'advice', 'why'), [
    ({'before': 0.5, 'after': 0.52}, False, 'kept', '0.520, before 0.500'),
    ({'before': 0.5, 'after': 0.495}, False, 'kept', '0.495'),
    ({'before': 0.5, 'after': 0.4}, False, 'advised against', 'falls from 0.500 to 0.400: .* try --with-superglue'),
    ({'before': 0.5, 'after': 0.4, 'refitted': 0.55}, True, 'refitted', '0.550'),
    ({'before': 0.5, 'after': 0.56, 'refitted': 0.55}, True, 'kept', '0.560'),
    ({'before': 0.5, 'after': 0.4, 'refitted': 0.45}, True, 'advised against', 'from 0.500 to 0.450'),
])
def test_advice_by_measure(glue, tmp_path, figures, refitted, advice, why):
    type(glue).figures = figures
    found = glue.advise(tmp_path / 'refit.safetensors' if refitted else None)
    assert found['advice'] == advice and pytest.approx(figures['after']) == found['auc_10_kept']
    assert re.search(why, found['reason'])
    assert ('--with-superglue' in found['reason']) == (advice == 'advised against' and not refitted)


def test_of_other_descriptors_nothing_is_said(glue):
    checkpoint.save({'a': torch.zeros(1)}, glue.before, {'descriptors_of': 'another'})
    found = glue.advise()
    assert found['advice'] == 'not measured' and 'superglue.safetensors is of other descriptors' in found['reason']
