"""onnxruntime beside torch: what it can run, and whether an ONNX file says what its network says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parity:
    """How far an ONNX file and the network that it came from agree on some images.

    Attributes:
        difference: Largest absolute difference of a logit, infinite where one of both is not a number.
        agreement: Share of pixels (of multi-label networks: of all masks' pixels) that are decided alike.
    """

    difference: float
    agreement: float


def require(*packages: str) -> None:
    """Ask for optional packages.

    Raises:
        ImportError: Some are not installed; the message says how to install them.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ImportError(f'ONNX export needs {" and ".join(missing)}, not installed here: pip install -e .[export]')


@cache
def runs_deform_conv() -> bool:
    """Whether the installed onnxruntime has ``DeformConv`` on the CPU: 1.25 and later do, 1.24 does not.

    Raises:
        ImportError: It is not installed.
    """
    require('onnx', 'onnxruntime')
    from onnx import TensorProto, helper

    shapes = {'image': (1, 1, 2, 2), 'weight': (1, 1, 1, 1), 'offset': (1, 2, 2, 2), 'bias': (1,), 'mask': (1, 1, 2, 2)}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info('logits', TensorProto.FLOAT, shapes['image'])
    node = helper.make_node('DeformConv', list(shapes), ['logits'], kernel_shape=[1, 1])
    graph = helper.make_graph([node], 'probe', inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 19)], ir_version=9)
    try:
        _session(model.SerializeToString())
    except Exception:  # onnxruntime's errors have no common base
        return False
    return True


def compare(
    network: Callable[[Tensor], Tensor], path: str | Path, images: Sequence[Tensor], *, multi_label: bool = False
) -> Parity:
    """Run a network and its ONNX file, input ``image`` and output ``logits``, on the same images.

    Args:
        network: Maps (N, channels, H, W) to logits (N, C, H, W).
        path: The file.
        images: Batches of any size that the file takes, on the CPU.
        multi_label: A pixel is decided by the sign of each logit, not by the largest one.

    Returns:
        Parity: The worst over the images.
    """
    require('onnxruntime')
    session = _session(str(path))
    differences, agreements = [], []
    for image in images:
        with torch.no_grad():
            expected = network(image)
        found = torch.from_numpy(session.run(['logits'], {'image': image.numpy()})[0])
        differences.append(float((found - expected).abs().nan_to_num(torch.inf).max()))
        same = (found > 0) == (expected > 0) if multi_label else found.argmax(1) == expected.argmax(1)
        agreements.append(float(same.double().mean()))
    return Parity(max(differences), min(agreements))


def _session(model: str | bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what is worse arrives as an exception
    return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
