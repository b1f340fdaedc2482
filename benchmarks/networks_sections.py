"""Networks and blocks timed beside the formulations they are compared with, after a check that these agree."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from networks_cases import (
    OURS,
    SIDES,
    TORCH,
    Case,
    Network,
    available_sides,
    make_lively,
    relative_difference,
)
from networks_reference_blocks import ReferenceBlock
from networks_timing import Runs, compared, take_turns
from torch import Tensor, nn

Shape = tuple[int, int, int, int]
TOLERANCE = 1e-9  # in float64


def measure_networks(
    plan: list[tuple[Case, list[str]]], repeats: dict[str, int], slow_repeats: int, device: str
) -> dict:
    """Forward of evaluation and whole training step; the sides of a case take turns, ``repeats`` by the stem."""
    rows = {}
    for case, names in plan:
        sides = {name: side for name, side in available_sides(device).items() if name in names}
        row: dict[str, Any] = {'difference': check_network(case, list(sides), device)}
        network = Network(case, device)
        network.step(sides[OURS])  # compiles
        runs = {
            name: {'forward': partial(network.forward, side), 'training step': partial(network.step, side)}
            for name, side in sides.items()
        }
        slow = {name: slow_repeats for name, side in sides.items() if side.backend == 'mmcv'}
        rows[case.name] = row | compared(take_turns(runs, repeats[case.stem], device, slow))
        print(case.name, {name: taken['training step']['ms'] for name, taken in rows[case.name]['sides'].items()})
    return rows


def check_network(case: Case, names: list[str], device: str) -> dict[str, dict[str, float]]:
    """Compare logits, loss and gradients of the sides in float64 on a smaller image, and raise where they differ."""
    small = case._replace(size=min(case.size, 40 if case.stem == 'full' else 64))
    network = Network(small, device, torch.float64)
    points = getattr(network.model.decode_head, 'points', None)
    if points is not None:
        points.repeat_points = True  # as released, so that all sides draw the same pixels
    found = {}
    for name in names:
        logits = network.forward(SIDES[name])
        torch.manual_seed(2)
        network.optimizer.zero_grad()
        loss = network.loss(SIDES[name])
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in network.model.parameters()])
        found[name] = (logits, loss, gradient)
    differences = {
        name: {
            what: relative_difference(value, expected)
            for what, value, expected in zip(('logits', 'loss', 'gradient'), values, found[OURS], strict=True)
        }
        for name, values in found.items()
        if name != OURS
    }
    _require_equal(small.name, differences)
    return differences


def measure_blocks(shapes: list[Shape], names: list[str], repeats: int, device: str) -> dict[str, Any]:
    """Forward, and forward with backward, of every block and of its formulation in the specification."""
    return {
        'x'.join(map(str, shape)): {name: _measure_block(name, shape, repeats, device) for name in names}
        for shape in shapes
    }


def _measure_block(name: str, shape: Shape, repeats: int, device: str) -> dict[str, Any]:
    ours, reference = build_block(name, shape[1])
    difference = {TORCH: check_block(ours, reference, (1, *shape[1:2], *(min(n, 20) for n in shape[2:])))}
    _require_equal(f'block {name}', difference)
    ours.to(device)
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(shape, generator=generator).to(device) for _ in range(2))
    x.requires_grad_()
    runs: Runs = {
        side: {'forward': partial(_evaluate, block, x), 'training step': partial(_learn, block, x, weight)}
        for side, block in ((OURS, ours), (TORCH, reference))
    }
    take_turns(runs, 2, device)  # compiles, fills caches
    times = take_turns(runs, repeats, device)
    found = {'difference': difference} | compared(times)
    print('x'.join(map(str, shape)), name, found['over ours'][TORCH], flush=True)
    return found


def build_block(name: str, channels: int) -> tuple[nn.Module, nn.Module]:
    """A block of the library, and the specification's formulation with the same parameters."""
    from mmseg_medical.models.layers.feature_blocks import build_feature_block

    torch.manual_seed(0)
    block = make_lively(build_feature_block(name, channels, dilation=2))
    return block, ReferenceBlock(name, block)


def check_block(ours: nn.Module, reference: nn.Module, shape: Shape) -> dict[str, float]:
    """Relative differences of outputs and gradients in float64."""
    ours = ours.double()  # the parameters of both
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = []
    for block in (ours, reference):
        out = block(x)
        wanted = (x, *(p for p in ours.parameters() if p.requires_grad))
        gradients = torch.autograd.grad(out.square().sum(), wanted)
        found.append((out, torch.cat([g.flatten() for g in gradients])))
    ours.float()
    return {
        what: relative_difference(value, expected)
        for what, value, expected in zip(('output', 'gradient'), *found, strict=True)
    }


def _evaluate(block: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        block(x)


def _learn(block: nn.Module, x: Tensor, weight: Tensor) -> None:
    block.zero_grad()
    x.grad = None
    block(x).backward(weight)


def _require_equal(subject: str, differences: dict[str, dict[str, float]]) -> None:
    for name, found in differences.items():
        if not all(math.isfinite(value) and value < TOLERANCE for value in found.values()):
            raise RuntimeError(f'{subject}: {name!r} does not compute what {OURS!r} computes: {found}')
