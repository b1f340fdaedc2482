"""What a predictor is made from: a config with checkpoints, or a model directory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from mmseg_medical.configs import build_model, load_config
from mmseg_medical.engine.checkpoint import load_strict, read_checkpoint
from mmseg_medical.errors import CheckpointError, ConfigError


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """Config and weights.

    Attributes:
        cfg (Config): The experiment.
        weights (list[tuple[str, dict]]): Where they came from, and parameter name to tensor; one a network.
        names (tuple[str, ...] | None): Of the classes, where they are known.
        identity (str): Hash of config and weights.
        source (str): What was named to load it.
        iterations (tuple[int | None, ...]): How long each network was trained, where it is known.
    """

    cfg: Config
    weights: list[tuple[str, dict[str, Tensor]]]
    names: tuple[str, ...] | None
    identity: str
    source: str
    iterations: tuple[int | None, ...] = ()


def load_from_checkpoints(
    config: str | Path | Config, checkpoints: str | Path | Sequence[str | Path], trusted: bool = False
) -> LoadedModel:
    """Read a config and one or several checkpoints trained with it.

    Args:
        config: Config or its path; a config file is Python and is run.
        checkpoints: Files.
        trusted: See :func:`~mmseg_medical.engine.checkpoint.read_checkpoint`.

    Raises:
        ConfigError: The config cannot be read.
        CheckpointError: A checkpoint cannot.
    """
    paths = [checkpoints] if isinstance(checkpoints, str | Path) else list(checkpoints)
    if not paths:
        raise ConfigError('at least one checkpoint is needed')
    cfg = load_config(config)
    weights, names, iterations = [], None, []
    digest = hashlib.sha256(repr(cfg.to_dict()).encode())
    for path in paths:
        contents = read_checkpoint(path, trusted=trusted)
        weights.append((str(path), contents['state_dict']))
        digest.update(file_sha256(Path(path)).encode())
        meta = contents.get('meta') or {}
        iterations.append(meta.get('iter'))
        classes = (meta.get('dataset_meta') or {}).get('classes')
        names = names or (tuple(map(str, classes)) if classes else None)
    return LoadedModel(cfg, weights, names, digest.hexdigest(), ', '.join(map(str, paths)), tuple(iterations))


def build_models(loaded: LoadedModel, device: str = 'cpu') -> list[nn.Module]:
    """Build the networks, in evaluation mode.

    Raises:
        ConfigError: The config cannot be built, or there is no such device.
        CheckpointError: Weights do not fit.
    """
    models = []
    for source, weights in loaded.weights:
        model = build_model(loaded.cfg)
        load_strict(model, weights, source)
        try:
            models.append(model.to(device).eval())
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f'device {device!r} cannot be used: {str(error).splitlines()[0]}') from error
    return models


def file_sha256(path: Path) -> str:
    """Hash the contents of a file.

    Raises:
        CheckpointError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open('rb') as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read: {error.strerror or error}') from error
    return digest.hexdigest()


def label_names(names: Sequence[str] | None, model: Any) -> tuple[str, ...]:
    """Name of each label, or of each mask; those that are not known are numbered."""
    number, overlapping = int(model.out_channels), bool(model.multi_label)
    if number == 1 and not overlapping:
        number = 2  # one sigmoid decides between background and structure
    given = list(names or ())
    if len(given) == number - 1 and not overlapping:
        given = ['background', *given]
    if len(given) == number:
        return tuple(given)
    first = [] if overlapping else ['background']
    return (*first, *(f'class {k}' for k in range(len(first), number)))
