"""The vocabulary of place recognition: k-means on descriptors of photographs, then each word's main directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from superslam_ros.data import Features
from superslam_ros.maps.embedding import SHORT_AXES, Places, Vocabulary
from superslam_ros.training.data import photos
from superslam_ros.training.random import Rng

FEWEST_AXES = SHORT_AXES
SIZE = (480, 640)
"""(height, width) that photographs are brought to."""
NEARER = 2
"""So many parts of a large photograph are looked at besides the whole."""
_FEWEST = 30
"""A part of a photograph with fewer keypoints says nothing about a place."""
_ROUNDS = 20


def features(extract: Callable[[np.ndarray], Features], paths: Iterable[Path], seed: int) -> list[Features]:
    """Return the features of photographs and of nearer parts of them; unusable files are logged and left out.

    :raises ValueError: when none can be used.
    """
    rng, found = Rng(seed, torch.device('cpu')), []
    for path in paths:
        image = photos.read_gray(path)
        if image is not None:
            found += [extract(view) for view in photos.crops(image, *SIZE, NEARER, rng)]
    if not found:
        raise ValueError('no usable photographs; give more --images')
    return found


def learn(images: Sequence[Features], words: int = 64, axes: int = 32, per_image: int = 200,
          seed: int = 0) -> Vocabulary:
    """Learn a vocabulary from the features of photographs; the same input gives the same vocabulary.

    :param words: of the vocabulary; ``axes`` that are kept of each.
    :param per_image: so many descriptors of an image, drawn at random, take part in k-means.
    :raises ValueError: when there are too few of them.
    """
    rng = np.random.default_rng(seed)
    descriptors = np.concatenate([one.descriptors[rng.permutation(len(one))[:per_image]] for one in images])
    if len(descriptors) < 20 * words:
        raise ValueError(f'{len(descriptors)} keypoints in {len(images)} images are too few for {words} words; give '
                         'more --images')
    centres = _kmeans(descriptors, words, rng)
    owner = (descriptors @ centres.T).argmax(1)
    means = np.stack([descriptors[owner == word].mean(0) if (owner == word).any() else centres[word]
                      for word in range(words)])
    plain = Vocabulary(centres, means, np.zeros((words, axes, descriptors.shape[1]), np.float32))
    sums = np.stack([plain.residuals(part) for one in images for part in _parts(one)])
    if len(sums) < 4 * axes:
        raise ValueError(f'{len(sums)} parts of images are too few for {axes} axes; give more --images')
    main = []
    for word in range(words):
        _, spread, directions = np.linalg.svd(sums[:, word], full_matrices=False)
        spread = np.maximum(spread[:axes, None], max(1e-3 * spread[0], 1e-6)) / np.sqrt(len(sums))
        main.append(directions[:axes] / spread)
    return Vocabulary(centres, means, np.stack(main).astype(np.float32), superpoint=images[0].weights)


def recall(vocabulary: Vocabulary, extract: Callable[[np.ndarray], Features], images: Sequence[np.ndarray],
           others: Sequence[Features]) -> tuple[float, float]:
    """Return how often the right part of a photograph finds its left part first, and among the first five.

    They share a third of their width, and the right one is turned, darker and noisy.

    :param images: (N, 480, 640) that the vocabulary was not made of; ``others`` are searched, too.
    """
    places, rng = Places(vocabulary), np.random.default_rng(0)
    for number, one in enumerate(others):
        places.add(len(images) + number, vocabulary.embed(one.descriptors))
    height, width = SIZE
    for number, image in enumerate(images):
        places.add(number, vocabulary.embed(extract(image[:, :2 * width // 3]).descriptors))
    ranks = []
    for number, image in enumerate(images):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-10, 10), rng.uniform(0.8, 1.1))
        seen = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)[:, width // 3:]
        noisy = seen * rng.uniform(0.5, 1.1) + rng.normal(0, 4, seen.shape)
        found, _ = places.query(vocabulary.embed(extract(noisy.clip(0, 255).astype(np.uint8)).descriptors), 5)
        ranks.append(found == number)
    return float(np.mean([hit[0] for hit in ranks])), float(np.mean([hit.any() for hit in ranks]))


def _kmeans(descriptors: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (count, D) unit centres of spherical k-means; one without descriptors begins anew at one of them."""
    centres = descriptors[rng.choice(len(descriptors), count, replace=False)]
    for _ in range(_ROUNDS):
        owner = (descriptors @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, descriptors)
        empty = np.bincount(owner, minlength=count) == 0
        sums[empty] = descriptors[rng.choice(len(descriptors), int(empty.sum()), replace=False)]
        centres = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return centres


def _parts(image: Features) -> list[np.ndarray]:
    """Return the descriptors of the whole image, and of its halves: as many more images to learn from."""
    (x, y), (width, height) = image.keypoints.T, image.image_size
    halves = (np.ones(len(image), bool), x < width / 2, x >= width / 2, y < height / 2, y >= height / 2)
    return [image.descriptors[half] for half in halves if half.sum() >= _FEWEST]
