"""Blocks of HDC-HRNet's library, filled as its specification says."""

import torch
from golden import fill

from mmseg_medical.models.layers.feature_blocks import build_feature_block


def golden_block(name, channels=32, factor=1.0, **options):
    """Fill by the specification's rule, what has two axes or more times ``factor``."""
    block = fill(build_feature_block(name, channels, **options).double().eval(), layer_scale='mix_')
    with torch.no_grad():
        for parameter in block.parameters():
            if parameter.ndim >= 2:
                parameter.mul_(factor)
    return block


def same(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)
