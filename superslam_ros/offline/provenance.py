"""What results were made with: the version of the package, and the weights of the networks that had a part."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from superslam_ros.models import checkpoint
from superslam_ros.slam import ExtractorConfig, MatcherConfig
from superslam_ros.version import VERSION


def provenance(weights: Mapping[str, str]) -> dict[str, Any]:
    """Return ``version``, and ``weights`` with file and SHA-256.

    :param weights: network (superpoint, superglue, magicpoint) -> path or name, empty for the default ones.
    :raises OSError: when a file cannot be read.
    """
    return {'version': VERSION, 'weights': {
        name: {'file': path or checkpoint.DEFAULTS[name], 'sha256': checkpoint.digest(checkpoint.locate(name, path))}
        for name, path in weights.items()}}


def weights_in_use(names: Collection[str], extractor: ExtractorConfig, matcher: MatcherConfig) -> dict[str, str]:
    """Return the weights that features and matchers of some names take, as :func:`provenance` wants them."""
    with_superglue = 'superglue' in names       # which is of SuperPoint's keypoints
    return {
        **({'superpoint': extractor.weights} if with_superglue or 'superpoint' in names else {}),
        **({'superglue': matcher.weights} if with_superglue else {})}
