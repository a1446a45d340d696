"""Evidence comes back from disk as it was, and what is not whole is refused."""

from dataclasses import replace

import numpy as np
import pytest

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.improve.evidence import (
    ARRAYS,
    DESCRIPTORS,
    Evidence,
    EvidenceError,
    depth_file,
    image_file,
    write_frame,
)


def made(folder, counts=(3, 0, 2)):
    rng = np.random.default_rng(0)
    frames, count = len(counts), sum(counts)
    for frame in range(frames):
        depth = rng.uniform(0.5, 70, (16, 20)).astype(np.float32)
        depth[0] = [np.nan] + [3.25] * 19
        write_frame(folder, frame, rng.integers(0, 256, (16, 20), dtype=np.uint8), depth if frame else None)
    return Evidence(
        'drive', Pinhole(20, 21, 9.5, 7.5), (20, 16), True, 'depth', np.arange(frames) * 10**8,
        np.tile(np.eye(4), (frames, 1, 1)), np.zeros(frames), np.concatenate([[0], np.cumsum(counts)]),
        rng.uniform(0, 15, (count, 2)), rng.uniform(0, 1, count), np.ones(count), np.full(count, np.nan),
        rng.normal(0, 1, (count, 256)).astype(np.float16), 'abc', folder, np.diag([1.0, -1, -1, 1]))


def test_what_is_saved_is_loaded(tmp_path):
    evidence = made(tmp_path / 'a')
    evidence.save(tmp_path / 'a')
    loaded = Evidence.load(tmp_path / 'a')
    for name, value in vars(evidence).items():
        assert np.array_equal(getattr(loaded, name), value, equal_nan=name == 'depth_m'), name
    assert isinstance(loaded.descriptors, np.memmap) and loaded.frame_of().tolist() == [0, 0, 0, 2, 2]
    assert len(loaded) == 3 and loaded.rows(2) == slice(3, 5) and loaded.rows(1) == slice(3, 3)
    # What has been worked out is saved over it, and elsewhere with the images.
    moved = replace(loaded, T_world_camera=loaded.T_world_camera + 1)
    for folder in (tmp_path / 'a', tmp_path / 'b'):
        moved.save(folder)
        again = Evidence.load(folder)
        assert np.array_equal(again.T_world_camera, evidence.T_world_camera + 1)
        assert np.array_equal(again.descriptors, evidence.descriptors)
        assert np.array_equal(again.image(2), evidence.image(2))


def test_images_and_depths_are_read_from_disk(tmp_path):
    evidence = made(tmp_path)
    assert evidence.image(1).shape == (16, 20) and evidence.image(1).dtype == np.uint8
    assert evidence.depth(0) is None
    depth = evidence.depth(1)
    assert depth.dtype == np.float32 and np.isnan(depth[0, 0]) and depth[0, 1] == np.float32(3.25)
    assert np.nanmax(depth) < 65.536 and np.isnan(depth[1:]).any()      # farther than its file can say


def test_damage_is_refused(tmp_path):
    evidence = made(tmp_path)
    with pytest.raises(EvidenceError, match='not there; remove'):
        Evidence.load(tmp_path)
    evidence.save(tmp_path)
    for damaged, read in ((tmp_path / ARRAYS, lambda: Evidence.load(tmp_path)),
                          (tmp_path / DESCRIPTORS, lambda: Evidence.load(tmp_path)),
                          (image_file(tmp_path, 0), lambda: evidence.image(0)),
                          (depth_file(tmp_path, 1), lambda: evidence.depth(1))):
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[:len(whole) // 2])
        with pytest.raises(EvidenceError, match=f'{damaged.name}: damaged.*remove {tmp_path} and run again'):
            read()
        damaged.write_bytes(whole)
    flipped = bytearray((tmp_path / ARRAYS).read_bytes())
    flipped[flipped.find(evidence.pixels.tobytes())] ^= 255
    (tmp_path / ARRAYS).write_bytes(flipped)
    with pytest.raises(EvidenceError, match='damaged'):
        Evidence.load(tmp_path)


def test_another_version_is_refused(tmp_path, monkeypatch):
    evidence = made(tmp_path)
    monkeypatch.setattr('superslam_ros.improve.evidence.VERSION', 99)
    evidence.save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(EvidenceError, match='of version 99, and this program reads 1'):
        Evidence.load(tmp_path)


@pytest.mark.parametrize('change', [
    {'pixels': np.zeros((4, 2))}, {'segment': np.zeros(2)}, {'first': [0, 3, 2, 5]}, {'source': 'lidar'},
    {'descriptors': np.zeros((5, 256))}])
def test_fields_have_to_belong_together(tmp_path, change):
    with pytest.raises(EvidenceError, match=r'evidence: .*(shape|divide|source|rows)'):
        replace(made(tmp_path), **change)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    evidence = made(tmp_path / 'a')
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match=r'file.*cannot be written'):
        evidence.save(tmp_path / 'file')
