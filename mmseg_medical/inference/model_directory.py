"""A model directory: config, weights, what they are for, and checksums, without code that runs when it is read.

``config.json``, ``weights.safetensors`` (of several networks ``weights_1.safetensors``, ...), ``model.json``,
``README.md``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_medical import __version__
from mmseg_medical.errors import CheckpointError, ConfigError, ModelNotFoundError, did_you_mean
from mmseg_medical.inference.loading import LoadedModel, build_models, file_sha256, label_names
from mmseg_medical.inference.model_card import CardFacts, write_card
from mmseg_medical.inference.pipelines import input_facts, pipeline_steps
from mmseg_medical.inference.stored_config import check_safe, decode, encode, portable
from mmseg_medical.optional import import_optional

FORMAT = 'mmseg_medical.model/1'
MODEL_FILE = 'model.json'
CONFIG_FILE = 'config.json'
CARD_FILE = 'README.md'
_LARGEST_HALF = float(torch.finfo(torch.float16).max)


def is_model_directory(path: str | Path) -> bool:
    """Whether a folder holds a model that was exported."""
    return (Path(path) / MODEL_FILE).is_file()


def load_model_directory(folder: str | Path, trusted: bool = False) -> LoadedModel:
    """Read a model directory; nothing in it is run.

    Args:
        folder: Written by :func:`export_model_directory`.
        trusted: Accept a config that names unregistered types or modules to import, which runs their code.

    Raises:
        ModelNotFoundError: There is no such model directory, or a file of it is missing.
        CheckpointError: A file is not the one that was exported.
        ConfigError: It is of a later format, or its config asks for more than it may.
    """
    folder = Path(folder)
    facts = _read_facts(folder)
    names = [CONFIG_FILE, *facts['weights']]
    for name in names:
        _check_file(folder, name, facts['sha256'].get(name))
    config = decode(json.loads((folder / CONFIG_FILE).read_text(encoding='utf-8')))
    if not trusted:
        check_safe(config)
    weights = [(str(folder / name), _read_weights(folder / name)) for name in facts['weights']]
    identity = hashlib.sha256(json.dumps([facts['sha256'][name] for name in names]).encode()).hexdigest()
    return LoadedModel(Config(config), weights, tuple(facts['labels'].values()), identity, str(folder))


def export_model_directory(
    loaded: LoadedModel,
    out: str | Path,
    *,
    half: bool = False,
    card: CardFacts | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model directory, whole or not at all.

    Args:
        loaded: Config and weights of one or several networks.
        out: Folder to make.
        half: Store weights in half precision, but vectors (biases, norms) and what would overflow in float32; networks
            compute in float32 all the same.
        card: What ``README.md`` says beyond what the config does.
        overwrite: Replace an older model directory.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: The folder is in use, or the config has parts that JSON cannot hold.
        CheckpointError: Weights do not fit the config.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (overwrite and is_model_directory(out)):
        remedy = 'name another, or --overwrite' if is_model_directory(out) else 'name one that does not exist'
        raise ConfigError(f'{out} is in use: {remedy}')
    config = portable(loaded.cfg.to_dict())
    stored = LoadedModel(
        Config(config),
        [(source, _stored_weights(weights, half)) for source, weights in loaded.weights],
        loaded.names,
        loaded.identity,
        loaded.source,
        loaded.iterations,
    )
    model = build_models(stored)[0]  # it must build without what was left out, and fit
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as temporary:
        folder = Path(temporary, 'model')
        folder.mkdir()
        facts = _write_contents(folder, stored, config, model, half)
        write_card(folder / CARD_FILE, facts, stored.cfg, card or CardFacts())
        if out.exists():
            shutil.move(str(out), str(Path(temporary, 'before')))
        folder.replace(out)
    return out


def _write_contents(folder: Path, stored: LoadedModel, config: dict, model: Any, half: bool) -> dict[str, Any]:
    torch_files: Any = _safetensors()
    number = len(stored.weights)
    names = ['weights.safetensors'] if number == 1 else [f'weights_{k}.safetensors' for k in range(1, number + 1)]
    for name, (_, weights) in zip(names, stored.weights, strict=True):
        # save_file lets nobody but the owner read
        (folder / name).write_bytes(torch_files.save(weights, metadata={'format': 'pt'}))
    (folder / CONFIG_FILE).write_text(json.dumps(encode(config), indent=1), encoding='utf-8')
    steps = pipeline_steps(stored.cfg)
    facts = {
        'format': FORMAT,
        'version': __version__,
        'segmentor': stored.cfg.model.type,
        'labels': {str(k): name for k, name in enumerate(label_names(stored.names, model))},
        'multi_label': bool(model.multi_label),
        **input_facts(steps, model),
        'preprocessing': encode(steps),
        'precision': 'float16' if half else 'as trained',
        'parameters': sum(parameter.numel() for parameter in model.parameters()),
        'iterations': list(stored.iterations),
        'weights': names,
        'sha256': {name: file_sha256(folder / name) for name in [CONFIG_FILE, *names]},
    }
    (folder / MODEL_FILE).write_text(json.dumps(facts, indent=1), encoding='utf-8')
    return facts


def _stored_weights(weights: dict[str, Tensor], half: bool) -> dict[str, Tensor]:
    """Copies that share no memory, which the format refuses."""
    stored = {}
    for key, value in weights.items():
        small = half and value.ndim > 1 and value.is_floating_point() and float(value.abs().max()) <= _LARGEST_HALF
        dtype = torch.float16 if small else value.dtype
        stored[key.removeprefix('module.')] = value.detach().to('cpu', dtype, copy=True).contiguous()
    return stored


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / MODEL_FILE
    if not folder.is_dir():
        near = did_you_mean(folder.name, (entry.name for entry in folder.parent.glob('*'))) if folder.name else ''
        raise ModelNotFoundError(f'no model directory {folder}.{near}')
    if not path.is_file():
        raise ModelNotFoundError(
            f'{folder} is no model directory: it has no {MODEL_FILE}. Of a work dir name config and checkpoint, or '
            'make one of it: tools/export_model_dir.py WORK_DIR OUT'
        )
    try:
        facts = json.loads(path.read_text(encoding='utf-8'))
        kind = facts['format']
        if not str(kind).startswith('mmseg_medical.model/'):
            raise ValueError(f'format {kind!r}')
        checked = isinstance(facts['sha256'], dict) and isinstance(facts['labels'], dict) and facts['weights']
        if not checked or any(Path(name).name != name for name in facts['weights']):
            raise ValueError('weights, labels or sha256')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f'{path} is damaged ({error}); copy or export the model again') from error
    if kind != FORMAT:
        raise ConfigError(f'{folder} has the format {kind}, this version reads {FORMAT}: update mmseg-medical')
    return facts


def _check_file(folder: Path, name: str, expected: str | None) -> None:
    path = folder / name
    if not path.is_file():
        raise ModelNotFoundError(f'{folder} is not a complete model: {name} is missing; copy or export it again')
    if (found := file_sha256(path)) != expected:
        raise CheckpointError(
            f'{path} is not the file that was exported: its SHA-256 is {found[:16]}..., {MODEL_FILE} says '
            f'{str(expected)[:16]}...; copy or export the model again'
        )


def _read_weights(path: Path) -> dict[str, Tensor]:
    package = import_optional('safetensors', 'volumes')
    try:
        return _safetensors().load_file(str(path))
    except (package.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f'{path} cannot be read as safetensors: {error}') from error


def _safetensors() -> Any:
    import_optional('safetensors', 'volumes')
    return import_optional('safetensors.torch', 'volumes')


def find_checkpoints(work_dir: Path, given: Sequence[str | Path] = ()) -> list[Path]:
    """Return the checkpoints that are named, else the best of a work dir, else its newest.

    Raises:
        CheckpointError: There is none.
    """
    from mmseg_medical.engine.checkpoint import find_resumable

    if given:
        return [Path(path) for path in given]
    best = sorted(work_dir.glob('best_*.pth'), key=lambda path: path.stat().st_mtime)
    if best:
        return [best[-1]]
    try:
        return [find_resumable(work_dir)]
    except CheckpointError as error:
        raise CheckpointError(f'no checkpoint (*.pth) in {work_dir}') from error


def find_config(work_dir: Path) -> Path:
    """Return the config that a training left in its work dir.

    Raises:
        ConfigError: There is none, or several.
    """
    found = sorted(work_dir.glob('*.py'))
    if len(found) != 1:
        listed = ', '.join(path.name for path in found) or 'none'
        raise ConfigError(f'expected one config (*.py) in {work_dir}, found {listed}; name it: --config')
    return found[0]
