"""What results were made with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from superslam_ros.models import checkpoint
from superslam_ros.offline.provenance import provenance, weights_in_use
from superslam_ros.slam import ExtractorConfig, MatcherConfig
from superslam_ros.version import VERSION


def test_weights_are_known_by_their_digest(tmp_path: Path) -> None:
    """Those that are shipped, and those of a file, wherever it is."""
    other = tmp_path / 'glue.safetensors'
    other.write_bytes(b'weights')
    about = provenance({'superpoint': '', 'superglue': str(other)})
    shipped = hashlib.sha256(checkpoint.locate('superpoint').read_bytes()).hexdigest()
    assert about == {'version': VERSION, 'weights': {
        'superpoint': {'file': 'compact', 'sha256': shipped},
        'superglue': {'file': str(other), 'sha256': hashlib.sha256(b'weights').hexdigest()}}}


@pytest.mark.parametrize('names, used', [
    (('orb', 'nearest'), {}), (('superpoint', 'nearest'), {'superpoint': 'a'}),
    (('superpoint', 'superglue'), {'superpoint': 'a', 'superglue': 'b'}),
    (('superglue', 'sift'), {'superpoint': 'a', 'superglue': 'b'})])
def test_only_networks_in_use_are_named(names: tuple[str, ...], used: dict[str, str]) -> None:
    assert weights_in_use(names, ExtractorConfig(weights='a'), MatcherConfig(weights='b')) == used
