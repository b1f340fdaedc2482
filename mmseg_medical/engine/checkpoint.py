"""Reading checkpoints without running what is in them, and loading them strictly."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_state_dict
from torch import Tensor, nn

from mmseg_medical.errors import CheckpointError, ModelNotFoundError

_LISTED = 8
_STATISTICS = ('min', 'max', 'current', 'mean')


def _history_statistic(owner: type, name: str) -> Any:
    """Stand in for ``getattr``, by which the pickled log buffers name their four statistics."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL builtins.getattr of {name}')
    return getattr(HistoryBuffer, name)


def _trusted_globals() -> list[Any]:
    """What the training state of mmengine is made of besides tensors and plain Python values."""
    dtypes = [type(np.dtype(name)) for name in ('bool', 'u1', 'i4', 'i8', 'f4', 'f8')]
    rebuild = [value.__reduce__()[0] for value in (np.zeros(0), np.float64(0))]
    arrays = [np.ndarray, np.dtype, *dtypes, *rebuild]
    return [HistoryBuffer, (_history_statistic, 'builtins.getattr'), *arrays]


def read_checkpoint(path: str | Path, map_location: Any = 'cpu', trusted: bool = False) -> dict[str, Any]:
    """Read a checkpoint file.

    Args:
        path: File written by a training run or a converter.
        map_location: Device to put the tensors on, see :func:`torch.load`.
        trusted: Unpickle whatever the file holds, which may run code in it. False reads tensors, plain values
            and mmengine's own training state only.

    Returns:
        dict: With ``state_dict`` (parameter name to tensor); a bare state dict, or ``model_state_dict`` as other
            repositories call it, is wrapped into one.

    Raises:
        ModelNotFoundError: There is no such file.
        CheckpointError: It is empty, truncated, no checkpoint, or needs ``trusted``.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelNotFoundError(f'no checkpoint at {path}: {"it is a folder" if path.is_dir() else "no such file"}')
    if path.stat().st_size == 0:
        raise CheckpointError(f'checkpoint {path} is an empty file; take an older one or train again')
    try:
        with torch.serialization.safe_globals(_trusted_globals()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=not trusted)
    except pickle.UnpicklingError as error:
        blocked = re.search(r'(?:GLOBAL|Unsupported (?:global|class)[^\n]*?) ([\w.]+\.\w+)', str(error))
        if blocked is None:
            raise CheckpointError(f'{path} is not a checkpoint: it cannot be read by torch.load') from error
        raise CheckpointError(
            f'checkpoint {path} holds a Python object ({blocked[1]}) that could run code when read. If you trust its '
            f'origin, rewrite it once: tools/model_converters/from_original.py --trust for a checkpoint of an original '
            f'repository, else torch.save(torch.load(src, weights_only=False)["state_dict"], dst)'
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError) as error:
        raise CheckpointError(
            f'checkpoint {path} ({path.stat().st_size} bytes) is truncated or damaged: {str(error).splitlines()[0]}'
        ) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} is not a checkpoint: a dict is expected, it holds a {type(checkpoint).__name__}')
    if 'state_dict' not in checkpoint:
        checkpoint = {'state_dict': checkpoint.get('model_state_dict', checkpoint)}
    weights = checkpoint['state_dict']
    if not isinstance(weights, dict) or not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f'{path} is not a checkpoint: it holds no named weights')
    return checkpoint


def load_strict(model: nn.Module, state_dict: dict[str, Tensor], source: str) -> None:
    """Load weights into ``model`` and accept no difference in names or shapes.

    Args:
        model: The network; what wraps it (data parallel, test-time augmentation) must be taken off before.
        state_dict: Parameter name to tensor; a ``module.`` prefix is taken off.
        source: What the error calls the origin of the weights, usually the file.

    Raises:
        CheckpointError: Keys are missing or surplus, or shapes differ; all of them in one message.
    """
    weights = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    own = model.state_dict()
    missing = [key for key in own if key not in weights]
    surplus = [key for key in weights if key not in own]
    reshaped = [
        f'{key}: network {tuple(own[key].shape)}, checkpoint {tuple(weights[key].shape)}'
        for key in own
        if key in weights and own[key].shape != weights[key].shape
    ]
    if not (missing or surplus or reshaped):
        model.load_state_dict(weights)
        return
    lines = [f'{source} is not a checkpoint of this network ({type(model).__name__}):']
    lines += _listing('missing in the checkpoint', missing)
    lines += _listing('not in the network', surplus)
    lines += _listing('of another shape', reshaped)
    if reshaped and not (missing or surplus) and all('conv_seg' in line for line in reshaped):
        lines.append('Only the classifier differs: num_classes of the config is not the one it was trained with.')
    else:
        lines.append('Use the config it was trained with (it lies beside the checkpoint in its work dir).')
    raise CheckpointError('\n'.join(lines))


def load_matching(model: nn.Module, state_dict: dict[str, Tensor], source: str, logger: Any = None) -> None:
    """Load the weights that fit ``model`` by name and shape, as fine-tuning does; the rest is logged.

    Raises:
        CheckpointError: Nothing fits, so that training would start from random weights without a word.
    """
    weights = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    own = model.state_dict()
    if not any(key in own and own[key].shape == value.shape for key, value in weights.items()):
        raise CheckpointError(
            f'no weight of {source} fits this network ({type(model).__name__}): it has {next(iter(own))}, ..., '
            f'the checkpoint {next(iter(weights))}, ...'
        )
    load_state_dict(model, weights, strict=False, logger=logger)


def _listing(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = [f'    ... and {len(items) - _LISTED} more'] if len(items) > _LISTED else []
    return [f'  {len(items)} {title}:', *(f'    {item}' for item in items[:_LISTED]), *more]


def find_resumable(work_dir: str | Path) -> Path:
    """Return the newest checkpoint of ``work_dir`` to resume from.

    mmengine's pointer file ``last_checkpoint`` is followed; where it is missing, cut off by a crash, or the
    work dir was moved, the checkpoint with the highest step in the folder is taken.

    Raises:
        CheckpointError: There is none.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / 'last_checkpoint'
    if pointer.is_file() and (pointed := pointer.read_text().strip()):
        # the folder given comes first: of a copied work dir the pointer still names the original
        for candidate in (work_dir / Path(pointed).name, Path(pointed)):
            if candidate.is_file():
                return candidate
    steps: list[tuple[int, Path]] = []
    for path in work_dir.glob('*.pth'):
        if match := re.fullmatch(r'(?:iter|epoch)_(\d+)', path.stem):
            steps.append((int(match[1]), path))
    if not steps:
        raise CheckpointError(
            f'nothing to resume: no checkpoint in {work_dir}. Leave out --resume to start afresh, or name a file: '
            f'--resume PATH'
        )
    return max(steps)[1]
