"""Names of the replicated 3D-Res2UNet in ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from mmseg_medical.errors import CheckpointError

LEVELS = 4

# Pattern, and our name of a block from its groups.
_BLOCKS: tuple[tuple[str, Callable[..., str]], ...] = (
    (r'enc([1-4])\.block\.', lambda d: f'backbone.encoders.{int(d) - 1}.0.'),
    (r'bottleneck\.', lambda: f'backbone.encoders.{LEVELS}.0.'),
    # a decoder is a stage and a dropout
    (r'dec([1-4])\.block\.', lambda d: f'backbone.decoders.{int(d) - 1}.0.0.'),
)
_PARTS = (
    (r'^bn(\d)\.', r'norm\1.'),
    (r'^bns\.', 'norms.'),
    (r'^se\.fc\.0\.', 'se.reduce.'),
    (r'^se\.fc\.2\.', 'se.expand.'),
)


def translate_res2unet3d(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of the replicated 3D-Res2UNet; what is not known keeps its name.

    Args:
        weights (Mapping[str, Tensor]): Original names.
        own (Mapping[str, Tensor]): Ours, of the network they are for.

    Raises:
        CheckpointError: Nothing looks like 3D-Res2UNet, or its classifier has another number of channels.
    """
    if 'enc1.block.conv1.weight' not in weights or 'final.weight' not in weights:
        raise CheckpointError(
            'not a checkpoint of the replicated 3D-Res2UNet: it has no enc1.block.conv1.weight or no final.weight; '
            f'it begins with {", ".join(list(weights)[:3])}'
        )
    found, wanted = len(weights['final.weight']), len(own['decode_head.classifiers.0.weight'])
    if found != wanted:
        remedy = {1: ': set model.decode_head.mode=sigmoid', 2: ': set model.decode_head.mode=softmax'}.get(found, '')
        raise CheckpointError(f'its classifier has {found} channels, that of the network {wanted}{remedy}')
    return {_rename(name): value for name, value in weights.items()}


def _rename(name: str) -> str:
    for pattern, block in _BLOCKS:
        if match := re.match(pattern, name):
            rest = name[match.end() :]
            for part, ours in _PARTS:
                rest = re.sub(part, ours, rest)
            return block(*match.groups()) + rest
    if match := re.match(r'dec([1-4])\.up\.', name):
        return f'backbone.ups.{int(match[1]) - 1}.conv.{name[match.end() :]}'
    return re.sub(r'^final\.', 'decode_head.classifiers.0.', name)
