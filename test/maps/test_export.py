"""Exports say what the map says: read back by whoever the formats belong to, or by what their pages define."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from places import all_round, built, lap

from superslam_ros.evaluation.trajectory import read_tum
from superslam_ros.geometry.pose import compose, inverse, perturb, rotation, transform
from superslam_ros.maps.export import KINDS, export
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, Edge, MapError


@pytest.fixture(scope='module')
def kept() -> Map:
    made, _ = built(all_round(), lap(6))
    made.remove(3)
    made.edges.append(Edge(1, 6, np.eye(4), np.eye(6), LOOP, False))
    return made


def test_colmap(kept: Map, tmp_path: Path) -> None:
    """Every point projects to where the images say that they see it, and is in their lists as they are in its."""
    export(kept, tmp_path / 'a/model', 'colmap')
    camera, = (line.split() for line in (tmp_path / 'a/model/cameras.txt').read_text().splitlines())
    assert camera == ['1', 'PINHOLE', '640', '480', '300.0', '300.0', '320.5', '240.5']
    points, tracks = {}, {}
    for line in (tmp_path / 'a/model/points3D.txt').read_text().splitlines():
        number, *values = line.split()
        points[int(number)] = np.array(values[:3], dtype=float)
        assert 0 <= float(values[6]) < 0.02
        tracks[int(number)] = set(zip(values[7::2], values[8::2]))
    assert len(points) == len(kept.landmarks)
    images = (tmp_path / 'a/model/images.txt').read_text().splitlines()
    assert len(images) == 2 * len(kept)
    for head, seen in zip(images[::2], images[1::2]):
        number, *values, camera_id, name = head.split()
        w, x, y, z, *t = map(float, values)
        T = compose(rotation([x, y, z, w]), t)
        np.testing.assert_allclose(T @ kept.keyframes[int(number)].T_map_camera, np.eye(4), atol=1e-9)
        assert camera_id == '1' and name == f'1/{kept.keyframes[int(number)].stamp_ns}.png'
        seen = np.array(seen.split(), dtype=float).reshape(-1, 3)
        local = transform(T, np.array([points[int(one)] for one in seen[:, 2]]))
        np.testing.assert_allclose(local[:, :2] / local[:, 2:] * 300 + [320.5, 240.5], seen[:, :2], atol=0.02)
        for position, landmark in enumerate(seen[:, 2].astype(int).tolist()):
            tracks[landmark].remove((number, str(position)))
    assert not any(tracks.values())


def test_g2o_is_read_by_gtsam(kept: Map, tmp_path: Path) -> None:
    """The same poses, and an error in the sense of the covariance has the same chi-square."""
    gtsam = pytest.importorskip('gtsam', reason='GTSAM is not installed; there is no wheel for this Python')
    made = Map()
    made.join(kept, np.eye(4))
    random = np.random.default_rng(0)
    root = random.normal(size=(6, 6)) * 0.1
    edge = Edge(1, 5, inverse(made.keyframes[1].T_map_camera) @ made.keyframes[5].T_map_camera, root @ root.T, LOOP)
    made.edges.append(edge)
    export(made, tmp_path / 'graph.g2o', 'g2o')
    graph, values = gtsam.readG2o(str(tmp_path / 'graph.g2o'), True)
    assert values.size() == len(made) and graph.size() == len(made.edges) - 1
    for number, one in made.keyframes.items():
        np.testing.assert_allclose(values.atPose3(number).matrix(), one.T_map_camera, atol=1e-9)
    assert graph.error(values) < 1e-9
    error = 1e-3 * root @ random.normal(size=6)
    moved = made.keyframes[1].T_map_camera @ perturb(edge.T_start_end, error)
    values.update(5, gtsam.Pose3(gtsam.Rot3(moved[:3, :3]), moved[:3, 3]))
    factor = graph.at(graph.size() - 1)
    assert 2 * factor.error(values) == pytest.approx(error @ np.linalg.solve(edge.covariance, error), rel=0.02)


def test_ply(kept: Map, tmp_path: Path) -> None:
    export(kept, tmp_path / 'points.ply', 'ply')
    header, _, body = (tmp_path / 'points.ply').read_bytes().partition(b'end_header\n')
    lines = header.decode().splitlines()
    assert lines[:3] == ['ply', 'format binary_little_endian 1.0', f'element vertex {len(kept.landmarks)}']
    kinds = {'float': '<f4', 'int': '<i4'}
    rows = np.frombuffer(body, [(line.split()[2], kinds[line.split()[1]]) for line in lines[3:]])
    seen = kept.landmarks_of(kept.keyframes)
    np.testing.assert_allclose(np.stack([rows['x'], rows['y'], rows['z']], 1), seen.points, atol=1e-5)
    np.testing.assert_allclose(rows['sigma'], np.sqrt(3e-4), rtol=1e-3)
    np.testing.assert_array_equal(rows['count'], seen.count)


def test_tum(kept: Map, tmp_path: Path) -> None:
    export(kept, tmp_path / 'poses.tum', 'tum')
    stamps, poses = read_tum(tmp_path / 'poses.tum')
    assert stamps.tolist() == [one.stamp_ns for one in kept.keyframes.values()]
    np.testing.assert_allclose(poses, [one.T_map_camera for one in kept.keyframes.values()], atol=1e-8)


@pytest.mark.parametrize('kind', KINDS)
def test_an_empty_map_is_exported_as_nothing(kind: str, tmp_path: Path) -> None:
    export(Map(), tmp_path / 'out', kind)
    assert (tmp_path / 'out').exists()


@pytest.mark.parametrize('kind', KINDS)
def test_what_cannot_be_written_says_so(kind: str, kept: Map, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(MapError, match=r'file/out cannot be written \(Not a directory\): is it the name of'):
        export(kept, tmp_path / 'file' / 'out', kind)
    with pytest.raises(MapError, match="cannot be exported as 'pcd', but as colmap, ply, g2o, tum"):
        export(kept, tmp_path / 'out', 'pcd')
