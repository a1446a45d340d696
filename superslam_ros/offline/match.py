"""``superslam match``: two images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.data import Features
from superslam_ros.evaluation.baselines import make_extractor
from superslam_ros.inputs.shots import one_image
from superslam_ros.offline.provenance import provenance, weights_in_use
from superslam_ros.pictures import overview as picture
from superslam_ros.slam import Matcher, SlamConfig
from superslam_ros.slam.match import warn_of_strangers


def match(
    path0: Path, path1: Path, out: Path, config: SlamConfig | None = None, features: str = 'superpoint',
    topic: str = '',
) -> dict[str, Any]:
    """Match two images; write matches.png and matches.json into ``out``.

    :param path0: an image file, or ``RECORDING:N``; ``path1`` likewise.
    :param topic: of the images of recordings; '' to find it.
    :returns: the content of matches.json.
    :raises BagError: when an image cannot be read or the folder cannot be made.
    """
    config = config or SlamConfig()
    images = one_image(path0, topic), one_image(path1, topic)
    extractor = make_extractor(features, config.extractor)
    found = extractor(images[0]), extractor(images[1])
    matches = Matcher(config.matcher)(*found)
    if features == 'superpoint':
        warn_of_strangers(config.extractor, config.matcher)
    result = {
        'images': [_side(path, side) for path, side in zip((path0, path1), found)],
        'features': features,
        'matcher': config.matcher.matcher,
        **provenance(weights_in_use((features, config.matcher.matcher), config.extractor, config.matcher)),
        'matches': [
            {'index0': int(i), 'index1': int(j), 'score': round(float(score), 6)}
            for (i, j), score in zip(matches.indices, matches.scores)],
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / 'matches.json').write_text(json.dumps(result, indent=1) + '\n')
    except OSError as error:
        raise BagError(f'--out {out}: cannot be written ({error.strerror})') from error
    picture.draw_matches(
        out / 'matches.png', *images, matches, f'{Path(path0).name}   ·   {Path(path1).name}'
    )
    return result


def _side(path: Path, features: Features) -> dict[str, Any]:
    return {
        'file': Path(path).name, 'width': features.image_size[0], 'height': features.image_size[1],
        'keypoints': np.round(features.keypoints.astype(np.float64), 3).tolist(),
        'scores': np.round(features.scores.astype(np.float64), 6).tolist(),
        'scales': np.round(features.scales.astype(np.float64), 3).tolist(),
    }
