"""Whether a config has what a sweep wants to change, asked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmseg_medical.configs import load_config
from mmseg_medical.engine.sweep.space import Labels, Space
from mmseg_medical.errors import ConfigError, did_you_mean

# as many as take a few seconds
_MOST_CHECKED = 100


def config_options(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of a space as ``--cfg-options``."""
    return {key.removeprefix('+'): value for key, value in changes.items()}


def check_space(space: Space, cfg: Config, cfg_options: Mapping[str, Any], combinations: Sequence[Labels]) -> None:
    """Refuse a space that changes what a config does not have.

    Args:
        space (Space): the space.
        cfg (Config): the whole experiment, ``cfg_options`` in it.
        cfg_options (Mapping): what the command line changes for all trials.
        combinations (Sequence[Labels]): a grid, or examples.

    Raises:
        ConfigError: a key does not exist, is set by the command line, too, or a value is of the wrong kind.
    """
    known = set(_places(cfg.to_dict()))
    seen: set[str] = set()
    for number, labels in enumerate(combinations):
        changes = space.changes(labels)
        for key in changes:
            if key not in seen:
                _check_key(space, key, cfg, known, cfg_options)
        if number < _MOST_CHECKED or not seen.issuperset(changes):
            try:
                load_config(cfg, config_options(changes))
            except ConfigError as error:
                text = str(error).removeprefix('--cfg-options ')
                raise ConfigError(f'{space.path}, {space.title(labels)}: {text}') from error
        seen |= set(changes)


def _check_key(space: Space, key: str, cfg: Config, known: set[str], cfg_options: Mapping[str, Any]) -> None:
    new, name = key.startswith('+'), key.removeprefix('+')
    if name in cfg_options:
        raise ConfigError(f'{space.path} varies {name}, which --cfg-options sets, too: leave one of them out')
    if new and name in known:
        raise ConfigError(f'{space.path}: the config has a key {name}, leave out the + in front of it')
    if not new and name not in known:
        near = did_you_mean(name, known, cutoff=0.85) or did_you_mean(name, known)
        remedy = ''
        if '.' not in name:
            remedy = ' A parameter that is no key of the config must be an argument of options() in a .py file.'
        elif name.rpartition('.')[0] in known:
            remedy = f' For one that is to be added, write +{name}.'
        raise ConfigError(f'{space.path}: the config has no key {name}.{near}{remedy}')


def _places(node: Any, place: str = '') -> Iterator[str]:
    """Dotted keys of all that a config holds, of dicts and lists, too."""
    if place:
        yield place
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        yield from _places(value, f'{place}.{key}' if place else str(key))
