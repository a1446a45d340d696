"""What tests of training share."""

import pytest

from superslam_ros.training import workers
from superslam_ros.training.stages import magicpoint


@pytest.fixture(params=['float32', 'bfloat16'])
def either_precision(request, monkeypatch):
    """Compute in each of both on every machine, whether it is quick at it or not."""
    monkeypatch.setattr(workers, 'has_bfloat16', lambda device: request.param == 'bfloat16')


@pytest.fixture(autouse=True)
def few_held_out(monkeypatch):
    """Validate MagicPoint on 32 images instead of 256."""
    monkeypatch.setattr(magicpoint, '_VALIDATED', 32)
