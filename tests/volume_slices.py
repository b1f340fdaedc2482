"""Rank-2 segmentors of volumes that are read slice by slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_medical.registry import MODELS

CLASSES = ('background', 'Anterior', 'Posterior')


def config(root: Any, store: Any, planes: str = 'axial', implicit: bool = False, drop_rate: float = 0.0, **test_cfg):
    """An experiment as a config file has it."""
    head: dict[str, Any] = dict(type='VolumeHead', in_channels=4, num_classes=3, spatial_dims=2)
    if implicit:
        head.update(type='ImplicitVolumeHead', implicit=dict(type='CoordinateHead', hidden=6))
    steps = [
        dict(type='LoadCase', num_channels=1),
        dict(type='NormalizeIntensity', mode='zscore'),
        dict(type='ResampleInPlane', size=(12, 10)),
        dict(type='LoadCaseAnnotations', num_classes=3),
    ]
    pipeline = [dict(type='LoadSlice', pipeline=steps, store_dir=str(store)), dict(type='PackSliceInputs')]
    data = dict(type='MSDSliceDataset', data_root=str(root), planes=planes, test_mode=True, pipeline=pipeline)
    return Config(
        dict(
            default_scope='mmseg_medical',
            model=dict(
                type='VolumeSegmentor',
                backbone=dict(type='MedicalUNet', in_channels=1, channels=(4, 8), spatial_dims=2, drop_rate=drop_rate),
                decode_head=head,
                test_cfg=dict(mode='whole') | test_cfg,
            ),
            test_dataloader=dict(
                batch_size=3, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=data
            ),
            test_evaluator=dict(type='SliceSegMetric', surface=None),
            test_cfg=dict(type='TestLoop'),
        )
    )


def checkpoint(path: Path, cfg: Config, seed: int = 0) -> Path:
    """Random weights that give all classes."""
    init_default_scope('mmseg_medical')
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    for parameter in model.decode_head.parameters():
        torch.nn.init.normal_(parameter, std=2.0)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), path)
    return path
