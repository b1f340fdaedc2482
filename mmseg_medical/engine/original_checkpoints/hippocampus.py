"""Names of the original hippocampus networks in ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from mmseg_medical.errors import CheckpointError

# Layers of a stage: with batch norm a row of convolution, norm and activation, counted through; otherwise by name.
_STAGE = r'(?:net\.(?P<place>\d+)|(?P<kind>conv|norm)(?P<number>[12]))\.(?P<leaf>\w+)$'
_N = r'\.(\d+)\.'


def translate_hippocampus(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], axes: int) -> dict[str, Tensor]:
    """Rename the weights of a U-Net with or without a coordinate head; what is not known keeps its name.

    ``cached_coords``, the coordinates of the last image that the network saw, are left out.

    Args:
        weights (Mapping[str, Tensor]): Original names.
        own (Mapping[str, Tensor]): Ours, of the network they are for.
        axes (int): 2 or 3.

    Raises:
        CheckpointError: Nothing looks like these networks, or the network has other axes, channels or another head;
            the message says what to change in the config.
    """
    steps = {name.split('.')[2] for name in weights if name.startswith('unet.upconvs.')}
    if not steps or not any(name.startswith('unet.bottleneck.') for name in weights):
        raise CheckpointError(
            'not a checkpoint of the hippocampus U-Nets: no key starts with unet.upconvs. or none with '
            f'unet.bottleneck.; it begins with {", ".join(list(weights)[:3])}'
        )
    found = weights['unet.upconvs.0.weight'].ndim - 2
    if found != axes:
        raise CheckpointError(f'its kernels have {found} axes: convert it as hippocampus{found}d')
    # with one classifier a step, what is otherwise a projection of the finest map is the first of them
    headed = any(name.startswith(('final_conv.', 'inr.')) for name in weights)
    kept = {name: value for name, value in weights.items() if name.rsplit('.', 1)[-1] != 'cached_coords'}
    sines = len({name.split('.')[2] for name in weights if name.startswith('inr.net.')})
    translated = {_rename(name, len(steps), sines, headed): value for name, value in kept.items()}
    _check_channels(translated, own, len(steps))
    _check_head(translated, own)
    return translated


def _rename(name: str, depth: int, sines: int, headed: bool) -> str:
    rules: tuple[tuple[str, Callable[..., str]], ...] = (
        (rf'unet\.encoders{_N}', lambda i: f'backbone.encoders.{i}.'),
        (r'unet\.bottleneck\.', lambda: f'backbone.encoders.{depth}.'),
        (rf'unet\.decoders{_N}', lambda i: f'backbone.decoders.{depth - 1 - int(i)}.0.'),
        (rf'unet\.upconvs{_N}', lambda i: f'backbone.ups.{depth - 1 - int(i)}.conv.'),
        (rf'unet\.seg_heads{_N}', lambda i: 'decode_head.projection.' if headed else f'decode_head.classifiers.{i}.'),
        (r'feature_proj\.', lambda: 'decode_head.projection.'),
        (r'final_conv\.', lambda: 'decode_head.classifiers.0.'),
        (r'inr\.net\.0\.linear\.', lambda: 'decode_head.implicit.first.'),
        (rf'inr\.net{_N}linear\.', lambda k: f'decode_head.implicit.rest.{int(k) - 1}.'),
        (r'inr\.final\.', lambda: f'decode_head.implicit.rest.{sines - 1}.'),
        (r'inr\.0\.', lambda: 'decode_head.implicit.first.'),
        (r'inr\.2\.', lambda: 'decode_head.implicit.rest.'),
    )
    for pattern, ours in rules:
        if match := re.match(pattern, name):
            return ours(*match.groups()) + _layer(name[match.end() :])
    return name


def _layer(rest: str) -> str:
    match = re.match(_STAGE, rest)
    if match is None:
        return rest
    if match['place'] is None:
        return f'{int(match["number"]) - 1}.{match["kind"]}.{match["leaf"]}'
    number, kind = divmod(int(match['place']), 3)
    return f'{number}.{("conv", "norm", "act")[kind]}.{match["leaf"]}'


def _check_channels(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], depth: int) -> None:
    first = 'backbone.encoders.0.0.conv.weight'
    if first not in weights or first not in own:
        return  # the strict loading lists it
    base, wanted = len(weights[first]), len(own[first])
    divisions = len({name.split('.')[2] for name in own if name.startswith('backbone.ups.')})
    if (base, depth) != (wanted, divisions):
        channels = [base * 2**i for i in range(depth + 1)]
        raise CheckpointError(
            f'it begins with {base} channels and is divided {depth} times, the network {wanted} and {divisions}: '
            f'set model.backbone.channels={channels} and model.decode_head.in_channels={base}'
        )


def _check_head(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    kinds = ('decode_head.implicit.', 'decode_head.classifiers.', 'decode_head.projection.')
    theirs, ours = ([kind for kind in kinds if any(name.startswith(kind) for name in of)] for of in (weights, own))
    if theirs != ours:
        names = {kind: kind.removeprefix('decode_head.').rstrip('.') for kind in kinds}
        raise CheckpointError(
            f'its head has {" and ".join(names[kind] for kind in theirs)}, that of the network '
            f'{" and ".join(names[kind] for kind in ours)}: choose another config of configs/hippocampus'
        )
