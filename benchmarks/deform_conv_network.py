"""HACDR-Net on each back end of the deformable convolution: inference and a training step."""

from __future__ import annotations

import logging
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from deform_conv_cases import child, relative_difference
from torch import Tensor, nn

CONFIG = Path(__file__).parents[1] / 'configs/hacdr/idrid.py'
HUGE_PAGES = {'THP_MEM_ALLOC_ENABLE': '1'}


class Variant(NamedTuple):
    """How a network runs; ``repeats`` bounds those of a slow one."""

    backend: str
    memory_format: str = 'contiguous_format'
    compiled: bool = False
    environment: dict[str, str] | None = None
    repeats: int = 100


REFERENCE = 'torch back end'
BASELINE = "mmcv's operator"
INFERENCE = {
    BASELINE: Variant('mmcv', repeats=2),
    REFERENCE: Variant('torch'),
    'ours': Variant('numba'),
    'ours, channels last': Variant('numba', 'channels_last'),
    'ours, channels last, huge pages': Variant('numba', 'channels_last', environment=HUGE_PAGES),
    'ours, channels last, huge pages, compiled': Variant('numba', 'channels_last', True, HUGE_PAGES),
    "mmcv's operator, channels last, huge pages, compiled": Variant('mmcv', 'channels_last', True, HUGE_PAGES, 2),
}
TRAINING = {
    BASELINE: Variant('mmcv', repeats=2),
    REFERENCE: Variant('torch'),
    'ours': Variant('numba'),
    'ours, channels last, huge pages': Variant('numba', 'channels_last', environment=HUGE_PAGES),
}
SECTIONS = {'inference': INFERENCE, 'training step': TRAINING}


def measure_network(
    sizes: dict[str, tuple[int, int]], threads: int, repeats: int, names: list[str] | None
) -> dict[str, Any]:
    """Every variant in its own process with the same seed; ``sizes`` are of the image, a section each."""
    return {
        f'{section} {size[0]}x{size[1]}, {threads} threads': _measure_section(section, size, threads, repeats, names)
        for section, size in sizes.items()
    }


def _measure_section(
    section: str, size: tuple[int, int], threads: int, repeats: int, names: list[str] | None
) -> dict[str, Any]:
    from mmseg_medical.ops.deform_conv import available_backends

    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, variant) in enumerate(SECTIONS[section].items()):
            if variant.backend not in available_backends() or (names and name not in names):
                continue
            out = str(Path(folder, f'{number}.pt'))
            figures[name] = child(
                'network', section, name, size, threads, repeats, out, environment=variant.environment
            )
            figures[name]['output'] = torch.load(out)
            print(section, name, f'{figures[name]["seconds"]} s', flush=True)
    outputs = {name: found.pop('output') for name, found in figures.items()}
    for name, found in figures.items():
        if BASELINE in figures:
            found['mmcv_over_this'] = round(figures[BASELINE]['seconds'] / found['seconds'], 2)
        if REFERENCE in figures:
            difference = (outputs[name] - outputs[REFERENCE]).abs().max()
            found['max_abs_difference_to_torch'] = float(f'{difference:.3g}')
            found['relative_difference_to_torch'] = float(
                f'{relative_difference(outputs[name], outputs[REFERENCE]):.3g}'
            )
    return figures


def network_in_child(section: str, name: str, size: list[int], threads: int, repeats: int, out: str) -> dict[str, Any]:
    """Time one variant; its first logits go to the file ``out``."""
    torch.set_num_threads(threads)
    variant = SECTIONS[section][name]
    memory_format = getattr(torch, variant.memory_format)
    network = _build(variant.backend).to(memory_format=memory_format)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 3, *size, generator=generator).to(memory_format=memory_format)
    run = _inference if section == 'inference' else _training
    logits, seconds = run(network, image, variant.compiled, 1 + min(repeats, variant.repeats))
    torch.save(logits.contiguous(), out)
    return {
        'seconds': round(statistics.median(seconds[1:]), 3),
        'all_seconds': [round(value, 3) for value in seconds[1:]],
        'warm_up_s': round(seconds[0], 2),
        'peak_rss_mb': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        **variant._asdict(),
    }


def _build(backend: str) -> nn.Module:
    """Backbone and head with the offsets that training starts with, which are not zero."""
    from mmseg_medical import apis

    logging.disable(logging.INFO)
    torch.manual_seed(0)
    model = apis.build_model(apis.load_config(CONFIG, {'model.backbone.deform_backend': backend}))
    model.backbone.init_weights()
    return nn.Sequential(model.backbone, model.decode_head)


def _inference(network: nn.Module, image: Tensor, compiled: bool, calls: int) -> tuple[Tensor, list[float]]:
    network.eval()
    if compiled:
        import torch._inductor.config as inductor

        inductor.freezing = True  # batch norms are folded into convolutions
        network.compile()
    seconds = []
    with torch.inference_mode():
        for _ in range(calls):
            start = time.perf_counter()
            logits = network(image)
            seconds.append(time.perf_counter() - start)
    return logits.clone(), seconds


def _training(network: nn.Module, image: Tensor, compiled: bool, calls: int) -> tuple[Tensor, list[float]]:
    network.train()
    for module in network.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.eval()  # its draw, which follows the memory format, would hide whether the variants agree
    if compiled:
        network.compile()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    target = torch.randint(0, 5, (1, *image.shape[2:]), generator=torch.Generator().manual_seed(2))
    seconds, first = [], None
    for _ in range(calls):
        start = time.perf_counter()
        logits = network(image)
        loss = F.cross_entropy(F.interpolate(logits, image.shape[2:], mode='bilinear'), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        first = logits.detach().clone() if first is None else first
    return first, seconds
