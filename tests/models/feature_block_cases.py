"""Blocks of which every part counts, in float64."""

import torch
from torch import nn

from mmseg_medical.models.layers.feature_blocks import build_feature_block


def lively(name, channels=8, **options):
    torch.manual_seed(0)
    block = build_feature_block(name, channels, **options).double().eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


def noise(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
