"""A map whose places were embedded by another vocabulary than the one at hand."""

from __future__ import annotations

import logging

import numpy as np

from superslam_ros.maps.content import Content
from superslam_ros.maps.embedding import Vocabulary
from superslam_ros.maps.landmarks import unit

log = logging.getLogger(__name__)


def adopt(kept: Content, vocabulary: Vocabulary) -> int:
    """Have a map know its places by a vocabulary; they are embedded anew where they were by another.

    Of the descriptors those of landmarks are left, which are most of them. Where a map does not say by which it was,
    that of the same size is taken for the same.

    :returns: how many keyframes were embedded anew.
    """
    other = kept.vocabulary not in ('', vocabulary.digest) or kept.embedding_size not in (0, vocabulary.size)
    anew = list(kept.keyframes.values()) if other else []
    for one in anew:
        descriptors = unit(kept.landmarks.descriptors[kept.landmarks.rows(one.landmark_ids)])
        one.embedding = vocabulary.embed(descriptors).astype(np.float16)
    if anew:
        log.warning('the places of the map were described by another vocabulary: %d keyframes are described anew, from '
                    'their landmarks; save the map to keep that', len(anew))
        kept.revision += 1
    kept.vocabulary = vocabulary.digest
    return len(anew)
