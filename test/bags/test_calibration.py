"""Camera files of ROS, Kalibr, OpenCV and COLMAP."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from superslam_ros.bags.calibration import cameras_of_files, read_camera, write_camera
from superslam_ros.bags.files import BagError
from superslam_ros.data import Camera
from superslam_ros.geometry.camera import ideal, to_ideal
from superslam_ros.geometry.pose import compose, transform

SIZE = (640, 480)
K = (np.array([[460.0, 0, 320], [0, 455, 236], [0, 0, 1]]), np.array([[462.0, 0, 315], [0, 457, 241], [0, 0, 1]]))
T_RIGHT_LEFT = compose(cv2.Rodrigues(np.array([0.01, -0.02, 0.015]))[0], [-0.11, 0.002, 0.001])
POINTS = np.random.default_rng(0).uniform((-1, -0.7, 2), (1, 0.7, 5), (40, 3))
RADTAN, EQUI = (-0.28, 0.07, 0.0002, 0.00002), (-0.01, 0.02, -0.01, 0.003)


def kalibr(path: Path, kind: str, topics: tuple[str, str] = ('/cam0/image_raw', '/cam1/image_raw'), **changes) -> Path:
    fields = {}
    for number in range(2):
        M = K[number]
        fields[f'cam{number}'] = {
            'camera_model': 'pinhole', 'intrinsics': [float(M[0, 0]), float(M[1, 1]), float(M[0, 2]), float(M[1, 2])],
            'distortion_model': kind, 'distortion_coeffs': list(EQUI if kind == 'equidistant' else RADTAN),
            'resolution': list(SIZE), 'rostopic': topics[number], 'cam_overlaps': [1 - number],
            **({'T_cn_cnm1': T_RIGHT_LEFT.tolist()} if number else {}), **changes}
    path.write_text(yaml.safe_dump(fields))
    return path


def opencv(path: Path, **more) -> Path:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in more.items():
        storage.write(name, value)
    storage.release()
    return path


def pair(path: Path, **options) -> tuple[Camera, Camera]:
    cameras = cameras_of_files(path, None, True, False, **options)
    return cameras['left'], cameras['right']


def assert_rectifies(left: Camera, right: Camera) -> None:
    """The right value: a point has one row in both, and the disparity that its depth gives."""
    seen = []
    for camera, points in ((left, POINTS), (right, transform(T_RIGHT_LEFT, POINTS))):
        if camera.distortion_model == 'equidistant':
            pixels, _ = cv2.fisheye.projectPoints(
                points[:, None], np.zeros(3), np.zeros(3), camera.K, camera.distortion)
        else:
            pixels = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.K, camera.distortion)[0]
        seen.append(to_ideal(camera, pixels.reshape(-1, 2), False))
    depth = (POINTS @ left.R.T)[:, 2]
    np.testing.assert_allclose(seen[0][:, 1], seen[1][:, 1], atol=1e-3)
    shift = ideal(left, False).cx - ideal(right, False).cx
    expected = ideal(left, False).fx * np.linalg.norm(T_RIGHT_LEFT[:3, 3]) / depth + shift
    np.testing.assert_allclose(seen[0][:, 0] - seen[1][:, 0], expected, atol=1e-3)
    assert right.baseline_to(left) == pytest.approx(np.linalg.norm(T_RIGHT_LEFT[:3, 3]))


@pytest.mark.parametrize('kind', ['radtan', 'equidistant'])
def test_a_chain_of_kalibr_is_a_pair(tmp_path: Path, kind: str) -> None:
    left, right = pair(kalibr(tmp_path / 'camchain.yaml', kind))
    assert left.distortion_model == {'radtan': 'plumb_bob'}.get(kind, kind) and left.image_size == SIZE
    np.testing.assert_array_equal(left.K, K[0])
    assert_rectifies(left, right)


def test_cameras_of_a_chain_are_told_apart_by_their_topics(tmp_path: Path, caplog) -> None:
    path = kalibr(tmp_path / 'camchain.yaml', 'radtan')
    assert read_camera(path, name='/cam1/image_raw').K[0, 0] == read_camera(path, name='cam1').K[0, 0] == 462
    assert read_camera(path).K[0, 0] == 460 and not caplog.text
    assert read_camera(path, name='/other').K[0, 0] == 460 and 'none of its cameras' in caplog.text
    names = {'left': '/cam0/image_raw', 'right': '/cam1/image_raw'}
    crossed = kalibr(tmp_path / 'crossed.yaml', 'radtan', ('/cam1/image_raw', '/cam0/image_raw'))
    left, right = pair(crossed, names=names)
    assert (left.K[0, 0], right.K[0, 0]) == (462, 460) and right.baseline_to(left) < 0


def test_opencv_pairs_and_single_cameras_in_yaml_and_xml(tmp_path: Path) -> None:
    D = np.array([[*RADTAN, 0.0]])
    for suffix in ('yml', 'xml'):
        path = opencv(tmp_path / f'stereo.{suffix}', M1=K[0], D1=D, M2=K[1], D2=D, R=T_RIGHT_LEFT[:3, :3],
                      T=T_RIGHT_LEFT[:3, 3:])
        with pytest.raises(BagError, match='the size of the images is not in it'):
            pair(path)
        assert_rectifies(*pair(path, size=SIZE))
        path = opencv(tmp_path / f'one.{suffix}', image_width=640, image_height=480, camera_matrix=K[0],
                      distortion_coefficients=np.array([[*EQUI]]).T, fisheye_model=1)
        camera = read_camera(path)
        assert camera.distortion_model == 'equidistant' and camera.image_size == SIZE
        np.testing.assert_allclose(camera.distortion, EQUI)
        path = opencv(tmp_path / f'alone.{suffix}', M1=K[0], D1=D, M2=K[1], D2=D)
        with pytest.raises(BagError, match='where the right camera is, is not in it'):
            pair(path, size=SIZE)
        with pytest.raises(BagError, match='no camera matrix in it'):
            read_camera(opencv(tmp_path / f'none.{suffix}', image_width=640, image_height=480, Q=np.eye(4)))


@pytest.mark.parametrize('line, model, coefficients', [
    ('SIMPLE_PINHOLE 640 480 500 320.5 240.5', 'none', ()),
    ('PINHOLE 640 480 500 500 320.5 240.5', 'none', ()),
    ('SIMPLE_RADIAL 640 480 500 320.5 240.5 -0.1', 'plumb_bob', (-0.1, 0, 0, 0, 0)),
    ('RADIAL 640 480 500 320.5 240.5 -0.1 0.02', 'plumb_bob', (-0.1, 0.02, 0, 0, 0)),
    ('OPENCV 640 480 500 500 320.5 240.5 -0.1 0.02 0.001 0.002', 'plumb_bob', (-0.1, 0.02, 0.001, 0.002, 0)),
    ('OPENCV_FISHEYE 640 480 500 500 320.5 240.5 -0.1 0.02 0.001 0.002', 'equidistant', (-0.1, 0.02, 0.001, 0.002)),
    ('FULL_OPENCV 640 480 500 500 320.5 240.5 1 2 .03 .04 5 6 7 8', 'rational_polynomial',
     (1, 2, 0.03, 0.04, 5, 6, 7, 8))])
def test_models_of_colmap(tmp_path: Path, line: str, model: str, coefficients: tuple[float, ...]) -> None:
    """Whose first pixel has its centre at (.5, .5)."""
    path = tmp_path / 'cameras.txt'
    path.write_text(f'# Camera list with one line of data per camera:\n# Number of cameras: 1\n3 {line}\n')
    camera = read_camera(path)
    np.testing.assert_array_equal(camera.K, [[500, 0, 320], [0, 500, 240], [0, 0, 1]])
    assert (camera.distortion_model, camera.image_size) == (model, SIZE)
    np.testing.assert_array_equal(camera.distortion, coefficients)


def test_of_several_colmap_cameras_the_one_of_the_images_size(tmp_path: Path) -> None:
    path = tmp_path / 'cameras.txt'
    path.write_text('1 PINHOLE 640 480 500 500 320.5 240.5\n2 PINHOLE 320 240 250 250 160.5 120.5\n')
    assert read_camera(path, size=(320, 240)).K[0, 0] == 250
    with pytest.raises(BagError, match=r'has 2 cameras \(1, 2\), and it is not clear which is meant'):
        read_camera(path)


@pytest.mark.parametrize('content, reason', [
    ('1 FOV 640 480 500 500 320 240 0.9\n', 'line 1: model FOV is not supported; supported: SIMPLE_PINHOLE'),
    ('1 PINHOLE 640 480 500 320 240\n', 'PINHOLE has 4 parameters, not 3'),
    ('cam0: {camera_model: omni, resolution: [640, 480], intrinsics: [1, 2, 3, 4, 5]}', 'camera_model omni'),
    ('cam0: {resolution: [640, 480]}', 'intrinsics is missing'),
    ('[1, 2]', r'not a camera file; expected the format of camera_calibration \(ROS\), a camera chain of Kalibr'),
    ('image_width: 640', 'image_height is missing'),
    ('%YAML:1.0\n---\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: [', 'camera.yaml: '),
    (b'\xff\xfe\x00', 'cannot be read as a camera file')])
def test_files_that_are_none(tmp_path: Path, content: str | bytes, reason: str) -> None:
    path = tmp_path / 'camera.yaml'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BagError, match=reason):
        read_camera(path)


def test_raw_cameras_for_rectified_images_are_refused(tmp_path: Path) -> None:
    for path in (kalibr(tmp_path / 'camchain.yaml', 'radtan'),
                 opencv(tmp_path / 'one.yml', image_width=640, image_height=480, K=K[0], D=np.array([RADTAN]))):
        with pytest.raises(BagError, match='is of raw images, and these are taken for rectified'):
            cameras_of_files(path, None, path.stem == 'camchain', True)
        with pytest.raises(BagError, match='or --rectified no where they are raw'):
            read_camera(path, rectified=True)


def test_a_camera_that_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    camera = Camera(*SIZE, K[0], np.array(RADTAN), 'plumb_bob', frame_id='front')
    write_camera(tmp_path / 'camera.yaml', camera)
    assert read_camera(tmp_path / 'camera.yaml').same(camera)
