"""``superslam export``: a network as ONNX or OpenVINO file, checked against PyTorch, with a description beside it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from superslam_ros.models import checkpoint, extractors, graphs, runtime, superglue
from superslam_ros.models.graphs import Graph, Port
from superslam_ros.models.superpoint import CELL
from superslam_ros.offline import quantise
from superslam_ros.version import VERSION

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference from PyTorch, as part of the largest value."""
Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class ExportOptions:
    """What is written.

    ``what`` is extractor or matcher, ``weights`` a file or a name, empty for the default ones. ``size`` is width and
    height of the images, or the keypoints of either image; None for any. ``precision`` is float32 or int8.
    """

    what: str = 'extractor'
    format: str = 'onnx'
    weights: str = ''
    size: tuple[int, int] | None = None
    precision: str = 'float32'


def export(options: ExportOptions, folder: Path, images: Sequence[np.ndarray] = ()) -> dict[str, Any]:
    """Write a network and its description; nothing is written when it does not compute what PyTorch does.

    :param images: (H, W) uint8, from which the steps of int8 are taken; rendered ones where there are none.
    :returns: the description.
    :raises RuntimeError: when a package is missing, or the file would compute something else.
    :raises FileNotFoundError, ValueError: for weights that are missing or of another network, or a size that cannot be.
    """
    _check(options)
    packages = {'onnx', 'openvino' if options.format == 'openvino' else 'onnxruntime'}
    require(*sorted(packages | ({'onnxruntime'} if options.precision == 'int8' else set())))
    weights = checkpoint.locate('superpoint' if options.what == 'extractor' else 'superglue', options.weights)
    graph = _graph(options, weights)
    about = _about(options, weights)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = Path(place) / f'{about["name"]}.onnx'
        _write_onnx(graph, file, about)
        found = {'largest_difference': difference(graph, _runner(file, options.format))}
        if options.precision == 'int8':
            images = images or quantise.rendered()
            quantise.quantise(file, images)
            found = quantise.agreement(graph.module, _runner(file, options.format), images)
        if options.format == 'openvino':
            _write_openvino(file, about)
        description = {
            **about, 'format': options.format, 'opset': OPSET, **found,
            'inputs': _ports(graph.inputs), 'outputs': _ports(graph.outputs)}
        (Path(place) / f'{about["name"]}.json').write_text(json.dumps(description, indent=1) + '\n')
        for one in sorted(Path(place).iterdir()):
            os.replace(one, folder / one.name)
    return description


def require(*packages: str) -> None:
    """Raise RuntimeError, with the remedy, when a package of an optional extra is not installed."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            extra = 'openvino' if 'openvino' in packages else 'export'
            raise RuntimeError(f'this export needs {" and ".join(packages)}: pip install {" ".join(packages)}, or '
                               f'superslam_ros[{extra}] ({error})') from error


def _check(options: ExportOptions) -> None:
    if options.precision == 'int8' and options.what == 'matcher':
        raise ValueError('--precision int8 is for the extractor; use float32 for a matcher')
    if options.size and min(options.size) < 1:
        raise ValueError(f'--size {options.size[0]}x{options.size[1]}: must be positive')
    if options.size and options.what == 'extractor' and any(side % CELL for side in options.size):
        larger = 'x'.join(str(-(-side // CELL) * CELL) for side in options.size)
        raise ValueError(f'--size {options.size[0]}x{options.size[1]}: sides must be multiples of {CELL}; take '
                         f'{larger} and repeat the last row and column of the image')


def _graph(options: ExportOptions, weights: Path) -> Graph:
    if options.what == 'extractor':
        return graphs.of_extractor(extractors.load(weights), options.size)
    return graphs.of_matcher(superglue.load(weights), options.size)


def _about(options: ExportOptions, weights: Path) -> dict[str, str]:
    """Return what the file says of itself, by which a matcher knows its extractor's keypoints."""
    known, own = checkpoint.metadata(weights), checkpoint.digest(weights)
    size = f'{options.size[0]}x{options.size[1]}' if options.size else 'dynamic'
    about = {
        'name': '_'.join([weights.stem, *([size] if options.size else []),
                          *(['int8'] if options.precision == 'int8' else [])]),
        'what': options.what, 'size': size, 'precision': options.precision, 'superslam_ros': VERSION,
        'weights': weights.name, 'weights_sha256': own}
    if options.what == 'matcher':
        return {**about, 'superpoint_sha256': known.get('superpoint_sha256', '')}
    return {**about, 'descriptors_of': ' '.join([own, *known.get('descriptors_of', '').split()])}


def _write_onnx(graph: Graph, file: Path, about: dict[str, str]) -> None:
    import onnx

    ports = (*graph.inputs, *graph.outputs)
    # The older exporter is in every version from 2.0 on; the new one needs a package more.
    older = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph.module, graph.example, str(file), opset_version=OPSET, **older,
            do_constant_folding=False,      # it would turn, and so keep, the weights of either image by themselves
            input_names=[port.name for port in graph.inputs], output_names=[port.name for port in graph.outputs],
            dynamic_axes={port.name: {axis: size for axis, size in enumerate(port.shape) if isinstance(size, str)}
                          for port in ports})
    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def _write_openvino(file: Path, about: dict[str, str]) -> None:
    """Put .xml and .bin in the place of a .onnx."""
    import openvino

    # Not convert_model, which reports its use.
    model = openvino.Core().read_model(str(file))
    for name, value in about.items():
        model.set_rt_info(value, ['superslam_ros', name])
    openvino.save_model(model, str(file.with_suffix('.xml')), compress_to_fp16=False)
    del model
    file.unlink()


def _runner(file: Path, format: str) -> Run:
    """Return what runs a .onnx file, in float32 where the file leaves that open."""
    if format == 'openvino':
        import openvino

        core = openvino.Core()
        compiled = core.compile_model(core.read_model(str(file)), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})

        def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            found = compiled(list(inputs))
            return [np.array(found[number]) for number in range(len(compiled.outputs))]

        return run
    session = runtime.session(file)
    names = [one.name for one in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs)))


def difference(graph: Graph, run: Run) -> float:
    """Return the largest difference from PyTorch as part of the largest value, over inputs of two sizes.

    :raises RuntimeError: when it is larger than ``TOLERANCE``.
    """
    worst = 0.0
    for inputs in (graph.example, _larger(graph)):
        with torch.no_grad():
            expected = graph.module(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for one, other in zip(expected, run([tensor.numpy() for tensor in inputs])):
            # Of probabilities, where logarithms of what is masked are infinite.
            pair = [torch.as_tensor(part) for part in (one, other)]
            pair = [part.exp() for part in pair] if torch.isinf(one).any() else pair
            if pair[0].shape != pair[1].shape:
                raise RuntimeError(f'the exported network gives {tuple(other.shape)} in place of {tuple(one.shape)}')
            part = float((pair[0] - pair[1]).abs().max() / pair[0].abs().max())
            if not part <= TOLERANCE:       # nor NaN
                raise RuntimeError(
                    f'the exported network differs from PyTorch by {part:.1e} of the largest value; at most '
                    f'{TOLERANCE:.0e} is taken: please report this with the versions of torch and onnx')
            worst = max(worst, part)
    return worst


def _larger(graph: Graph) -> tuple[torch.Tensor, ...]:
    """Return inputs whose sides that may vary are twice as long."""
    return tuple(tensor.repeat(*(2 if isinstance(size, str) else 1 for size in port.shape))
                 for port, tensor in zip(graph.inputs, graph.example))


def _ports(ports: Sequence[Port]) -> dict[str, Any]:
    return {port.name: {'shape': list(port.shape), 'meaning': port.meaning} for port in ports}
