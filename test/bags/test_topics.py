"""Which topics are the camera."""

from __future__ import annotations

import pytest

from superslam_ros.bags.bag import IMAGE_TYPES, INFO_TYPE, BagError, Topic
from superslam_ros.bags.topics import is_rectified, select

RAW, COMPRESSED = IMAGE_TYPES


def image(name: str, encoding: str = 'mono8', kind: str = RAW) -> Topic:
    return Topic(name, kind, 10, encoding, (64, 48))


def info(name: str) -> Topic:
    return Topic(name, INFO_TYPE, 10)


REALSENSE = [
    image('/camera/color/image_raw', 'rgb8'), info('/camera/color/camera_info'),
    image('/camera/aligned_depth_to_color/image_raw', '16UC1'), info('/camera/aligned_depth_to_color/camera_info'),
    image('/camera/depth/image_rect_raw', '16UC1'), info('/camera/depth/camera_info'),
    image('/camera/infra1/image_rect_raw'), info('/camera/infra1/camera_info'),
    image('/camera/infra2/image_rect_raw'), info('/camera/infra2/camera_info'),
]


def test_realsense_prefers_the_registered_depth() -> None:
    chosen = select(REALSENSE)
    assert (chosen.mode, chosen.image) == ('rgbd', '/camera/color/image_raw')
    assert chosen.depth == '/camera/aligned_depth_to_color/image_raw'
    assert chosen.camera_info == '/camera/color/camera_info'


def test_realsense_as_stereo_or_mono_when_told() -> None:
    chosen = select(REALSENSE, mode='stereo')
    assert (chosen.image, chosen.right_image) == ('/camera/infra1/image_rect_raw', '/camera/infra2/image_rect_raw')
    assert select(REALSENSE, mode='mono').mode == 'mono'


@pytest.mark.parametrize('left, right', [
    ('/stereo/left/image_rect', '/stereo/right/image_rect'), ('/cam0/image_raw', '/cam1/image_raw'),
    ('/zed/zed_node/left/image_rect_color', '/zed/zed_node/right/image_rect_color'),
    ('/kitti/camera_gray_left/image_rect', '/kitti/camera_gray_right/image_rect'),
])
def test_stereo_pairs_by_name(left: str, right: str) -> None:
    infos = [info(f'{name.rpartition("/")[0]}/camera_info') for name in (left, right)]
    chosen = select([image(right), image(left), *infos])
    assert (chosen.image, chosen.right_image, chosen.mode) == (left, right, 'stereo')
    assert chosen.right_camera_info == infos[1].name


def test_the_demo_is_stereo_with_an_unregistered_depth_beside_it() -> None:
    topics = [image('/camera/left/image_rect'), image('/camera/right/image_rect'), info('/camera/left/camera_info'),
              info('/camera/right/camera_info'), image('/camera/depth/image_rect', '16UC1')]
    assert select(topics).mode == 'stereo'
    chosen = select(topics, mode='rgbd')
    assert (chosen.image, chosen.depth, chosen.right_image) == (
        '/camera/left/image_rect', '/camera/depth/image_rect', '')


def test_raw_is_preferred_to_compressed_and_rectified_to_raw() -> None:
    topics = [image('/c/image_raw/compressed', 'jpeg', COMPRESSED), image('/c/image_raw'), info('/c/camera_info')]
    assert select(topics).image == '/c/image_raw'
    assert select([*topics, image('/c/image_rect')]).image == '/c/image_rect'
    chosen = select([topics[0], topics[2]])
    assert (chosen.image, chosen.camera_info) == ('/c/image_raw/compressed', '/c/camera_info')


def test_compressed_depth() -> None:
    topics = [
        image('/c/rgb/image_raw/compressed', 'rgb8; jpeg compressed bgr8', COMPRESSED),
        info('/c/rgb/camera_info'),
        image('/c/depth/image_raw/compressedDepth', '16UC1; compressedDepth png', COMPRESSED),
    ]
    assert select(topics).depth == '/c/depth/image_raw/compressedDepth'


def test_named_topics_are_taken() -> None:
    topics = [image('/a'), image('/b'), info('/info')]
    chosen = select(topics, image='/b', right_image='/a', camera_info='/info', right_camera_info='/info')
    assert (chosen.mode, chosen.image, chosen.right_image) == ('stereo', '/b', '/a')
    assert select(topics, image='/b', calibrated=('left',)).camera_info == ''


@pytest.mark.parametrize('arguments, reason', [
    ({'mode': 'stereo'}, 'no left and right.*--right-image TOPIC'), ({'mode': 'rgbd'}, 'no depth topic.*--depth TOPIC'),
    ({'image': '/b'}, 'no camera_info for /b.*the bag has /c/camera_info'), ({'depth': '/nope'}, 'no topic /nope'),
])
def test_what_is_not_there_is_named_with_the_remedy(arguments: dict, reason: str) -> None:
    topics = [image('/c/image_raw'), image('/b'), info('/c/camera_info')]
    with pytest.raises(BagError, match=reason):
        select(topics, **arguments)


def test_rectified_by_name() -> None:
    assert is_rectified('/left/image_rect') and is_rectified('/camera/image_rect_color')
    assert is_rectified('/rectified/image')
    assert not is_rectified('/direct/image_raw') and not is_rectified('/correction/image')


def test_an_image_that_is_named_is_no_depth() -> None:
    """A thermal camera's 16 bits look like depth."""
    thermal = [image('/thermal/image_raw', '16UC1'), info('/thermal/camera_info')]
    assert select(thermal, image='/thermal/image_raw').mode == 'mono'
