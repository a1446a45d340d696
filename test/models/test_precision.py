"""Half precision is for machines that compute in it."""

from pathlib import Path

import pytest
import torch

from superslam_ros.models.precision import native_bfloat16  # not what the tests have in its place


@pytest.mark.parametrize(('line', 'onednn', 'native'), [
    ('flags\t\t: fpu avx2 avx512f avx512_bf16', True, True), ('flags\t\t: fpu avx2 avx512f avx512_vnni', True, False),
    ('Features\t: fp asimd bf16', True, True), ('Features\t: fp asimd', True, False),
    ('flags\t\t: fpu avx2 avx512f avx512_bf16', False, False), ('', True, False)])
def test_a_cpu_has_bfloat16_where_its_instructions_are_and_onednn_may_use_them(
        monkeypatch: pytest.MonkeyPatch, line: str, onednn: bool, native: bool) -> None:
    """Others imitate it, and are slower by it."""
    monkeypatch.setattr(Path, 'read_text', lambda _: f'processor\t: 0\n{line}\n')
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: onednn, raising=False)
    assert native_bfloat16.__wrapped__() == native
