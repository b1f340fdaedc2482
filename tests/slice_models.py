"""Segmentors of slices whose logits are known: the channels of the image, or a convolution of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.models.decode_heads import FCNHead
from torch import Tensor, nn

from mmseg_medical.registry import MODELS


@MODELS.register_module(force=True)
class BlurBackbone(nn.Module):
    """A convolution without symmetry, or the image itself."""

    def __init__(self, in_channels: int = 3, kernel_size: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.conv = nn.Identity() if kernel_size == 1 else nn.Conv2d(in_channels, in_channels, kernel_size, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.conv(x),)


@MODELS.register_module(force=True)
class EchoHead(FCNHead):
    """One convolution of 1 x 1; with ``multi_label`` one mask a channel."""

    def __init__(self, multi_label: bool = False, **kwargs: Any) -> None:
        super().__init__(num_convs=0, concat_input=False, dropout_ratio=0, norm_cfg=None, **kwargs)
        self.multi_label = multi_label


def model_config(
    channels: int = 3, classes: int = 3, kernel_size: int = 1, divisor: int | None = None, **options: Any
) -> dict:
    """Config of a model; ``head`` and ``test_cfg`` change it."""
    head = dict(type='EchoHead', in_channels=channels, channels=channels, num_classes=classes, align_corners=True)
    padding = {} if divisor is None else dict(test_cfg=dict(size_divisor=divisor))
    return dict(
        type='MedicalEncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size=(8, 8), **padding),
        backbone=dict(type='BlurBackbone', in_channels=channels, kernel_size=kernel_size),
        decode_head=head | options.get('head', {}),
        test_cfg=dict(mode='whole') | options.get('test_cfg', {}),
    )


def echoing(channels: int = 3, **options: Any) -> Any:
    """A model whose logits are the image (``kernel_size=3``: a convolution of it), in evaluation mode."""
    init_default_scope('mmseg_medical')
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(model_config(channels, channels, **options)))
    model.decode_head.conv_seg.weight.data.copy_(torch.eye(channels)[..., None, None])
    model.decode_head.conv_seg.bias.data.zero_()
    return model.eval()


def config(
    dataset: str, root: Any, steps: list[dict], classes: int, loader: dict | None = None, **model: Any
) -> Config:
    """An experiment with a test pipeline of slices, as a config file has it; its store must never be touched."""
    load = dict(type='LoadSlice', store_dir=str(Path(root, 'store')), **(loader or {}))
    inner = [dict(type='LoadCase'), *steps, dict(type='LoadCaseAnnotations', num_classes=classes)]
    pipeline = [dict(load, pipeline=inner), dict(type='PackSliceInputs')]
    data = dict(type=dataset, data_root=str(root), split='train', test_mode=True, pipeline=pipeline)
    return Config(
        dict(
            default_scope='mmseg_medical',
            model=model_config(classes=classes, **model),
            test_dataloader=dict(
                batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=data
            ),
            test_evaluator=dict(type='SliceSegMetric', surface=None),
            test_cfg=dict(type='TestLoop'),
        )
    )


def checkpoint(path: Path, cfg: Config, seed: int = 0) -> Path:
    """Random weights of a config."""
    init_default_scope('mmseg_medical')
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=2.0)
    classes = ('background', *(f'structure {k}' for k in range(1, model.out_channels)))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))), path)
    return path
