"""Images to features."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint, precision, subpixel, superpoint
from superslam_ros.slam import decode
from superslam_ros.slam.extract import Extractor, ExtractorConfig, _shrink


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file of random SuperPoint weights with peaked score maps."""
    torch.manual_seed(0)
    network = superpoint.SuperPoint()
    for layer in network.children():
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
    path = tmp_path_factory.mktemp('weights') / 'superpoint.safetensors'
    checkpoint.save(network.state_dict(), path)
    return str(path)


def extractor(weights: str, **options: float) -> Extractor:
    """Return an extractor on the CPU."""
    return Extractor(ExtractorConfig(weights=weights, device='cpu', **options))


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return (H, W) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (61, 99), (57, 57), (16, 120)])
def test_features_lie_inside(weights: str, height: int, width: int) -> None:
    """Any size: keypoints stay inside, descriptors have unit length, scores fall."""
    features = extractor(weights)(random_image(height, width))
    assert len(features) > 3 and features.image_size == (width, height) and features.descriptor_size == 256
    assert (features.keypoints >= 0).all() and (features.keypoints <= np.array([width, height]) - 1).all()
    assert (np.diff(features.scores) <= 0).all() and (features.scores > 0.005).all() and features.scores[0] <= 1
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-4)


def test_is_the_network_cropped(weights: str) -> None:
    """Without refinement the keypoints are the peaks of the padded network's map, cropped."""
    config = {'refine': 'none', 'nms_radius': 3, 'border': 0, 'threshold': 0.02, 'max_keypoints': 0}
    features = extractor(weights, **config)(random_image(61, 83))
    network = superpoint.SuperPoint()
    checkpoint.load_into(network, weights)
    image = torch.from_numpy(random_image(61, 83))[None, None].float() / 255
    with torch.no_grad():
        scores = network(superpoint.pad_to_cells(image))[0][:, :61, :83]
    expected = torch.nonzero(superpoint.suppress(scores, 3)[0] > 0.02).flip(1).numpy()
    assert {tuple(one) for one in features.keypoints.astype(int)} == {tuple(one) for one in expected}


def test_refinement_moves_little(weights: str) -> None:
    """At most two pixels, in the same order and with the same scores."""
    plain = extractor(weights, refine='none')(random_image(64, 96))
    refined = extractor(weights, refine='scores')(random_image(64, 96))
    moved = np.abs(plain.keypoints - refined.keypoints)
    assert 0 < moved.max() <= 2
    np.testing.assert_array_equal(plain.scores, refined.scores)


@pytest.mark.parametrize(('octaves', 'name'), [(1, 'superpoint'), (2, 'superpoint'), (2, 'compact')])
def test_refinement_brings_keypoints_of_two_views_together(octaves: int, name: str) -> None:
    """With each step of it, the distance between them falls (a view turned and nearer, shipped weights)."""
    patches = cv2.resize(random_image(24, 32), (320, 240), interpolation=cv2.INTER_NEAREST)
    image = cv2.GaussianBlur(patches, (0, 0), 1)
    turn = cv2.getRotationMatrix2D((160, 120), 12, 1.1)
    turned = cv2.warpAffine(image, turn, (320, 240), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    apart = {}
    for refine in ('none', 'scores', 'corners', 'harris'):
        extract = Extractor(ExtractorConfig(
            device='cpu', weights=name, refine=refine, octaves=octaves, max_keypoints=400))
        first, second = extract(image), extract(turned)
        at = first.keypoints @ turn[:, :2].T + turn[:, 2]
        distance = np.linalg.norm(at[:, None] - second.keypoints[None], axis=2).min(1)
        apart[refine] = np.median(distance[distance < 2])
    assert apart['corners'] < 0.7 * apart['scores'] < 0.5 * apart['none'], apart
    assert apart['harris'] < 0.8 * apart['corners'], apart


def test_corners_are_those_of_the_image_the_keypoint_was_found_in(weights: str) -> None:
    """In the image itself, keypoints move once, within the small window; those of smaller copies move again."""
    image = random_image(128, 160)
    scores = extractor(weights, refine='scores', octaves=1)(image)
    corners = extractor(weights, octaves=1, refine='corners')(image)
    moved = subpixel.to_corners(torch.from_numpy(image).float() / 255, torch.from_numpy(scores.keypoints))
    np.testing.assert_allclose(corners.keypoints, moved.numpy(), atol=1e-4)


def test_octaves_find_a_view_of_twice_the_size_again() -> None:
    """Keypoints of the smaller copy lie where those of the image do, and match a view that is nearer."""
    far = cv2.GaussianBlur(cv2.resize(random_image(12, 16), (320, 240), interpolation=cv2.INTER_NEAREST), (0, 0), 1)
    near = cv2.resize(far, (640, 480), interpolation=cv2.INTER_CUBIC)
    right = {}
    for octaves in (1, 2):
        extract = Extractor(ExtractorConfig(device='cpu', octaves=octaves, max_keypoints=400))
        one, two = extract(far), extract(near)
        assert two.image_size == (640, 480) and len(two) <= 400 and (np.diff(two.scores) <= 0).all()
        similarity = one.descriptors @ two.descriptors.T
        first, second = np.nonzero(
            (similarity == similarity.max(0)) & (similarity == similarity.max(1, keepdims=True)))
        distance = np.linalg.norm((one.keypoints[first] + 0.5) * 2 - 0.5 - two.keypoints[second], axis=1)
        right[octaves] = (distance < 3).sum()
    assert right[2] > 1.5 * right[1] and right[2] > 30


def test_octaves_of_odd_sizes_lie_on_one_another() -> None:
    """From the left edge to the right one, the keypoints of the smaller copy drift by nothing."""
    image = np.full((301, 1241), 60, np.uint8)
    for left in range(20, 1200, 60):
        image[40:260, left:left + 30] = 200
    every, fine = (Extractor(ExtractorConfig(device='cpu', octaves=octaves, max_keypoints=0, refine='corners'))(image)
                   for octaves in (2, 1))
    fine = fine.keypoints
    np.testing.assert_array_equal(every.keypoints[every.scales == 1], fine)
    np.testing.assert_allclose(every.scales[every.scales != 1], 2, rtol=0.01)
    coarse = every.keypoints[every.scales != 1]
    offset = coarse[:, None] - fine[None]
    near = np.linalg.norm(offset, axis=2) < 3
    left, right = (np.median(offset[near & side][:, 0]) for side in (fine[:, 0] < 300, fine[:, 0] > 900))
    assert near.sum() > 50 and abs(right - left) < 0.3


def test_small_images_have_no_smaller_copies(weights: str) -> None:
    """A side of 127 pixels is not halved."""
    image = random_image(127, 200)
    one, four = (extractor(weights, octaves=octaves)(image) for octaves in (1, 4))
    np.testing.assert_array_equal(one.keypoints, four.keypoints)


def test_at_most_so_many(weights: str) -> None:
    """The strongest are kept; 0 keeps all."""
    everything = extractor(weights, max_keypoints=0)(random_image(64, 96))
    few = extractor(weights, max_keypoints=5)(random_image(64, 96))
    assert len(everything) > 5 == len(few)
    np.testing.assert_array_equal(few.keypoints, everything.keypoints[:5])


def test_large_images_are_searched_in_a_smaller_copy(weights: str, caplog: pytest.LogCaptureFixture) -> None:
    """Time and memory are bounded; keypoints are pixels of the image, refined in it, and that is said once a size."""
    caplog.set_level('INFO')
    image = cv2.resize(random_image(48, 64), (640, 480), interpolation=cv2.INTER_NEAREST)
    extract, seen = extractor(weights, max_size=160, octaves=1), []
    extract.network.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    features = extract.batch([image, image])[1]
    assert seen == [(120, 160)] and features.image_size == (640, 480)
    assert features.keypoints[:, 0].max() > 500 and (features.scales == 4).all()
    extract(image)
    assert [record.message for record in caplog.records] == [
        'images of 640x480 are searched at 160 pixels along their longer side (extractor.max_size)']
    seen.clear()
    whole = extractor(weights, max_size=0, octaves=1)
    whole.network.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    whole(image)
    assert seen == [(480, 640)]
    seen.clear()
    extract.config = replace(extract.config, max_size=1)     # in which nothing would be found
    extract(image)
    assert seen == [(48, 64)]


def test_keypoints_of_a_smaller_copy_are_as_exact() -> None:
    """Corners of squares, found at a third of the size, lie on the corners of the image."""
    image = np.full((900, 1200), 60, np.uint8)
    corners = [(x, y) for x in range(120, 1000, 160) for y in range(120, 800, 160)]
    for x, y in corners:
        image[y:y + 70, x:x + 70] = 200
    features = Extractor(ExtractorConfig(device='cpu', octaves=1, max_size=400))(cv2.GaussianBlur(image, (0, 0), 1.5))
    # The corner between the pixels x - 1 and x is at x - .5.
    distance = np.linalg.norm(features.keypoints[:, None] - (np.array(corners) - 0.5), axis=2).min(0)
    assert np.median(distance) < 0.5, distance


@pytest.mark.parametrize('shape', [(16, 16), (1, 1), (8, 640)])
def test_images_of_any_size(weights: str, shape: tuple[int, int]) -> None:
    """A stamp is an image, too."""
    assert extractor(weights)(random_image(*shape)).image_size == shape[::-1]


def test_a_large_image_takes_little_more_memory_than_its_copy() -> None:
    """48 megapixels, in a process of its own, whose peak is its own."""
    script = (
        'import resource\n'
        'import cv2\n'
        'import numpy as np\n'
        'from superslam_ros.slam.extract import Extractor, ExtractorConfig\n'
        "extract = Extractor(ExtractorConfig(device='cpu', max_size=800))\n"
        'image = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)\n'
        'image = cv2.resize(image, (8000, 6000), interpolation=cv2.INTER_NEAREST)\n'
        'extract(image[:600, :800])\n'
        'before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'features = extract(image)\n'
        'assert len(features) > 100 and features.image_size == (8000, 6000)\n'
        'print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n')
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    # The pixels take 47 MiB, in float32 four times as much.
    assert int(done.stdout) / 1024 < 150, done.stdout


def test_sizes_may_change_from_image_to_image(weights: str) -> None:
    """Nothing of the size before is left."""
    extract = extractor(weights)
    alone = extractor(weights)(random_image(40, 48))
    extract(random_image(64, 96))
    np.testing.assert_array_equal(extract(random_image(40, 48)).keypoints, alone.keypoints)


def test_half_precision_gives_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 most keypoints stay where they are (shipped weights)."""
    image = cv2.GaussianBlur(cv2.resize(random_image(24, 32), (320, 240), interpolation=cv2.INTER_NEAREST), (0, 0), 1)
    exact = Extractor(ExtractorConfig(device='cpu', max_keypoints=200))
    monkeypatch.setattr(precision, 'native_bfloat16', lambda: True)
    half = Extractor(ExtractorConfig(device='cpu', max_keypoints=200))
    assert exact.dtype == torch.float32 and half.dtype == torch.bfloat16
    first, second = exact(image), half(image)
    distance = np.linalg.norm(first.keypoints[:, None] - second.keypoints[None], axis=2).min(1)
    assert (distance < 1).mean() > 0.9
    assert second.descriptors.dtype == np.float32


@pytest.mark.parametrize(('name', 'words'), [
    ('bfloat16', 'does not compute in it natively.*float32 or auto'), ('float16', 'for GPUs')])
def test_a_precision_that_the_machine_lacks(weights: str, name: str, words: str) -> None:
    """It is refused, with what to use instead."""
    with pytest.raises(RuntimeError, match=words):
        extractor(weights, precision=name)


def test_batch_equals_single(weights: str) -> None:
    """Images of one size share the network, others do not; the answers are the same."""
    extract = extractor(weights)
    for shapes in (((64, 96), (64, 96)), ((64, 96), (40, 48), (64, 96))):
        images = [random_image(*shape, seed) for seed, shape in enumerate(shapes)]
        for together, image in zip(extract.batch(images), images):
            alone = extract(image)
            np.testing.assert_allclose(together.keypoints, alone.keypoints, atol=1e-2)
            np.testing.assert_allclose(together.descriptors, alone.descriptors, atol=1e-3)


def test_strided_images(weights: str) -> None:
    """A view into a larger array, as cv_bridge makes them, gives the same."""
    large = random_image(64, 200)
    view = large[:, 50:146]
    np.testing.assert_array_equal(
        extractor(weights)(view).keypoints, extractor(weights)(view.copy()).keypoints)


@pytest.mark.parametrize('name', ['superpoint', 'compact'])
@pytest.mark.parametrize('value', [0, 255])
def test_shipped_weights_see_nothing_in_a_blank_image(value: int, name: str) -> None:
    """A covered lens gives no keypoints, and no error."""
    features = Extractor(ExtractorConfig(device='cpu', weights=name))(np.full((120, 160), value, dtype=np.uint8))
    assert len(features) < 5 and features.descriptors.shape == (len(features), 256)


def test_no_keypoints(weights: str) -> None:
    """A threshold that nothing passes gives empty features of the right shapes."""
    features = extractor(weights, threshold=1.0)(random_image(64, 96))
    assert len(features) == 0 and features.descriptors.shape == (0, 256) and features.keypoints.shape == (0, 2)
    assert extractor(weights).batch([]) == []


@pytest.mark.parametrize('image', [
    np.zeros((20, 30, 3), dtype=np.uint8), np.zeros((20, 30), dtype=np.float32),
    np.zeros((20, 30), dtype=np.uint16), np.zeros((0, 30), dtype=np.uint8)])
def test_wrong_images(weights: str, image: np.ndarray) -> None:
    """Colour, other types and empty images are refused in words."""
    with pytest.raises(ValueError, match='expected a gray'):
        extractor(weights)(image)


def test_errors_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file and an absent GPU are said when the extractor is made."""
    with pytest.raises(FileNotFoundError, match=r'absent.pth'):
        extractor(str(tmp_path / 'absent.pth'))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(RuntimeError, match='device: auto or cpu'):
        Extractor(ExtractorConfig(device='cuda'))
    assert Extractor(ExtractorConfig(device='auto')).device.type == 'cpu'


def test_gpu_that_is_too_full(weights: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where two images do not fit, they go one by one from then on, said once; one that does not is refused."""
    images = [random_image(64, 96, seed) for seed in range(2)]
    network = extractor(weights)
    expected = network.batch(images)
    batches, room = [], 1

    def full(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        batches.append(len(inputs[0]))
        if len(inputs[0]) > room:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory')

    network.network.register_forward_pre_hook(full)
    for _ in range(2):
        for found, wanted in zip(network.batch(images), expected):
            np.testing.assert_allclose(found.keypoints, wanted.keypoints, atol=1e-2)
    assert batches == [2, 1, 1, 1, 1]
    assert [record.message for record in caplog.records] == ['GPU out of memory with 2 images at once: '
                                                             'one by one from now on']
    room = 0
    with pytest.raises(RuntimeError, match='with one image of 96x64 pixels; give it smaller'):
        network(images[0])


@pytest.mark.parametrize(('limit', 'refine'), [(300, 'corners'), (300, 'harris'), (0, 'harris')])
def test_a_gpu_decodes_the_same(weights: str, limit: int, refine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done on a GPU in other steps gives what is done on the host; here both are done by the CPU."""
    image = random_image(120, 161)
    extract = extractor(weights, max_keypoints=limit, octaves=2, refine=refine)
    expected = extract(image)
    monkeypatch.setattr(superpoint, 'on_host', lambda _: False)
    for most in (limit, 2 * limit):     # of many more than there are, the others are left out
        extract.config = replace(extract.config, max_keypoints=most)
        found = extract(image)
        count = len(expected)
        np.testing.assert_allclose(found.keypoints[:count], expected.keypoints, atol=1e-3)
        np.testing.assert_array_equal(found.scores[:count], expected.scores)
        np.testing.assert_array_equal(found.scales[:count], expected.scales)
        np.testing.assert_allclose(found.descriptors[:count], expected.descriptors, atol=1e-4)
    monkeypatch.undo()
    assert len(found) == len(extract(image))


@pytest.mark.parametrize('refine', ['corners', 'harris'])
def test_a_gpu_is_not_waited_for(weights: str, refine: str) -> None:
    """The shapes of all steps are known beforehand: tensors of PyTorch's meta device have nothing else."""
    extract = extractor(weights, octaves=2)
    extract.network.to('meta')
    images = torch.zeros(2, 120, 160, device='meta')
    levels = [extract._levels(images), extract._levels(_shrink(images, (60, 80)))]
    for image, *of_image in zip(images, *levels):
        found = decode.decode(image, of_image, 0.005, 4, 300, refine)
        assert found.keypoints.shape == (300, 2) and found.descriptors.shape == (300, 256)


def test_threads_count_on_whatever_thread_it_is_called(weights: str) -> None:
    """As live, where the network is loaded on another thread than it works on; what is asked for later counts, too."""
    seen, before = [], (torch.get_num_threads(), cv2.getNumThreads())
    try:
        torch.set_num_threads(2)
        extract = extractor(weights, threads=3)
        extract.network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
        with ThreadPoolExecutor(1) as pool:
            for count in (3, 1, 0):     # 0: as it is
                extract.config = replace(extract.config, threads=count)
                pool.submit(extract, random_image(64, 96)).result()
        assert seen == [3, 1, 1] and cv2.getNumThreads() == 1
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
