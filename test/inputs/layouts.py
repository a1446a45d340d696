"""Data sets, folders and videos as they are downloaded, written from the frames of a bag."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from superslam_ros.bags.bag import open_bag
from superslam_ros.bags.reader import BagFrames, ReaderOptions
from superslam_ros.data import Camera, Frame
from superslam_ros.geometry.pose import inverse, quaternion


def frames_of(bag: Path, mode: str) -> list[Frame]:
    with open_bag(bag) as reader:
        return [recorded.frame for recorded in BagFrames(reader, ReaderOptions(mode=mode))]


def write_euroc(path: Path, frames: list[Frame], truth: np.ndarray, T_body_left: np.ndarray) -> Path:
    """Write stereo frames, with the true poses (N, 4, 4) of the left camera."""
    mav = path / 'mav0'
    T_left_right = np.eye(4)
    T_left_right[0, 3] = frames[0].right_camera.baseline_m
    for name, T, images, camera in (
        ('cam0', T_body_left, [frame.image for frame in frames], frames[0].camera),
        ('cam1', T_body_left @ T_left_right, [frame.right_image for frame in frames], frames[0].right_camera),
    ):
        (mav / name / 'data').mkdir(parents=True)
        lines = ['#timestamp [ns],filename']
        for frame, image in zip(frames, images):
            write_image(mav / name / 'data' / f'{frame.stamp_ns}.png', image)
            lines.append(f'{frame.stamp_ns},{frame.stamp_ns}.png')
        (mav / name / 'data.csv').write_text('\r\n'.join(lines) + '\r\n')
        K = camera.K
        (mav / name / 'sensor.yaml').write_text(
            f'%YAML:1.0\nsensor_type: camera\nT_BS:\n  cols: 4\n  rows: 4\n  data: {T.ravel().tolist()}\n'
            f'rate_hz: 20\nresolution: [{camera.width}, {camera.height}]\ncamera_model: pinhole\n'
            f'intrinsics: [{K[0, 0]}, {K[1, 1]}, {K[0, 2]}, {K[1, 2]}]\ndistortion_model: radial-tangential\n'
            'distortion_coefficients: [0.0, 0.0, 0.0, 0.0]\n')
    folder = mav / 'state_groundtruth_estimate0'
    folder.mkdir()
    rows = ['#timestamp, p_RS_R_x [m], ...']
    for frame, T in zip(frames, truth):
        T_world_body = T @ inverse(T_body_left)
        x, y, z, w = quaternion(T_world_body[:3, :3])
        rows.append(','.join(map(str, [frame.stamp_ns, *T_world_body[:3, 3], w, x, y, z, *[0.0] * 9])))
    (folder / 'data.csv').write_text('\n'.join(rows) + '\n')
    (mav / 'imu0').mkdir()
    (mav / 'imu0/sensor.yaml').write_text(f'T_BS: {{cols: 4, rows: 4, data: {np.eye(4).ravel().tolist()}}}\n')
    (mav / 'imu0/data.csv').write_text('#timestamp [ns],w_x,w_y,w_z,a_x,a_y,a_z\n1000000000,.1,.2,.3,9,.5,.6\n')
    return path


def write_tum(path: Path, frames: list[Frame], truth: Path) -> Path:
    """Write frames with depth."""
    (path / 'rgb').mkdir(parents=True)
    (path / 'depth').mkdir()
    rgb, depth = ['# color images'], ['# depth maps']
    for frame in frames:
        time, later = (f'{ns // 10**9}.{ns % 10**9 // 1000:06d}' for ns in (frame.stamp_ns, frame.stamp_ns + 9_000_000))
        write_image(path / 'rgb' / f'{time}.png', frame.image)
        write_image(path / 'depth' / f'{later}.png', np.rint(np.nan_to_num(frame.depth_m) * 5000).astype(np.uint16))
        rgb.append(f'{time} rgb/{time}.png')
        depth.append(f'{later} depth/{later}.png')
    (path / 'rgb.txt').write_text('\n'.join(rgb) + '\n')
    (path / 'depth.txt').write_text('\n'.join(depth) + '\n')
    (path / 'groundtruth.txt').write_text('# ground truth\n' + truth.read_text())
    return path


def write_kitti(root: Path, frames: list[Frame], truth: np.ndarray, name: str = '07') -> Path:
    """Write a sequence of stereo frames below ``sequences``, and its poses."""
    path = root / 'sequences' / name
    for folder in ('image_0', 'image_1'):
        (path / folder).mkdir(parents=True)
    for number, frame in enumerate(frames):
        write_image(path / 'image_0' / f'{number:06d}.png', frame.image)
        write_image(path / 'image_1' / f'{number:06d}.png', frame.right_image)
    (path / 'times.txt').write_text(''.join(f'{frame.stamp_ns * 1e-9:.6e}\n' for frame in frames))
    (path / 'calib.txt').write_text(''.join(
        f'P{number}: ' + ' '.join(f'{value:.12e}' for value in camera.P.ravel()) + '\n'
        for number, camera in enumerate((frames[0].camera, frames[0].right_camera))))
    (root / 'poses').mkdir()
    (root / 'poses' / f'{name}.txt').write_text(''.join(
        ' '.join(f'{value:.9e}' for value in T[:3].ravel()) + '\n' for T in truth))
    return path


def write_folder(path: Path, frames: list[Frame], name: str = '{}') -> Path:
    """Write the images, by their stamps."""
    path.mkdir()
    for frame in frames:
        write_image(path / f'{name.format(frame.stamp_ns)}.png', frame.image)
    return path


def write_video(path: Path, images: list[np.ndarray], rate_hz: float = 10.0) -> Path:
    """Write gray images, to be read to the last bit."""
    size = images[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'FFV1'), rate_hz, size, False)
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


def write_camera_yaml(path: Path, camera: Camera) -> Path:
    from superslam_ros.bags.calibration import write_camera

    write_camera(path, camera)
    return path


def write_image(path: Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
