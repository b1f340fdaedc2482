"""What a test measured and what it cost, as a file."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from mmseg_medical.engine.complexity import measure
from mmseg_medical.errors import error_text
from mmseg_medical.evaluation.json_files import file_head, json_ready
from mmseg_medical.files import atomic_write
from mmseg_medical.registry import HOOKS

FORMAT = 'mmseg_medical.test_record/1'
RECORD_FILE = 'test_record.json'


@HOOKS.register_module()
class RecordHook(Hook):
    """Write ``test_record.json`` after a test: the logged numbers and the cost of the network.

    ``cost`` holds ``parameters``; ``macs`` and ``sampling_macs`` of one forward pass at ``input_shape``, (C, *S), which
    is what the backbone gets (a whole image, a window or a patch), or ``macs_error`` where they cannot be counted;
    ``seconds_per_image``, the mean time in the network's ``forward`` for one sample of the data set (image, slice or
    volume; windows, views and resizing included; loading and metrics not) over ``timed_images``, the first batch left
    out where there are several; ``peak_memory_bytes`` of the kind ``memory``: 'cuda allocated' by tensors during the
    test, or 'process resident', all that the process ever held. In distributed tests all are of the main process.

    Args:
        out_dir (str | None): folder of the file; None takes the runner's work dir.
    """

    priority = 'VERY_LOW'

    def __init__(self, out_dir: str | None = None) -> None:
        self.out_dir = out_dir
        self._handles: list[Any] = []
        self._batches: list[tuple[float, int]] = []
        self._seconds = self._started = 0.0
        self._shape: tuple[int, ...] | None = None
        self._device = torch.device('cpu')

    def before_test_epoch(self, runner: Any) -> None:
        """Begin to watch the network."""
        network = _network(runner.model)
        self._device = next(network.parameters(), torch.empty(0)).device
        self._batches, self._seconds, self._shape = [], 0.0, None
        if self._device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats(self._device)
        backbone = getattr(network, 'backbone', network)
        self._handles = [
            network.register_forward_pre_hook(self._start),
            network.register_forward_hook(self._stop),
            backbone.register_forward_pre_hook(self._see),
        ]

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Note the time of one batch."""
        self._batches.append((self._seconds, len(outputs or ())))
        self._seconds = 0.0

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the file."""
        memory = _peak_memory(self._device)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if not is_main_process():
            return
        cost = {**_complexity(_network(runner.model), self._shape), **self._times(), **memory}
        numbers = {name: float(value) for name, value in (metrics or {}).items() if isinstance(value, (int, float))}
        content = json_ready({**file_head(FORMAT), 'metrics': numbers, 'cost': cost})
        with atomic_write(Path(self.out_dir or runner.work_dir, RECORD_FILE)) as file:
            json.dump(content, file, indent=2, allow_nan=False)
            file.write('\n')

    def _times(self) -> dict[str, Any]:
        # the first batch pays for compiled kernels, caches and the choice of algorithms
        counted = self._batches[1:] or self._batches
        images = sum(number for _, number in counted)
        seconds = sum(duration for duration, _ in counted)
        return {'seconds_per_image': seconds / images if images and seconds else None, 'timed_images': images}

    def _start(self, module: nn.Module, inputs: Any) -> None:
        self._synchronize()
        self._started = time.perf_counter()

    def _stop(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self._synchronize()
        self._seconds += time.perf_counter() - self._started

    def _see(self, module: nn.Module, inputs: Any) -> None:
        if self._shape is None and inputs and isinstance(inputs[0], Tensor):
            self._shape = tuple(inputs[0].shape[1:])

    def _synchronize(self) -> None:
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)


def _network(model: Any) -> nn.Module:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _complexity(network: nn.Module, shape: tuple[int, ...] | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        'parameters': sum(parameter.numel() for parameter in network.parameters()),
        'macs': None,
        'sampling_macs': None,
        'input_shape': None if shape is None else list(shape),
    }
    if shape is None:
        return {**result, 'macs_error': 'the backbone was not given a tensor'}
    try:
        total = measure(network, shape[1:], shape[0])[0]
    except Exception as error:  # whatever a network does on the meta device, the test it has passed must not be lost
        return {**result, 'macs_error': f'{type(error).__name__}: {error_text(error)}'.splitlines()[0]}
    return {**result, 'macs': total.macs, 'sampling_macs': total.sampling_macs}


def _peak_memory(device: torch.device) -> dict[str, Any]:
    if device.type == 'cuda':
        peak, kind, name = torch.cuda.max_memory_allocated(device), 'cuda allocated', torch.cuda.get_device_name(device)
    else:
        peak, kind, name = _peak_resident_bytes(), 'process resident', device.type
    return {'peak_memory_bytes': peak, 'memory': kind, 'device': name}


def _peak_resident_bytes() -> int:
    # ru_maxrss of a process starts with that of the process that started it, VmHWM does not
    status = Path('/proc/self/status')
    found = re.search(r'VmHWM:\s+(\d+) kB', status.read_text()) if status.exists() else None
    if found:
        return int(found[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024
