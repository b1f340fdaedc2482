"""Configs as JSON, which runs no code when it is read, and the check that building them runs none either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import MODELS, TRANSFORMS, WEIGHT_INITIALIZERS

# Keys that say where things lie on the machine of the training, or how it was run there.
_PLACES = frozenset(
    {
        *('data_root', 'data_prefix', 'split_file', 'ann_file', 'cache_dir', 'store', 'store_dir', 'work_dir'),
        *('load_from', 'resume', 'launcher', 'vis_backends', 'visualizer', 'log_level', 'log_processor', 'env_cfg'),
    }
)
# Keys by which a config makes a class import modules, or read or download weights while it is built.
_RISKY = ('custom_imports', '_scope_', 'pretrained', 'checkpoint', 'checkpoint_path', 'load_from')
_BUILT = ('model', 'tta_model', 'predict_pipeline', 'test_pipeline', 'tta_pipeline', 'test_dataloader')
_REGISTRIES = (MODELS, TRANSFORMS, WEIGHT_INITIALIZERS)
# what dict(type=...) names in `norm` is looked up in a table, not in a registry (models/layers/conv_blocks.py)
_NORMS = ('instance', 'batch', 'group', 'layer')
_SCOPES = ('mmseg_medical', 'mmseg', 'mmengine', 'mmcv')


def portable(config: Any, key: str = '') -> Any:
    """Copy a config without places on this machine and without initial weights; other absolute paths become names."""
    if isinstance(config, Mapping):
        kept = {name: value for name, value in config.items() if name not in _PLACES and name != 'init_cfg'}
        return {name: portable(value, str(name)) for name, value in kept.items() if name != 'pretrained'}
    if isinstance(config, list | tuple):
        return type(config)(portable(value) for value in config)
    if isinstance(config, str) and PurePath(config).is_absolute():
        return PurePath(config).name
    return config


def encode(value: Any, place: str = '') -> Any:
    """Make what JSON holds of a config: tuples become ``{"tuple": [...]}``, other keys than texts ``{"items": [...]}``.

    Raises:
        ConfigError: It holds an object that is no plain value, such as a class.
    """
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and not {'tuple', 'items'} & set(value):
            return {key: encode(item, f'{place}.{key}') for key, item in value.items()}
        return {'items': [[encode(key, place), encode(item, f'{place}.{key}')] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {'tuple': [encode(item, place) for item in value]}
    if isinstance(value, list):
        return [encode(item, place) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f'{place.lstrip(".")} of the config is {value!r}, which JSON cannot hold; name registered types by their names'
    )


def decode(value: Any) -> Any:
    """Undo :func:`encode`."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {'tuple'}:
        return tuple(decode(item) for item in value['tuple'])
    if set(value) == {'items'}:
        return {decode(key): decode(item) for key, item in value['items']}
    return {key: decode(item) for key, item in value.items()}


def check_safe(config: Mapping[str, Any]) -> None:
    """Refuse a config whose building could run code that is not registered.

    A registry takes a type that it does not know for a dotted name and imports it, so ``type='os.system'`` would be
    called. Only names that are registered already pass, and no key that imports modules or reads weights.

    Raises:
        ConfigError: There is such a type or key; it says where.
    """
    if config.get('custom_imports'):
        raise ConfigError(_refusal('custom_imports', config['custom_imports']))
    if config.get('default_scope') not in (None, *_SCOPES):
        raise ConfigError(_refusal('default_scope', config['default_scope']))
    known = {name for registry in _REGISTRIES for name in _registered(registry)}
    for part in _BUILT:
        node = config.get(part)
        if part == 'test_dataloader':
            node = ((node or {}).get('dataset') or {}).get('pipeline')
        for place, entry in _dicts(node, part):
            for key in _RISKY:
                if entry.get(key):
                    raise ConfigError(_refusal(f'{place}.{key}', entry[key]))
            kind = entry.get('type')
            named_norm = place.endswith('.norm') and kind in _NORMS
            if kind is not None and not named_norm and not _is_known(kind, known):
                raise ConfigError(_refusal(f'{place}.type', kind))


def _refusal(place: str, value: Any) -> str:
    return (
        f'{place} of the model directory is {value!r}, which could run code or read other files when it is built. If '
        'you trust its origin: Predictor(..., trusted=True), tools/predict.py --trust'
    )


def _is_known(kind: Any, known: set[str]) -> bool:
    scope, _, name = str(kind).rpartition('.')
    return isinstance(kind, str) and scope in ('', *_SCOPES) and name in known


def _registered(registry: Any) -> Iterator[str]:
    while registry is not None:
        registry.import_from_location()
        yield from registry.module_dict
        registry = registry.parent


def _dicts(node: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        yield place, node
        for key, value in node.items():
            yield from _dicts(value, f'{place}.{key}')
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _dicts(value, f'{place}.{number}')
