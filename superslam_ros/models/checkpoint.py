"""Reading and writing weights: safetensors, or PyTorch files read without running pickled code."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor, nn

from superslam_ros.models import runtime
from superslam_ros.models.shipped import DEFAULTS as DEFAULTS
from superslam_ros.models.shipped import locate as locate
from superslam_ros.models.shipped import names_shipped
from superslam_ros.models.shipped import shipped as shipped

log = logging.getLogger(__name__)

WRAPPERS = ('state_dict', 'model', 'model_state_dict')
"""Keys under which training scripts commonly put the tensors."""

_TELLING = {
    'bin_score': 'a SuperGlue, which matcher.weights takes',
    'convDa.weight': 'a SuperPoint, which extractor.weights takes',
    'glue.bin_score': 'a SuperMap, for matches of images to maps',
    'board1.weight': 'board_corners, for ChArUco boards',
    'refine1.weight': 'board_refine, for ChArUco boards',
    'words': 'a vocabulary of places, for maps',
    'posenc.Wr.weight': 'a LightGlue, which this package does not run'}
"""Tensor -> the network that it tells of, and what takes its file."""

_UNUSABLE = {
    b'version https://git-lfs': 'it is a pointer of Git LFS: run `git lfs pull` in the repository that it is from',
    b'<': 'it is a web page: download the file itself'}
"""How a file begins that is often found in the place of weights -> what it is, and the remedy."""

DETECTOR = 'magicpoint'
"""``network`` in the metadata of a SuperPoint whose descriptors are untrained."""

SAFE_PYTORCH = (2, 10)
"""The first version whose restricted unpickler has no hole that is known (CVE-2025-32434, CVE-2026-24747)."""


def metadata(path: str | os.PathLike) -> dict[str, str]:
    """Return what a safetensors file or an exported network says about itself; nothing for files of PyTorch.

    :raises RuntimeError: as :func:`runtime.metadata` does, for an exported one.
    :raises FileNotFoundError, ValueError: naming the file, when it is missing or damaged.
    """
    if runtime.is_exported(path):
        return runtime.metadata(path)
    if not _is_safetensors(Path(path)):
        return {}
    try:
        with safe_open(path, 'pt') as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise _unreadable(path, f'it is damaged or incomplete ({error})') from error


def digest(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a weights file, by which a SuperGlue knows its SuperPoint.

    :raises FileNotFoundError: naming the file.
    """
    check_there(Path(path))
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def load_pickled(path: str | os.PathLike, device: torch.device | str = 'cpu') -> Any:
    """Read a file of PyTorch without running pickled code, and not before its checksums are found right.

    :raises ValueError: with the reason, when it is damaged, or holds other objects than tensors and plain values.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()     # PyTorch does not look at them
            if damaged:
                raise ValueError(f'the checksum of {damaged} is wrong')
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:     # PyTorch's own text tells how to run what is in the file
        found = re.search(r'Unsupported (?:global: GLOBAL|class) ([\w.]+)', str(error))
        raise ValueError(f'it holds {found[1]}, which is never executed: save its tensors alone, its state_dict()'
                         if found else 'it is damaged, or holds objects other than tensors, which are never executed'
                         ) from error
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError,
            LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from error


def load_state(path: str | os.PathLike) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, floating point ones as float32.

    Safetensors, or a file of PyTorch read by its restricted unpickler, also with the tensors inside a ``state_dict``
    or ``model`` entry and with a ``module.`` prefix.

    :raises FileNotFoundError: naming the file.
    :raises ValueError: naming the file, when it is damaged, of another kind, or holds no tensors.
    """
    path = Path(path)
    if runtime.is_exported(path):
        raise ValueError(f'weights file {path} is an exported network, which only `extractor.weights` takes: give the '
                         '.safetensors or .pth that it was made of')
    if _is_safetensors(path):
        try:
            content = load_file(path)
        except SafetensorError as error:
            raise _unreadable(path, f'it is damaged or incomplete ({error})') from error
    else:
        _warn_of_old_pytorch(path)
        try:
            content = load_pickled(path)
        except ValueError as error:
            raise _unreadable(path, str(error)) from error
    state = _unwrap(content)
    if not state:
        raise ValueError(f'weights file {path} holds no tensors')
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _is_safetensors(path: Path) -> bool:
    """Return whether a file is one of safetensors, not of PyTorch, by what it begins with.

    :raises FileNotFoundError: naming the file.
    :raises ValueError: naming the file, for any other, and for a pickle that is called ``.safetensors``.
    """
    check_there(path)
    with path.open('rb') as file:
        start = file.read(32)
    if start[8:9] == b'{':      # behind the length of the header
        return True
    if start.startswith((b'PK\x03\x04', b'\x80')):
        if path.suffix == '.safetensors':
            raise _unreadable(path, 'it is a file of PyTorch: call it .pth')
        return False
    other = 'it is no file of safetensors or PyTorch, or its beginning is damaged' if start else 'it is empty'
    raise _unreadable(path, next((text for sign, text in _UNUSABLE.items() if start.startswith(sign)), other))


def check_there(path: Path) -> None:
    """Raise FileNotFoundError, naming the file, for weights that are not there."""
    if path.is_dir():
        raise FileNotFoundError(f'weights file {path} does not exist: that is a folder; give a file in it')
    if not path.is_file():
        names = f' (shipped weights: {", ".join(names_shipped())})' if path.stem == str(path) else ''
        raise FileNotFoundError(f'weights file {path} does not exist{names}')


def _unreadable(path: str | os.PathLike, reason: str) -> ValueError:
    return ValueError(f'weights file {path} cannot be read: {reason}')


def load_into(module: nn.Module, path: str | os.PathLike) -> None:
    """Load a checkpoint into a network of the same architecture.

    :raises FileNotFoundError, ValueError: as :func:`load_state` and :func:`fill` do.
    """
    fill(module, load_state(path), path)


def load_like(kind: type, path: str | os.PathLike) -> Any:
    """Return a network of a class that tells its widths from tensors (``is_in`` and ``like``), in evaluation mode.

    :raises FileNotFoundError, ValueError: as :func:`load_into` does.
    """
    state = load_state(path)
    network = kind.like(state) if kind.is_in(state) else kind()
    fill(network, state, path)
    return network.eval().requires_grad_(False)


def fill(module: nn.Module, state: dict[str, Tensor], path: str | os.PathLike) -> None:
    """Put the tensors of a checkpoint into a network of the same architecture.

    :param path: where they are from.
    :raises ValueError: naming the file and the first tensor that is missing, unknown, of another shape, or not
        finite; where it is of another network that is known, also that.
    """
    state = dict(state)
    own = module.state_dict()
    other = ''.join(f'; it is {network}' for name, network in _TELLING.items() if name in state and name not in own)
    what = type(module).__name__
    for name, tensor in own.items():
        if name not in state and name.endswith('num_batches_tracked'):
            state[name] = tensor
        elif name not in state:
            raise ValueError(f'weights file {path} is not a {what}: tensor {name} is missing{other}')
        elif state[name].shape != tensor.shape:
            raise ValueError(
                f'weights file {path} is not this {what}: tensor {name} has shape '
                f'{tuple(state[name].shape)}, expected {tuple(tensor.shape)}'
            )
    for name, tensor in state.items():
        if name not in own:
            raise ValueError(f'weights file {path} is not a {what}: tensor {name} is unknown{other}')
        if not torch.isfinite(tensor).all():
            raise ValueError(f'weights file {path}: tensor {name} holds NaN or infinity')
    module.load_state_dict(state)


def save(state: Mapping[str, Tensor], path: str | os.PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as fp16 safetensors, the same ones as the same bytes; the file appears whole or not at all.

    :raises OSError: naming the file, when it cannot be written.
    """
    halves = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous().clone()
        for name, tensor in state.items()
    }
    path = Path(path)
    partial = path.with_name(f'{path.name}.partial')
    try:
        # save_file's files are their owner's alone
        partial.write_bytes(_in_order(serialise(halves, dict(metadata or {}))))
        os.replace(partial, path)
    except OSError as error:
        raise OSError(f'{path} cannot be written ({error.strerror or error}): is the disk full?') from error
    finally:
        partial.unlink(missing_ok=True)


def _in_order(file: bytes) -> bytes:
    """Return a safetensors file whose metadata, which the library writes in random order, are sorted."""
    start = 8 + int.from_bytes(file[:8], 'little')
    header = json.loads(file[8:start])
    header.update({key: dict(sorted(header[key].items())) for key in ('__metadata__',) if key in header})
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + file[start:]


@functools.cache    # once a file
def _warn_of_old_pytorch(path: Path) -> None:
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < SAFE_PYTORCH:
        log.warning('%s is a pickle, and PyTorch %s is known to run code that a crafted one hides: read it only if you '
                    'trust where it comes from, or convert it to .safetensors (docs/security.md)', path,
                    torch.__version__)


def _unwrap(content: object) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        return {}
    return {
        str(name)[7:] if str(name).startswith('module.') else str(name): value
        for name, value in content.items()
        if isinstance(value, Tensor)
    }
