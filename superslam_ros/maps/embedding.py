"""One vector for a whole image, by which places are proposed, never accepted: VLAD (Jegou et al., CVPR 2010).

Around 64 words, the descriptors' residuals are summed, each descriptor shared among the words near to it, and every
word's sum is brought to unit length (intra-normalisation: Arandjelovic and Zisserman, CVPR 2013), so that what repeats
does not drown the rest. Of each word's sum the 32 directions are kept that differ most from image to image, whitened,
the strongest first: the first 8 of all words are an embedding of their own, good enough for a short list.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHORT_AXES = 8
"""So many of the directions of every word make the short list."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What makes an embedding of descriptors of length D; A directions of each of K words.

    :ivar words: (K, D) float32 unit descriptors.
    :ivar means: (K, D) float32 mean of the descriptors of each word, from which residuals are taken.
    :ivar axes: (K, A, D) float32 directions, divided by how much images differ along them.
    :ivar sharpness: how much nearer one word has to be than another to get a descriptor for itself.
    :ivar superpoint: SHA-256 of the weights whose descriptors it was learnt on; '' where unknown.
    :ivar digest: SHA-256 of its own file; embeddings of different vocabularies are not to be compared.
    """

    words: np.ndarray
    means: np.ndarray
    axes: np.ndarray
    sharpness: float = 20.0
    superpoint: str = ''
    digest: str = ''

    @classmethod
    def load(cls, path: str | os.PathLike = '') -> Vocabulary:
        """Read the file of ``superslam train places``; by default the vocabulary that comes with the package.

        :raises FileNotFoundError: when there is no such file.
        :raises ValueError: naming the file, when it is damaged or no vocabulary.
        """
        from superslam_ros.models import checkpoint  # only here PyTorch is needed

        path = checkpoint.locate('places', path)
        tensors = {name: tensor.numpy() for name, tensor in checkpoint.load_state(path).items()}
        shapes = [getattr(tensors.get(name), 'shape', ()) for name in ('words', 'means', 'axes')]
        if not (len(shapes[0]) == 2 and shapes[0] == shapes[1] and len(shapes[2]) == 3
                and shapes[2][::2] == shapes[0] and shapes[2][1] >= SHORT_AXES):
            raise ValueError(f'{path} is no vocabulary of places: give a file of `superslam train places`')
        if not all(np.isfinite(tensors[name]).all() for name in ('words', 'means', 'axes')):
            raise ValueError(f'{path} holds NaN or infinity: train it anew with `superslam train places`')
        about = checkpoint.metadata(path)
        return cls(tensors['words'], tensors['means'], tensors['axes'], float(about.get('sharpness', cls.sharpness)),
                   about.get('superpoint_sha256', ''), checkpoint.digest(path))

    def save(self, path: Path) -> None:
        """Write it as safetensors, in fp16.

        :raises OSError: when it cannot be written.
        """
        import torch

        from superslam_ros.models import checkpoint

        checkpoint.save(
            {name: torch.from_numpy(getattr(self, name)) for name in ('words', 'means', 'axes')}, path,
            {'network': 'places', 'sharpness': f'{self.sharpness:g}', 'superpoint_sha256': self.superpoint})

    @property
    def size(self) -> int:
        """How long an embedding is: K * A."""
        return self.axes.shape[0] * self.axes.shape[1]

    def residuals(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the (K, D) sums of the residuals of (N, D) descriptors, each of unit length or zero."""
        descriptors = np.asarray(descriptors, np.float32)
        near = self.sharpness * (descriptors @ self.words.T)
        share = np.exp(near - near.max(1, keepdims=True, initial=-np.inf))
        share /= share.sum(1, keepdims=True)
        sums = share.T @ descriptors - share.sum(0)[:, None] * self.means
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)

    def embed(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the embedding of an image, (size,) float32 of unit length; zeros where there are no descriptors.

        :param descriptors: (N, D) unit rows.
        :raises ValueError: for descriptors of another length.
        """
        if descriptors.ndim != 2 or descriptors.shape[1] != self.words.shape[1]:
            raise ValueError(f'descriptors of shape {descriptors.shape}, but the vocabulary is of length '
                             f'{self.words.shape[1]}: give one that was trained with the same extractor.weights')
        found = np.matmul(self.axes, self.residuals(descriptors)[:, :, None])[:, :, 0]
        return _unit(found.T.ravel())       # the strongest directions of all words first


class Places:
    """Embeddings of keyframes, searched by likeness: a short list by their first part, ranked by the whole.

    On one core 10,000 take about 5 ms. The same calls give the same answers.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Begin empty."""
        self._size, self._short = vocabulary.size, vocabulary.axes.shape[0] * SHORT_AXES
        self._rows: dict[int, int] = {}
        self._ids = np.zeros(0, np.int64)
        self._whole = np.zeros((0, self._size), np.float16)
        self._first = np.zeros((0, self._short), np.float32)

    def __len__(self) -> int:
        """Return the number of keyframes."""
        return len(self._rows)

    def __contains__(self, keyframe: int) -> bool:
        """Whether a keyframe is there."""
        return keyframe in self._rows

    def add(self, keyframe: int, embedding: np.ndarray) -> None:
        """Add a keyframe by its id, or replace its embedding.

        :raises ValueError: when the embedding is of another length.
        """
        if np.shape(embedding) != (self._size,):
            raise ValueError(f'embedding of shape {np.shape(embedding)}, expected ({self._size},): it was made with '
                             'another vocabulary')
        row = self._rows.setdefault(keyframe, len(self._rows))
        if row == len(self._ids):
            grown = max(64, 2 * row)
            self._ids, self._whole, self._first = (
                _grown(array, grown) for array in (self._ids, self._whole, self._first))
        self._ids[row], self._whole[row] = keyframe, embedding
        self._first[row] = _unit(self._whole[row, :self._short].astype(np.float32))

    def remove(self, keyframe: int) -> None:
        """Forget a keyframe; the last one takes its row.

        :raises KeyError: when it is not there.
        """
        row, last = self._rows.pop(keyframe), len(self._rows)
        if row != last:
            for array in (self._ids, self._whole, self._first):
                array[row] = array[last]
            self._rows[int(self._ids[row])] = row

    def query(self, embedding: np.ndarray, count: int, without: Collection[int] = (),
              short_list: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """Return the keyframes that look most alike, the most alike first.

        :param embedding: (size,) of the image.
        :param without: keyframes that are not to be proposed, such as those just before it.
        :param short_list: how many are ranked by the whole embedding.
        :returns: ids (M,) int64 and similarities (M,) float32, cosines; M is ``count``, or as many as there are.
        """
        embedding = np.asarray(embedding, np.float32)
        likely = self._first[:len(self)] @ embedding[:self._short]
        barred = [self._rows[keyframe] for keyframe in without if keyframe in self._rows]
        likely[barred] = -np.inf
        rows = np.arange(len(likely))
        if len(likely) > max(short_list, count) + len(barred):
            rows = np.argpartition(-likely, max(short_list, count))[:max(short_list, count)]
        rows = rows[likely[rows] > -np.inf]
        alike = self._whole[rows].astype(np.float32) @ embedding
        order = np.lexsort([self._ids[rows], -alike])[:count]
        return self._ids[rows[order]], alike[order]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _grown(array: np.ndarray, rows: int) -> np.ndarray:
    """Return a copy of an array with more rows, those behind undefined."""
    grown = np.empty((rows, *array.shape[1:]), array.dtype)
    grown[:len(array)] = array
    return grown
