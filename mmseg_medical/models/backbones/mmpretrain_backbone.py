"""Backbones of mmpretrain, which is an optional package."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import torch
from torch import nn

from mmseg_medical.optional import import_optional
from mmseg_medical.registry import MODELS


@MODELS.register_module()
def mmpretrain_backbone(backbone: str, **options: Any) -> nn.Module:
    """Build a backbone of mmpretrain, e.g. ``dict(type='mmpretrain_backbone', backbone='ConvNeXt', arch='tiny')``.

    mmpretrain is imported here and not with the config, so that the config can be read without it.

    Args:
        backbone (str): Name in mmpretrain.
        **options: Of its class.

    Raises:
        ImportError: mmpretrain, or torchvision that it imports, is not installed.
    """
    import_optional('mmpretrain', 'baselines')
    if importlib.util.find_spec('torchvision') is None:
        raise ImportError(
            f'mmpretrain imports torchvision, which is not installed here: install the one that was made for torch '
            f'{torch.__version__}, see https://pytorch.org/get-started/locally; another one would replace torch'
        )
    importlib.import_module('mmpretrain.models')
    registry = importlib.import_module('mmpretrain.registry')
    return registry.MODELS.build({'type': f'mmpretrain.{backbone}', **options})
