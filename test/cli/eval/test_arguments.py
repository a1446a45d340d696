"""Arguments of evaluations that cannot be: named, with what can."""

from __future__ import annotations

import pytest

from superslam_ros.cli.main import main


@pytest.mark.parametrize(('words', 'said'), [
    (['speed', '--sizes', '7x9'], '--sizes 7x9: must be WIDTHxHEIGHT, as 640x480, 64 or more each'),
    (['homography', '/nowhere'], 'no sequence at or below /nowhere, which is no folder: '),
    (['sweep', '/nowhere'], '/nowhere does not exist'),
    (['homography', '/', '--features', 'superglue-ratio'], "--features: 'superglue-ratio' is not one of superglue, ")])
def test_what_cannot_be(capsys: pytest.CaptureFixture, words: list[str], said: str) -> None:
    assert main(['eval', *words]) == 2
    assert said in ' '.join(capsys.readouterr().err.split())
