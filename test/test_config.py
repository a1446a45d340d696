"""Options: written once, checked by name."""

from __future__ import annotations

import pytest

from superslam_ros import config
from superslam_ros.slam import SlamConfig


def test_defaults_are_within_their_own_ranges() -> None:
    """Every option is described, and accepts its default."""
    known = list(config.options(SlamConfig))
    assert len(known) > 20
    for spec in known:
        assert spec.description and config.check(spec, spec.default) == spec.default


def test_dotted_and_nested_names() -> None:
    """Both build the same, and come back flat."""
    dotted = config.build(SlamConfig, {'extractor.max_keypoints': 500, 'matcher.ratio': 1})
    nested = config.build(SlamConfig, {'extractor': {'max_keypoints': 500}, 'matcher': {'ratio': 1.0}})
    assert dotted == nested and dotted.extractor.max_keypoints == 500
    assert config.build(SlamConfig, config.as_dict(dotted)) == dotted


@pytest.mark.parametrize(('name', 'value', 'message'), [
    ('extractor.max_keypoint', 5, 'unknown option'),
    ('extractor.max_keypoints', -1, r'outside \[0, 20000\]'),
    ('extractor.max_keypoints', 5.5, 'expected int.* write a whole number'),
    ('odometry.max_depth', '8,5', 'expected float.* write a number, such as 8.0'),
    ('extractor.max_keypoints', True, 'expected int'),
    ('extractor.threshold', float('nan'), 'outside'),
    ('odometry.rectified', 1, 'expected bool'),
    ('extractor.device', 'gpu', 'not one of auto, cpu, cuda'),
])
def test_bad_values_are_named(name: str, value: object, message: str) -> None:
    """The message has the option's full name and what it accepts."""
    with pytest.raises(ValueError, match=message) as caught:
        config.build(SlamConfig, {name: value})
    assert name in str(caught.value)
