"""What ``networks.py`` measures: networks and blocks of HDC-HRNet, and the formulations they are compared with."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from networks_reference import CLASSES, ReferenceNetwork
from torch import Tensor, nn

CONFIGS = Path(__file__).parents[1] / 'configs/_base_/models'
OURS = 'ours'
TORCH, MMCV = 'specification, torch operator', 'specification, mmcv operator'


class Side(NamedTuple):
    """A formulation of the network, and the back end of its deformable convolutions."""

    reference: bool
    backend: str
    with_cp: bool = False


SIDES = {
    OURS: Side(False, 'auto'),
    'ours, torch operator': Side(False, 'torch'),
    TORCH: Side(True, 'torch'),
    'ours, mmcv operator': Side(False, 'mmcv'),
    MMCV: Side(True, 'mmcv'),
    'ours, checkpointed': Side(False, 'auto', with_cp=True),
}


class Case(NamedTuple):
    """A configuration of the library on one batch of square images; None for the configuration's own width."""

    config: str
    stem: str
    size: int
    batch: int = 1
    base_channels: int | None = None

    @property
    def name(self) -> str:
        """For tables and JSON."""
        width = '' if self.base_channels is None else f', C = {self.base_channels}'
        return f'{self.config}{width}, {self.stem} stem, {self.batch} x {self.size}x{self.size}'


class Network:
    """A model of the library whose parameters all sides share, its optimiser and a batch."""

    def __init__(self, case: Case, device: str = 'cpu', dtype: torch.dtype = torch.float32) -> None:
        self.model = build_model(case).to(device, dtype)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4, weight_decay=1e-5)
        generator = torch.Generator().manual_seed(1)
        shape = (case.batch, case.size, case.size)
        self.image = torch.randn(case.batch, 3, *shape[1:], generator=generator).to(device, dtype)
        self.target = torch.randint(0, CLASSES, shape, generator=generator).to(device)
        self.samples = [SegDataSample(gt_sem_seg=PixelData(data=truth[None])) for truth in self.target]
        self.reference = ReferenceNetwork(self.model, 'torch')

    def use(self, side: Side) -> None:
        """From now on compute with the side's operator."""
        self.reference.backend = side.backend
        for module in self.model.modules():
            if hasattr(module, 'backend'):
                module.backend = side.backend
            if hasattr(module, 'with_cp'):
                module.with_cp = side.with_cp

    def forward(self, side: Side) -> Tensor:
        """Logits (N, K, H, W) of evaluation."""
        self.use(side)
        self.reference.eval()  # the model with it
        with torch.no_grad():
            if side.reference:
                return self.reference(self.image)[0]
            return self.model.decode_head(self.model.backbone(self.image), self.image.shape[2:])

    def loss(self, side: Side) -> Tensor:
        """Loss of training with its graph."""
        self.use(side)
        self.reference.train()
        if side.reference:
            return self.reference.loss(self.image, self.target)
        return self.model.parse_losses(self.model.loss(self.image, self.samples))[0]

    def step(self, side: Side) -> None:
        """Forward, loss, backward, AdamW."""
        self.optimizer.zero_grad()
        self.loss(side).backward()
        self.optimizer.step()


def build_model(case: Case) -> nn.Module:
    """Build a segmentor whose offsets are not those of the start, which are zero and hide how samples scatter."""
    from mmseg_medical import apis

    logging.disable(logging.INFO)
    config = apis.load_config(CONFIGS / f'{case.config}.py')
    config.model.backbone.stem = case.stem
    if case.base_channels is not None:
        config.model.backbone.base_channels = case.base_channels
        config.model.decode_head.in_channels = [case.base_channels * 2**i for i in range(4)]
    torch.manual_seed(0)
    model = apis.build_model(config)
    for module in model.modules():
        if hasattr(module, 'modulation'):
            make_lively(module)
    return model


def make_lively(block: nn.Module) -> nn.Module:
    """Draw what a block starts with as a constant."""
    for parameter in block.parameters():
        if parameter.unique().numel() == 1 and parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3 / parameter[0].numel() ** 0.5)
        elif parameter.ndim == 1 and parameter.abs().max() < 1e-3:  # ConvNeXt's scales
            nn.init.normal_(parameter, std=0.1)
    return block


def available_sides(device: str) -> dict[str, Side]:
    """Those whose operator can run here."""
    from mmseg_medical.ops.deform_conv import available_backends

    known = (*available_backends(), 'auto')
    return {name: side for name, side in SIDES.items() if side.backend in known}


def relative_difference(out: Tensor, reference: Tensor) -> float:
    """Length of the difference over that of the reference."""
    out, reference = out.detach().double(), reference.detach().double()
    return float(f'{((out - reference).norm() / reference.norm()).item():.3g}')


def child(part: str, *arguments: Any) -> dict[str, Any]:
    """Run a part of ``networks.py`` in a fresh process, whose last line is JSON."""
    script = Path(__file__).with_name('networks.py')
    command = [sys.executable, str(script), '--child', json.dumps([part, *arguments])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
    if done.returncode:
        raise RuntimeError(f'{part} {arguments} ended with code {done.returncode}; its messages are above')
    return json.loads(done.stdout.splitlines()[-1])
