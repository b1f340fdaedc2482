"""Checkpoints of the original repositories, translated to the names of our networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mmseg_medical.engine.checkpoint import load_strict, read_checkpoint
from mmseg_medical.engine.original_checkpoints.hacdr import translate_hacdr
from mmseg_medical.engine.original_checkpoints.hdc_hrnet import translate_hdc_hrnet
from mmseg_medical.engine.original_checkpoints.hippocampus import translate_hippocampus
from mmseg_medical.engine.original_checkpoints.rare_unet import translate_rare_unet
from mmseg_medical.engine.original_checkpoints.res2unet3d import translate_res2unet3d
from mmseg_medical.errors import CheckpointError
from mmseg_medical.files import atomic_path

__all__ = [
    'TRANSLATIONS',
    'convert',
    'translate_hacdr',
    'translate_hdc_hrnet',
    'translate_hippocampus',
    'translate_rare_unet',
    'translate_res2unet3d',
]

#: system -> its weights, and the names of the network they are for -> weights under our names
TRANSLATIONS: dict[str, Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]] = {
    'hacdr': lambda weights, own: translate_hacdr(weights),
    'hdc_hrnet': translate_hdc_hrnet,
    'hippocampus2d': partial(translate_hippocampus, axes=2),
    'hippocampus3d': partial(translate_hippocampus, axes=3),
    'rare_unet': translate_rare_unet,
    'res2unet3d': translate_res2unet3d,
}


def convert(system: str, src: str | Path, dst: str | Path, network: nn.Module, trusted: bool = False) -> int:
    """Write an original checkpoint under our names.

    Args:
        system: key of :data:`TRANSLATIONS`.
        src: original file, its weights under ``state_dict`` or ``model_state_dict`` or bare, with or without the prefix
            ``module.``.
        dst: file to write, tensors only; it appears when it is complete.
        network: what the result is for; the weights are loaded into it, strictly.
        trusted: unpickle whatever ``src`` holds.

    Returns:
        Number of tensors written.

    Raises:
        CheckpointError: ``src`` cannot be read, is of another system, or has keys missing or left over, all listed.
    """
    weights = read_checkpoint(src, trusted=trusted)['state_dict']
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    try:
        translated = TRANSLATIONS[system](weights, network.state_dict())
    except CheckpointError as error:
        raise CheckpointError(f'{src}: {error}') from error
    load_strict(network, translated, str(src))
    with atomic_path(dst, durable=True) as partial:
        torch.save({'state_dict': translated, 'meta': {'converted_from': str(src), 'system': system}}, partial)
    return len(translated)
