"""Names of the released HDC-HRNet in ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from mmseg_medical.errors import CheckpointError

#: index in an original row of convolution and norm -> our name
_UNIT = {'0': 'conv', '1': 'norm'}
_BLOCK = {
    'offset_conv': 'offset',
    'modulator_conv': 'modulation',
    'regular_conv': 'conv',
    'norm': 'norm',
}
_N = r'\.(\d+)'

# Pattern, and our name from its groups.
_RULES: tuple[tuple[str, Callable[..., str]], ...] = (
    (r'stem\.(conv|bn)([12])\.', lambda kind, i: f'backbone.stem.{int(i) - 1}.{_kind(kind)}.'),
    (rf'layer1{_N}\.(conv|bn)([123])\.', lambda n, kind, i: f'backbone.layer1.{n}.conv{i}.{_kind(kind)}.'),
    (rf'layer1{_N}\.downsample\.([01])\.', lambda n, part: f'backbone.layer1.{n}.shortcut.{_UNIT[part]}.'),
    (r'transition1\.([01])\.([01])\.', lambda j, part: f'backbone.transitions.0.{j}.{_UNIT[part]}.'),
    # the later ones count identities too; only the new stream has parameters
    (r'transition([23])\.\1\.([01])\.', lambda s, part: f'backbone.transitions.{int(s) - 1}.0.{_UNIT[part]}.'),
    (
        rf'stage([234])\.branches{_N}{_N}\.({"|".join(_BLOCK)})\.',
        lambda s, j, i, part: f'backbone.stages.{int(s) - 2}.branches.{j}.{i}.{_BLOCK[part]}.',
    ),
    (
        rf'stage([234])\.fuse\.fuse{_N}{_N}\.([01])\.',
        lambda s, j, i, part: f'backbone.stages.{int(s) - 2}.fusion.paths.{j}.{i}.{_UNIT[part]}.',
    ),
    (r'seg_head\.', lambda: 'decode_head.conv_seg.'),
    (rf'aux_heads{_N}\.', lambda i: f'decode_head.classifiers.{i}.'),
    (r'pointrend\.mlp\.', lambda: 'decode_head.points.mlp.'),
    (r'shearlet_head\.', lambda: 'decode_head.implicit.'),
    (r'shearlet_fusion$', lambda: 'decode_head.implicit_fusion'),
)

# What a checkpoint may have beside the plain network: first letters, ours, how the network gets it.
_PARTS = (
    ('aux_heads.', 'decode_head.classifiers.', 'supervision_weights=[0.4,0.3,0.2,0.1]', 'supervision_weights=[]'),
    ('pointrend.', 'decode_head.points.', 'type=PointRendHead', 'type=AggregateHead'),
    ('shearlet_head.', 'decode_head.implicit.', 'implicit.type=ShearletHead', 'implicit=None'),
)


def translate_hdc_hrnet(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of the released HDC-HRNet with ``dcn`` blocks; what is not known keeps its name.

    Args:
        weights (Mapping[str, Tensor]): Original names.
        own (Mapping[str, Tensor]): Ours, of the network they are for.

    Raises:
        CheckpointError: Nothing looks like HDC-HRNet, or the network has another width, stem or other heads; the
            message says what to change in the config.
    """
    if 'stem.conv1.weight' not in weights or 'transition1.0.0.weight' not in weights:
        raise CheckpointError(
            'not a checkpoint of the released HDC-HRNet: it has no stem.conv1.weight or no transition1.0.0.weight; '
            f'it begins with {", ".join(list(weights)[:3])}'
        )
    translated = {_rename(name): value for name, value in weights.items()}
    _check_shape(translated, own, 'backbone.transitions.0.0.conv.weight', 0, 'model.backbone.base_channels={}')
    _check_shape(translated, own, 'backbone.stem.0.conv.weight', 1, 'model.backbone.in_channels={}')
    stem = translated['backbone.stem.0.conv.weight'].shape[0]
    remedy = f'model.backbone.stem={"full" if stem == 32 else "standard"}'
    _check_shape(translated, own, 'backbone.stem.0.conv.weight', 0, remedy)
    _check_shape(translated, own, 'decode_head.conv_seg.weight', 0, 'model.decode_head.num_classes={}')
    for original, ours, present, absent in _PARTS:
        there = any(name.startswith(original) for name in weights)
        if there != any(name.startswith(ours) for name in own):
            raise CheckpointError(
                f'it has {"" if there else "no "}{original}*, unlike the network: '
                f'set model.decode_head.{present if there else absent}'
            )
    return translated


def _rename(name: str) -> str:
    for pattern, ours in _RULES:
        match = re.match(pattern, name)
        if match:
            return ours(*match.groups()) + name[match.end() :]
    return name


def _kind(name: str) -> str:
    return 'norm' if name == 'bn' else name


def _check_shape(
    translated: Mapping[str, Tensor], own: Mapping[str, Tensor], name: str, axis: int, remedy: str
) -> None:
    if name in translated and name in own:
        found, wanted = translated[name].shape[axis], own[name].shape[axis]
        if found != wanted:
            raise CheckpointError(
                f'{name} has length {found} on axis {axis}, that of the network {wanted}: set {remedy.format(found)}'
            )
