"""What is recorded, and when; the recording itself needs a GPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from superslam_ros.slam import cuda_graphs
from superslam_ros.slam.cuda_graphs import Recorded, Work
from superslam_ros.slam.decode import Decoded


def work(images: Tensor) -> list[Decoded]:
    """Return as many keypoints as an image has rows."""
    return [Decoded(image[:, :2].float(), image[:, 0].float(), image[:, 1].float(), image.float()) for image in images]


class Recorder:
    """Stands in for a GPU: writes every result into the memory of the recording, as a graph does."""

    def __init__(self) -> None:
        """Have recorded nothing."""
        self.recordings, self.replays = [], 0

    def __call__(self, work: Work, example: Tensor) -> Work:
        """Record."""
        self.recordings.append(tuple(example.shape))
        kept = work(example)

        def replay(tensor: Tensor) -> list[Decoded]:
            assert tensor.shape == example.shape
            self.replays += 1
            for one, new in zip(kept, work(tensor)):
                for part, value in zip(one, new):
                    if part is not None:
                        part.copy_(value)
            return [Decoded(*(part if part is None else part.clone() for part in one)) for one in kept]

        return replay


def image(height: int, value: int) -> Tensor:
    """Return (1, height, 4) of one value."""
    return torch.full((1, height, 4), value, dtype=torch.uint8)


def test_what_comes_again_is_recorded_and_played_again() -> None:
    """From the third image of a size on, with what is in that image; results stay as they are."""
    recorder = Recorder()
    recorded, seen = Recorded(recorder), []
    for value in range(5):
        seen += recorded(work, image(6, value), 'settings')
    assert [one.scores.tolist() for one in seen] == [[value] * 6 for value in range(5)]
    assert recorder.recordings == [(1, 6, 4)] and recorder.replays == 1 + 3     # the first one is compared


def test_few_sizes_are_recorded_and_all_are_worked_on() -> None:
    """A folder of photographs fills no GPU."""
    recorder = Recorder()
    recorded = Recorded(recorder)
    for _ in range(3):
        for height in range(1, 3 + cuda_graphs.MOST):
            assert recorded(work, image(height, height), 0)[0].scores.tolist() == [height] * height
    assert len(recorder.recordings) == cuda_graphs.MOST


def test_other_settings_need_another_recording() -> None:
    """A threshold that is changed in mid-run counts from the next image on."""
    recorder = Recorder()
    recorded = Recorded(recorder)
    for setting in (1, 1, 1, 2, 2, 2, 1, 1):
        found = recorded(lambda images, setting=setting: work(images + setting), image(2, 0), setting)
        assert found[0].scores.tolist() == [setting] * 2
    assert len(recorder.recordings) == 3


def test_where_nothing_can_be_recorded_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The results are the same; nothing is tried again, with no other size either."""
    tries = []

    def fails(_: Work, example: Tensor) -> Work:
        tries.append(example.shape)
        raise RuntimeError('operation not permitted when stream is capturing')

    recorded = Recorded(fails)
    for height in (3, 3, 3, 4, 4, 4):
        assert recorded(work, image(height, 7), 0)[0].scores.tolist() == [7] * height
    assert len(tries) == 1
    assert [record.message for record in caplog.records] == [
        'no CUDA graphs are used, which is slower: operation not permitted when stream is capturing']


def test_a_replay_that_gives_something_else_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    """It is compared with the work itself before it counts."""
    recorded = Recorded(lambda work, _: lambda tensor: work(tensor + 1))
    for _ in range(3):
        assert recorded(work, image(3, 7), 0)[0].scores.tolist() == [7] * 3
    assert 'a replay gave something else' in caplog.text
