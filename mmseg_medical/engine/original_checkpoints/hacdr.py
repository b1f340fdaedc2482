"""Names of the released HACDR-Net in ours."""

from __future__ import annotations

import re

from torch import Tensor

from mmseg_medical.errors import CheckpointError

_GATE = r'\.attn\.spatial_gating_unit\.'

# Pattern and replacement; a number in braces is that group as an index from 0, counted from the number behind it.
# ``mlp`` is the older spelling of ``DFFN``, w1 to b4 belong to the older spectral variant. Two deformable convolutions
# carry the name conv3_1 and conv3_2 of a fourth strip pair that does not exist.
_HACDR_RULES = (
    (r'^backbone\.patch_embed1\.proj\.', 'backbone.stem.'),
    (r'^backbone\.patch_embed([234])\.proj\.', 'backbone.downsamples.{1-2}.conv.'),
    (r'^backbone\.patch_embed([234])\.norm\.', 'backbone.downsamples.{1-2}.norm.'),
    (r'^backbone\.norm([1-4])\.', 'backbone.norms.{1-1}.'),
    (r'^backbone\.block([1-4])\.(\d+)\.', 'backbone.stages.{1-1}.{2-0}.'),
    (r'\.layer_scale_([12])$', '.layer_scale{1-0}'),
    (r'\.attn\.proj_1\.', '.attn.proj_in.'),
    (r'\.attn\.proj_2\.', '.attn.proj_out.'),
    (_GATE + r'conv0\.', '.attn.local.'),
    (_GATE + r'conv3_([12])\.', '.attn.branches.cross.{1-1}.'),
    (_GATE + r'optional_([12])\.', '.attn.branches.optional.{1-1}.'),
    (_GATE + r'conv3\.', '.attn.aggregate.'),
    (_GATE + r'w([12])$', '.attn.spectral_gate.local_mlp.weight{1-0}'),
    (_GATE + r'b([12])$', '.attn.spectral_gate.local_mlp.bias{1-0}'),
    (_GATE + r'w([34])$', '.attn.spectral_gate.branch_mlp.weight{1-2}'),
    (_GATE + r'b([34])$', '.attn.spectral_gate.branch_mlp.bias{1-2}'),
    (r'\.(?:DFFN|mlp)\.fc1\.', '.ffn.expand.'),
    (r'\.(?:DFFN|mlp)\.fc2\.', '.ffn.reduce.'),
    (r'\.(?:DFFN|mlp)\.dwconv\.(?:dwconv\.)?', '.ffn.depthwise.'),
)
_STRIP = re.compile(_GATE + r'conv([012])_([12])\.')
_DECODER = re.compile(r'^decode_head\.decoder([234])\.layer\.')


def _rename(name: str) -> str:
    for pattern, replacement in _HACDR_RULES:
        match = re.search(pattern, name)
        if match:
            groups = [int(group) for group in match.groups()]
            for reference, group, first in re.findall(r'(\{(\d)-(\d)\})', replacement):
                replacement = replacement.replace(reference, str(groups[int(group) - 1] - int(first)))
            name = name[: match.start()] + replacement + name[match.end() :]
    return name


def translate_hacdr(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of the released HACDR-Net; names that are ours already stay.

    Raises:
        CheckpointError: nothing looks like HACDR-Net.
    """
    if not any(name.startswith('backbone.patch_embed1.proj.') for name in weights):
        raise CheckpointError(
            'not a checkpoint of the released HACDR-Net: no key starts with backbone.patch_embed1.proj.; '
            f'it begins with {", ".join(list(weights)[:3])}'
        )
    translated = {}
    for name, value in weights.items():
        strip = _STRIP.search(name)
        if strip:
            # Ours are named by their length, the originals by their position; the 1xk weight tells the length.
            key = f'{name[: strip.start()]}.attn.spatial_gating_unit.conv{strip[1]}_1.weight'
            if key not in weights:
                raise CheckpointError(f'incomplete: it has {name}, but not {key}')
            length = weights[key].shape[-1]
            new = f'.attn.branches.strip_{length}.{int(strip[2]) - 1}.'
            name = name[: strip.start()] + new + name[strip.end() :]
        decoder = _DECODER.search(name)
        if decoder:
            name = f'decode_head.decoders.{4 - int(decoder[1])}.' + name[decoder.end() :]
        translated[_rename(name)] = value
    return translated
