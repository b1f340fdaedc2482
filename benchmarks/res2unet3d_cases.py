"""What the benchmark of 3D-Res2UNet runs, and on which sides."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from res2unet3d_plain import PlainRes2UNet3D
from resident_memory import PeakMemory
from torch import Tensor, nn
from torch.nn.functional import softmax

from mmseg_medical import apis
from mmseg_medical.engine.original_checkpoints import translate_res2unet3d

CONFIG = 'configs/_base_/models/res2unet3d.py'
WINDOW = (64, 128, 128)


class Variant(NamedTuple):
    """How the network runs."""

    ours: bool
    bfloat16: bool = False
    channels_last: bool = False
    compiled: bool = False
    checkpointed: bool = False


PLAIN, PLAIN_EQUAL, OURS = 'plain', 'plain: bf16, channels last', 'ours: bf16, channels last'
CHECKPOINTED = 'ours: bf16, channels last, checkpointed'  # matters in training alone
VARIANTS = {
    PLAIN: Variant(False),
    'plain: bf16': Variant(False, True),
    PLAIN_EQUAL: Variant(False, True, True),
    'ours': Variant(True),
    'ours: channels last': Variant(True, False, True),
    'ours: bf16': Variant(True, True),
    OURS: Variant(True, True, True),
    CHECKPOINTED: Variant(True, True, True, checkpointed=True),
    'ours: bf16, channels last, compiled': Variant(True, True, True, True),
}


def run_in_child(section: str, name: str, threads: int, size: list[int], calls: int, overlap: float) -> dict[str, Any]:
    """Run one variant of one section in this process.

    Args:
        section: ``'training step'`` or ``'scan'``.
        name: Key of :data:`VARIANTS`.
        threads: Of torch.
        size: Of the patch or the scan.
        calls: Of the training step, after one that is not counted.
        overlap: Of the windows in a scan.

    Returns:
        ``seconds`` and ``cpu_seconds`` of each call, ``extra_mb`` beside image and network, ``check``, a number by
        which variants are compared.
    """
    torch.set_num_threads(threads)
    variant = VARIANTS[name]
    if section == 'training step':
        return _train(variant, size, calls)
    return _scan(variant, size, overlap)


def build(variant: Variant) -> nn.Module:
    """One of the two formulations, both with the same weights, statistics of norms among them."""
    torch.manual_seed(0)
    plain = PlainRes2UNet3D()
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    network: nn.Module = plain
    if variant.ours:
        changes = {'channels_last': variant.channels_last, 'backbone.with_cp': variant.checkpointed}
        network = apis.build_model(apis.load_config(CONFIG, {f'model.{key}': value for key, value in changes.items()}))
        weights = translate_res2unet3d(plain.state_dict(), network.state_dict())
        network.load_state_dict(weights)
    if variant.channels_last:
        network.to(memory_format=torch.channels_last_3d)
    return network


def _train(variant: Variant, size: list[int], calls: int) -> dict[str, Any]:
    network = build(variant).train()
    compute = _logits(network, variant)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 1, *size, generator=generator)
    target = (torch.rand(1, *size, generator=generator) > 0.95).long()
    loss_of = _loss_of(network, variant)

    def step() -> float:
        with _precision(variant):
            logits = compute(_format(image, variant))
        loss = loss_of(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    first = step()
    found = _measure(step, calls)
    return {**found, 'check': first}


def _loss_of(network: nn.Module, variant: Variant) -> Any:
    """The replication's loss on both sides; on theirs as it is written there."""
    if variant.ours:
        from mmseg_medical.models.losses import SoftDiceLoss

        return SoftDiceLoss(include_background=True)
    return _plain_dice


def _plain_dice(logits: Tensor, target: Tensor) -> Tensor:
    probabilities = softmax(logits.float(), dim=1)
    truth = torch.nn.functional.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
    axes = (0, 2, 3, 4)
    both = (probabilities * truth).sum(axes)
    dice = (2 * both + 1e-5) / (probabilities.sum(axes) + truth.sum(axes) + 1e-5)
    return 1 - dice.mean()


def _scan(variant: Variant, size: list[int], overlap: float) -> dict[str, Any]:
    network = build(variant).eval()
    image = torch.rand(1, *size, generator=torch.Generator().manual_seed(1))
    labels = torch.empty(0)
    if variant.compiled:
        network.backbone.compile()

    def segment() -> None:
        nonlocal labels
        labels = (_segment_ours if variant.ours else _segment_plain)(network, variant, image, overlap)

    with torch.inference_mode():
        whole, image = image, image[(slice(None), *map(slice, WINDOW))].clone()
        segment()  # libraries and their buffers
        image = whole
        found = _measure(segment, 1)
    return {**found, 'check': float(labels.float().mean())}


def _segment_ours(network: nn.Module, variant: Variant, image: Tensor, overlap: float) -> Tensor:
    network.test_cfg |= dict(overlap=overlap, precision='bfloat16' if variant.bfloat16 else None)
    return network.infer(image, decide=network.decide)


def _segment_plain(network: nn.Module, variant: Variant, image: Tensor, overlap: float) -> Tensor:
    """MONAI's defaults but for the Gaussian, one window at a time as ours; scores, whose argmax is left to do."""
    from monai.inferers import sliding_window_inference

    def compute(windows: Tensor) -> Tensor:
        with _precision(variant):
            return network(_format(windows, variant)).float()

    return sliding_window_inference(image[None], WINDOW, 1, compute, overlap=overlap, mode='gaussian').argmax(1)


def _logits(network: nn.Module, variant: Variant) -> Any:
    if not variant.ours:
        return network
    if variant.compiled:
        network.backbone.compile()
    return lambda image: network.decode_head(network.backbone(image))[0]


def _format(x: Tensor, variant: Variant) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last_3d) if variant.channels_last else x


def _precision(variant: Variant) -> Any:
    return torch.autocast('cpu', torch.bfloat16) if variant.bfloat16 else nullcontext()


def _measure(work: Any, calls: int) -> dict[str, Any]:
    seconds, cpu_seconds = [], []
    memory = PeakMemory()
    for _ in range(calls):
        start, cpu_start = time.perf_counter(), time.process_time()
        work()
        seconds.append(round(time.perf_counter() - start, 3))
        cpu_seconds.append(round(time.process_time() - cpu_start, 3))
    return {'all_seconds': seconds, 'all_cpu_seconds': cpu_seconds, 'extra_mb': round(memory.extra_mb(), 1)}
