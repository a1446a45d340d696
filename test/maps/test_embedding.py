"""The embedding of an image, and the search among those of many."""

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.maps.embedding import Places, Vocabulary
from superslam_ros.models import checkpoint
from superslam_ros.slam import Extractor, ExtractorConfig


def unit(rng, *shape):
    vectors = rng.standard_normal(shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope='module')
def shipped():
    return Vocabulary.load()


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    words = unit(rng, 4, 16)
    return Vocabulary(words, 0.8 * words, unit(rng, 4, 8, 16))


def test_the_shipped_vocabulary_is_of_the_shipped_superpoint(shipped):
    assert shipped.superpoint == checkpoint.digest(checkpoint.locate('superpoint'))
    assert shipped.size == 2048
    assert len(shipped.digest) == 64


def test_an_embedding_has_unit_length_and_does_not_mind_the_order(shipped):
    descriptors = unit(np.random.default_rng(1), 300, 256)
    embedding = shipped.embed(descriptors)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(shipped.embed(descriptors[::-1]), embedding, atol=1e-4)


def test_an_image_without_keypoints_is_like_nothing(shipped):
    nothing = shipped.embed(np.zeros((0, 256), np.float32))
    assert not nothing.any()
    places = Places(shipped)
    places.add(1, nothing)
    ids, alike = places.query(shipped.embed(unit(np.random.default_rng(0), 50, 256)), 3)
    assert ids.tolist() == [1]
    assert alike.tolist() == [0]


def test_descriptors_of_another_length_are_refused(shipped):
    with pytest.raises(ValueError, match=r'\(5, 128\).*extractor\.weights'):
        shipped.embed(np.zeros((5, 128), np.float32))


def test_a_room_is_known_again_from_another_side(shipped):
    """Views of a room, half a turn of the walk apart, among those of rooms with other textures."""
    camera, extract = worlds.pinhole(160, 120), Extractor(ExtractorConfig(max_keypoints=300, precision='float32'))
    places, path = Places(shipped), worlds.demo_trajectory(6, 0.5, seed=3)
    beside = path.copy()
    beside[:, :3, 3] += [0.15, -0.1, 0.1]
    for seed in (1, 0):
        world = worlds.room_world(seed, texels_per_metre=100)
        of = [shipped.embed(extract(worlds.render(world, camera, pose).image).descriptors)
              for pose in (*path, *beside)]
        for number in range(6):
            places.add(100 * seed + number, of[number])
    assert [int(places.query(query, 1)[0][0]) for query in of[6:]] == list(range(6))


def test_the_best_are_found_through_the_short_list(small):
    rng = np.random.default_rng(2)
    embeddings = unit(rng, 500, small.size)
    places = Places(small)
    for number, embedding in enumerate(embeddings):
        places.add(number + 1, embedding)
    assert len(places) == 500
    for wanted in (0, 77, 499):
        ids, alike = places.query(embeddings[wanted], 5, short_list=20)
        assert ids[0] == wanted + 1
        assert alike[0] == pytest.approx(1, abs=1e-3)
        assert (np.diff(alike) <= 0).all()
    exact = np.argsort(-(embeddings.astype(np.float16).astype(np.float32) @ embeddings[5]))[:10] + 1
    np.testing.assert_array_equal(places.query(embeddings[5], 10, short_list=500)[0], exact)


def test_what_is_removed_or_barred_is_not_found(small):
    rng = np.random.default_rng(3)
    embeddings = unit(rng, 100, small.size)
    places = Places(small)
    for number, embedding in enumerate(embeddings):
        places.add(number, embedding)
    for number in (3, 99, 0, 50):
        places.remove(number)
        assert number not in places
    assert len(places) == 96
    for number in (1, 98, 97, 2):
        assert places.query(embeddings[number], 1)[0].tolist() == [number]
        assert number not in places.query(embeddings[number], 96, without={number, 3, 4})[0]
    assert sorted(places.query(embeddings[1], 200)[0]) == sorted(set(range(100)) - {3, 99, 0, 50})
    places.add(98, embeddings[3])
    assert places.query(embeddings[3], 1)[0].tolist() == [98]
    assert len(places) == 96


def test_an_empty_index_finds_nothing(small):
    ids, alike = Places(small).query(np.ones(small.size), 5)
    assert len(ids) == len(alike) == 0


def test_an_embedding_of_another_vocabulary_is_refused(small):
    with pytest.raises(ValueError, match='another vocabulary'):
        Places(small).add(1, np.zeros(5))


def test_a_vocabulary_is_written_and_read(small, tmp_path):
    small.save(tmp_path / 'words.safetensors')
    read = Vocabulary.load(tmp_path / 'words.safetensors')
    np.testing.assert_allclose(read.axes, small.axes, atol=1e-3)
    assert (read.sharpness, read.superpoint) == (small.sharpness, '')


def test_another_file_is_no_vocabulary(small, tmp_path):
    with pytest.raises(ValueError, match=r'compact\.safetensors is no vocabulary'):
        Vocabulary.load(checkpoint.locate('superpoint'))
    broken = Vocabulary(small.words * np.nan, small.means, small.axes)
    broken.save(tmp_path / 'nan.safetensors')
    with pytest.raises(ValueError, match=r'nan\.safetensors holds NaN'):
        Vocabulary.load(tmp_path / 'nan.safetensors')
    with pytest.raises(FileNotFoundError, match='absent'):
        Vocabulary.load(tmp_path / 'absent.safetensors')
