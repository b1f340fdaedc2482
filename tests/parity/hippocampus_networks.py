"""Hippocampus networks from their configs, and the numbers that section 11 of their specification fills them with."""

from pathlib import Path

from mmengine.config import Config
from torch import Tensor, nn

from mmseg_medical.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
#: name -> config, changes of model
NETWORKS = {
    'none': ('_base_/models/hippocampus_unet2d.py', {}),
    'inr': ('_base_/models/hippocampus_unet2d_inr.py', {}),
    'supervised': ('_base_/models/hippocampus_unet2d_deep_supervision.py', {}),
    'siren': ('_base_/models/hippocampus_unet2d_siren.py', {}),
    '3d none': ('hippocampus/unet3d_none.py', {}),
    '3d light': ('hippocampus/unet3d_inr_light.py', {}),
    '3d balanced': ('hippocampus/unet3d_inr_balanced.py', {}),
    '3d performance': ('hippocampus/unet3d_inr_performance.py', {}),
}


def build(name: str, base: int | None = None, **changes) -> nn.Module:
    """Build a network with ``base`` channels at first and ``changes`` of the head, or of what is implicit in it."""
    cfg = Config.fromfile(CONFIGS / NETWORKS[name][0])
    backbone, head = cfg.model.backbone, cfg.model.decode_head
    if base is not None:
        levels = len(backbone.channels)
        backbone.channels = [base * 2**i for i in range(levels)]
        given = head.in_channels
        head.in_channels = base if isinstance(given, int) else [base * 2**i for i in reversed(range(levels - 1))]
        if name in ('none', 'inr'):
            head.projection = base
    for key, value in changes.items():
        (head.implicit if key in ('hidden', 'layers') else head)[key] = value
    return MODELS.build(cfg.model)


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def fingerprint(logits: Tensor) -> list[float]:
    flat = logits.flatten()
    mean, std = flat.mean(), flat.std(unbiased=False)
    return [float(value) for value in (mean, std, flat[0], flat[len(flat) // 2], flat[-1])]
