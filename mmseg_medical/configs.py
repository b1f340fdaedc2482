"""Configs: read, changed from a command line, and the network of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg_medical.errors import ConfigError, building, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmengine.config import Config
    from torch import nn

# keys of a config that the runner reads besides its constructor's arguments, and mmengine's own
_EXTRA_KEYS = {
    *('activation_checkpointing', 'allow_shared_images', 'compile', 'custom_imports', 'efficient_conv_bn_eval'),
    *('find_unused_parameters', 'model_wrapper_cfg', 'predict_pipeline', 'runner_type', 'sync_bn'),
    *('tta_cfg', 'tta_model', 'tta_pipeline'),
}

# what all data sets of a config share: a variable that the file names once and that one option changes everywhere
_SHARED_KEYS = ('data_root', 'fold', 'mask_source', 'mask_root')


def load_config(config: str | Path | Config, cfg_options: dict[str, Any] | None = None) -> Config:
    """Read a config file and change what ``cfg_options`` names.

    Modules that its ``custom_imports`` names are found in the current folder and in the file's own, after those
    installed; both stay on ``sys.path``, for what these modules import later and in data workers.

    Args:
        config: Path of a config file; a loaded config is copied.
        cfg_options: Dotted key to value, e.g. ``{'train_dataloader.batch_size': 2}``.

    Returns:
        Config: The whole experiment.

    Raises:
        ConfigError: The file or one it inherits from is missing or is not valid Python, or an option names a
            place that no config has.
    """
    import copy
    import sys

    from mmengine.config import Config

    if isinstance(config, Config):
        cfg = copy.deepcopy(config)
    else:
        path = Path(config)
        if not path.is_file():
            raise ConfigError(f'no config file {path}.{_similar_files(path)}')
        sys.path += [folder for folder in (str(Path.cwd()), str(path.parent.absolute())) if folder not in sys.path]
        try:
            cfg = Config.fromfile(path)
        except FileNotFoundError as error:
            raise ConfigError(f'config {path} inherits from a file that does not exist: {error}') from error
        except Exception as error:
            raise ConfigError(f'config {path} cannot be read: {type(error).__name__}: {error}') from error
    options = cfg_options or {}
    for key, value in options.items():
        _check_option(cfg, key, value)
    try:
        for key in _SHARED_KEYS:
            if key in options:
                _change_shared(cfg, key, options[key])
        cfg.merge_from_dict(options)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ConfigError(f'--cfg-options {options} cannot be merged into the config: {error}') from error
    return cfg


def _similar_files(path: Path) -> str:
    root = Path('configs') if Path('configs').is_dir() else path.parent
    files = (
        {file.name: file for file in root.rglob('*.py') if not {'_base_', 'spaces'} & set(file.parts)}
        if root.is_dir()
        else {}
    )
    if path.name in files:
        return f' Did you mean {files[path.name]}?'
    return did_you_mean(str(path), map(str, files.values()))


def _change_shared(cfg: Config, key: str, new: Any) -> None:
    """Give the data sets of a config another root or fold, which the file names once as a variable."""
    old, places = cfg[key], dict(_places(cfg._cfg_dict, key))
    if old not in (node[key] for node in places.values()):
        own = ' '.join(f'{place}=...' for place in places) or 'none has one'
        raise ConfigError(
            f'--cfg-options {key}={new} would change nothing: no data set of the config has its '
            f'{key} {old!r}. Set those of the data sets: {own}'
        )
    for node in places.values():
        if node[key] == old:
            node[key] = new


def _places(node: Any, wanted: str, place: str = '') -> Iterator[tuple[str, Any]]:
    """Yield the dotted places of a key below the top level, and the dicts that hold them."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, (dict, list)):
            yield from _places(value, wanted, f'{place}{key}.')
        elif key == wanted and place:
            yield f'{place}{key}', node


def _check_option(cfg: Config, key: str, value: Any) -> None:
    """Refuse a path that leads nowhere (mmengine would create it and nobody read it), or a word for a number."""
    import inspect

    from mmengine.runner import Runner

    first, *rest = key.split('.')
    read = (set(inspect.signature(Runner.__init__).parameters) | _EXTRA_KEYS) - {'self', 'cfg'}
    if first not in read and first not in cfg:
        raise ConfigError(f'--cfg-options {key}: no key {first!r} in the config.{did_you_mean(first, read | set(cfg))}')
    if first not in read and key not in _SHARED_KEYS:
        raise ConfigError(
            f'--cfg-options {key}: {first!r} is a variable inside the config file, it has done its work when the file '
            f'is read. Change the places where it is used (tools/print_config.py shows them) or inherit from the config'
        )
    node: Any = cfg.get(first)
    seen = first
    for position, name in enumerate(rest):
        last = position == len(rest) - 1
        if isinstance(node, (list, tuple)):
            if not (name.isdigit() and int(name) < len(node)):
                raise ConfigError(f'--cfg-options {key}: {seen} is a list with the indices 0 to {len(node) - 1}')
            node = node[int(name)]
        elif isinstance(node, dict) and (name in node or last):
            node = node.get(name)
        elif isinstance(node, dict):
            raise ConfigError(f'--cfg-options {key}: {seen} has no key {name!r}.{did_you_mean(name, node)}')
        elif node is not None or first in cfg:
            raise ConfigError(f'--cfg-options {key}: {seen} is {node!r}, which has no keys')
        seen = f'{seen}.{name}'
    if isinstance(node, (int, float)) and isinstance(value, str):
        kind = 'True or False' if isinstance(node, bool) else 'a number'
        raise ConfigError(f'--cfg-options {key}={value}: {kind} is expected, as in the config ({node})')


def build_model(cfg: Config) -> nn.Module:
    """Build the network of a config, weights as the modules' constructors leave them.

    Raises:
        ConfigError: A type or an argument is wrong.
    """
    from mmengine.registry import init_default_scope

    from mmseg_medical.registry import MODELS

    init_default_scope(cfg.get('default_scope', 'mmseg_medical'))
    with building('model'):
        return MODELS.build(cfg.model)
