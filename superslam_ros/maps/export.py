"""Maps for other programs: COLMAP's text model, points as PLY, the pose graph as g2o, the poses as TUM."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import inverse, quaternion, rotate_covariance, transform, tum_line
from superslam_ros.maps.content import Content
from superslam_ros.maps.parts import MapError


def export(content: Content, path: str | os.PathLike, kind: str) -> None:
    """Write what a map holds in another format.

    :param path: a file; for ``colmap`` a directory, which is made where there is none.
    :param kind: one of :data:`KINDS`.
    :raises MapError: for a kind that there is not, and when it cannot be written.
    """
    if kind not in KINDS:
        raise MapError(f'a map cannot be exported as {kind!r}, but as {", ".join(KINDS)}')
    path = Path(path).expanduser()
    try:
        KINDS[kind](content, path)
    except OSError as error:
        raise MapError(f'{path} cannot be written ({error.strerror or error}): is it the name of '
                       f'{"a directory" if kind == "colmap" else "a file"}, is the disk full, and may you write '
                       'there?') from error


def colmap(content: Content, path: Path) -> None:
    """Write ``cameras.txt``, ``images.txt`` and ``points3D.txt``, to whose pixels (0.5, 0.5) is the first one's centre.

    Images are named ``SESSION/STAMP.png``, the stamp in nanoseconds; they are those of the ideal camera.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / 'cameras.txt').open('w', encoding='utf-8') as file:
        for number, (camera, (width, height)) in content.cameras.items():
            file.write(f'{number} PINHOLE {width} {height} {camera.fx!r} {camera.fy!r} {camera.cx + 0.5!r} '
                       f'{camera.cy + 0.5!r}\n')
    with (path / 'images.txt').open('w', encoding='utf-8') as file:
        for one in content.keyframes.values():
            T = inverse(one.T_map_camera)
            x, y, z, w = quaternion(T[:3, :3])
            file.write(f'{one.id} {_numbers([w, x, y, z, *T[:3, 3]])} {one.camera} {one.session}/{one.stamp_ns}.png\n')
            file.write(' '.join(f'{u + 0.5:.3f} {v + 0.5:.3f} {landmark}' for (u, v), landmark in zip(
                one.pixels.tolist(), one.landmark_ids.tolist())) + '\n')
    tracks, errors = _tracks(content)
    rows = content.landmarks.living()
    with (path / 'points3D.txt').open('w', encoding='utf-8') as file:
        for number, point in zip(content.landmarks.ids[rows].tolist(), content.points_of(rows).tolist()):
            track = ' '.join(f'{keyframe} {position}' for keyframe, position in tracks[number])
            file.write(f'{number} {_numbers(point)} 128 128 128 {np.mean(errors[number]):.4f} {track}\n')


def _tracks(content: Content) -> tuple[dict[int, list[tuple[int, int]]], dict[int, list[float]]]:
    """Return by landmark who sees it (keyframe, position in its sightings), and how many pixels beside its place."""
    tracks: dict[int, list[tuple[int, int]]] = {}
    errors: dict[int, list[float]] = {}
    for one in content.keyframes.values():
        points = content.points_of(content.landmarks.rows(one.landmark_ids))
        camera: Pinhole = content.cameras[one.camera][0]
        away = camera.project(transform(inverse(one.T_map_camera), points)) - one.pixels
        for position, (landmark, error) in enumerate(zip(
                one.landmark_ids.tolist(), np.linalg.norm(away, axis=1).tolist())):
            tracks.setdefault(landmark, []).append((one.id, position))
            errors.setdefault(landmark, []).append(error)
    return tracks, errors


def ply(content: Content, path: Path) -> None:
    """Write the landmarks as a binary PLY file, with the deviation of their place and how often they were seen."""
    rows = content.landmarks.living()
    vertices = np.zeros(len(rows), [('xyz', '<f4', 3), ('sigma', '<f4'), ('count', '<i4')])
    vertices['xyz'] = content.points_of(rows)
    vertices['sigma'] = np.sqrt(np.trace(content.landmarks.covariance[rows], axis1=1, axis2=2))
    vertices['count'] = content.landmarks.count[rows]
    header = ['ply', 'format binary_little_endian 1.0', f'element vertex {len(rows)}', 'property float x',
              'property float y', 'property float z', 'property float sigma', 'property int count', 'end_header', '']
    path.write_bytes('\n'.join(header).encode() + vertices.tobytes())


def g2o(content: Content, path: Path) -> None:
    """Write keyframes and edges, without the loops that the graph speaks against.

    The information is that of a rotation vector, as GTSAM reads it, along the axes of the edge's end.
    """
    upper = np.triu_indices(6)
    with path.open('w', encoding='utf-8') as file:
        for one in content.keyframes.values():
            file.write(f'VERTEX_SE3:QUAT {one.id} {_pose(one.T_map_camera)}\n')
        for edge in content.edges:
            if edge.inlier:
                information = np.linalg.inv(rotate_covariance(edge.T_start_end[:3, :3].T, edge.pose_covariance))
                file.write(f'EDGE_SE3:QUAT {edge.start} {edge.end} {_pose(edge.T_start_end)} '
                           f'{_numbers(information[upper])}\n')


def tum(content: Content, path: Path) -> None:
    """Write the poses of the optical frames in the map, in the order of time."""
    inorder = sorted(content.keyframes.values(), key=lambda one: (one.stamp_ns, one.id))
    path.write_text(''.join(tum_line(one.stamp_ns, one.T_map_camera) for one in inorder), encoding='utf-8')


def _pose(T: np.ndarray) -> str:
    return _numbers([*T[:3, 3], *quaternion(T[:3, :3])])


def _numbers(values: np.ndarray | list[float]) -> str:
    return ' '.join(f'{value:.12g}' for value in values)


KINDS: dict[str, Callable[[Content, Path], None]] = {'colmap': colmap, 'ply': ply, 'g2o': g2o, 'tum': tum}
"""What a map can be exported as."""
