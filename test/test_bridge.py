"""cv_bridge is asked for what is not known here, and only where it works."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from superslam_ros import bridge, conversions

# The interface of cv_bridge; it knows one encoding that conversions does not.
GOOD = """
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, message, desired_encoding):
        assert desired_encoding == 'mono8'
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)
        if message.encoding not in ('bgr8', 'vendor24'):
            raise TypeError(message.encoding)
        return pixels[..., 0]
"""
WRONG = GOOD.replace('pixels[..., 0]', 'pixels[..., 0] + 1')
CRASHING = 'import os; os.abort()'
Install = Callable[[str], None]
MESSAGE = SimpleNamespace(encoding='vendor24', height=2, width=2, step=6, is_bigendian=0, data=bytes(range(12)))


@pytest.fixture()
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Give the process and its children a module cv_bridge."""
    def put(source: str) -> None:
        (tmp_path / 'cv_bridge.py').write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv('PYTHONPATH', str(tmp_path))
        bridge.works.cache_clear()

    monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)
    yield put
    bridge.works.cache_clear()
    sys.modules.pop('cv_bridge', None)


def test_an_encoding_that_only_cv_bridge_knows(install: Install) -> None:
    install(GOOD)
    assert np.array_equal(conversions.gray(MESSAGE), [[0, 3], [6, 9]])


def test_what_is_known_here_is_converted_here(install: Install) -> None:
    install(GOOD)
    known = SimpleNamespace(**{**vars(MESSAGE), 'encoding': 'rgb8'})
    assert not np.array_equal(conversions.gray(known), [[0, 3], [6, 9]])


@pytest.mark.parametrize('source', [WRONG, CRASHING, 'raise ImportError("numpy.core.multiarray failed to import")'],
                         ids=['wrong', 'crashing', 'not loading'])
def test_one_that_does_not_work_is_not_used(install: Install, source: str) -> None:
    install(source)
    with pytest.raises(conversions.ConversionError, match="unknown image encoding 'vendor24'"):
        conversions.gray(MESSAGE)


def test_an_encoding_that_nobody_knows(install: Install) -> None:
    install(GOOD)
    nobodys = SimpleNamespace(**{**vars(MESSAGE), 'encoding': 'vendor25'})
    with pytest.raises(conversions.ConversionError, match="unknown image encoding 'vendor25'"):
        conversions.gray(nobodys)
