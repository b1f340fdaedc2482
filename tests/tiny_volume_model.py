"""Trained models small enough for tests: a network whose labels are known, and one that only has the right shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.registry import MODELS


@MODELS.register_module(force=True)
class EchoBackbone(nn.Module):
    """Gives back what it gets."""

    def __init__(self, in_channels: int = 1, spatial_dims: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.spatial_dims = spatial_dims

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x,)


def thresholding(steps: tuple = (), channels: int = 1, rank: int = 3, head: dict | None = None, **test_cfg) -> Config:
    """A model that labels what is brighter than 0.5 (of several channels: their mean)."""
    head = dict(type='VolumeHead', in_channels=channels, num_classes=2, spatial_dims=rank) | (head or {})
    return Config(
        dict(
            default_scope='mmseg_medical',
            model=dict(
                type='VolumeSegmentor',
                backbone=dict(type='EchoBackbone', in_channels=channels, spatial_dims=rank),
                decode_head=head,
                test_cfg=test_cfg,
            ),
            test_dataloader=dict(dataset=dict(type='MSDDataset', data_root='/a place', pipeline=pipeline(steps))),
        )
    )


def pipeline(steps: tuple = ()) -> list[dict]:
    """As a config has it, labels included."""
    return [
        dict(type='LoadVolume'),
        dict(type='ReorientVolume', axes='RAS'),
        *steps,
        dict(type='LoadVolumeAnnotations', num_classes=2),
        dict(type='PackVolumeInputs'),
    ]


def checkpoint(path: Path, cfg: Config, classes: tuple[str, ...] = ('background', 'bright'), sign: float = 1.0) -> Path:
    """Weights of :func:`thresholding`: logits 0 and 20 (mean - 0.5)."""
    weights: dict[str, Any] = MODELS.build(cfg.model).state_dict()
    kernel, bias = weights['decode_head.classifiers.0.weight'], weights['decode_head.classifiers.0.bias']
    kernel.zero_()
    bias.zero_()
    kernel[-1] = sign * 20 / kernel.shape[1]
    bias[-1] = -sign * 10
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=classes))), path)
    return path


UNET = """
default_scope = 'mmseg_medical'
model = dict(
    type='VolumeSegmentor', backbone=dict(type='MedicalUNet', in_channels=1, channels=(4, 8)),
    decode_head=dict(type='VolumeHead', in_channels=4, num_classes=3), test_cfg=dict(mode='whole'))
tta_cfg = dict(mirror_axes=(0,))
train_dataloader = dict(dataset=dict(type='MSDDataset', task='Task04_Hippocampus', split='train'))
test_dataloader = dict(dataset=dict(type='MSDDataset', data_root='/somewhere', pipeline=[
    dict(type='LoadVolume', num_channels=1, rank=3), dict(type='ReorientVolume', axes='RAS'),
    dict(type='NormalizeIntensity', mode='zscore'), dict(type='LoadVolumeAnnotations', num_classes=3),
    dict(type='PackVolumeInputs')]))
"""


def work_dir(folder: Path, networks: int = 1) -> Path:
    """A folder as a training leaves it: config, and checkpoints ``epoch_1.pth``, ..."""
    folder.mkdir(parents=True)
    (folder / 'tiny.py').write_text(UNET)
    cfg = Config.fromfile(folder / 'tiny.py')
    for number in range(1, networks + 1):
        torch.manual_seed(number)
        meta = dict(dataset_meta=dict(classes=('background', 'Anterior', 'Posterior')))
        torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta=meta), folder / f'epoch_{number}.pth')
    return folder


def image(size: tuple[int, ...] = (7, 5, 9), axes: str = 'RAS', seed: int = 0) -> Volume:
    """Random values in 0..1 with an affine of uneven spacing and permuted axes."""
    affine = np.zeros((4, 4))
    for axis, direction in enumerate(axes):
        row = next(k for k, pair in enumerate(('RL', 'AP', 'SI')) if direction in pair)
        affine[row, axis] = (1.0 + 0.5 * row) * (1 if direction in 'RAS' else -1)
    affine[:, 3] = (3, -4, 5, 1)
    array = np.random.default_rng(seed).random(size).astype(np.float32)
    return Volume(array, affine)


def write_images(folder: Path, names: tuple[str, ...] = ('a', 'b')) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        write_volume(image(seed=number), folder / f'{name}.nii.gz')
    return folder
