"""Which configs a group names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.evaluation.natural_order import natural_key


@dataclass(frozen=True)
class Experiment:
    """A config and what it is called in the table.

    Attributes:
        name (str): unique in the group; the file's stem unless another one is given.
        config (Path): the file.
    """

    name: str
    config: Path


def read_group(words: Sequence[str]) -> list[Experiment]:
    """Find the configs that some words name, in their order, those of one word in natural order.

    Args:
        words (Sequence[str]): each a config file, ``NAME=FILE``, a folder of configs, the start of file names
            (``ablations/loss`` is ``ablations/loss_*.py``), a file name with ``*``, or a ``.txt`` file with such a word
            in each line.

    Returns:
        list[Experiment]: at least one.

    Raises:
        ConfigError: a word names nothing, or two configs have one name.
    """
    experiments: dict[str, Experiment] = {}
    for experiment in (found for word in words for found in _expand(word)):
        other = experiments.setdefault(experiment.name, experiment)
        if other.config.resolve() != experiment.config.resolve():
            raise ConfigError(
                f'two configs of the group are called {experiment.name!r}: {other.config} and {experiment.config}. '
                f'Give one of them another name: NAME={experiment.config}'
            )
    if not experiments:
        raise ConfigError(f'the group {" ".join(words)!r} names no config')
    return list(experiments.values())


def group_name(words: Sequence[str]) -> str:
    """Name of a group: that of the first word, of the folder above for one called ``ablations``.

    >>> group_name(['configs/hacdr/ablations']), group_name(['configs/hacdr/idrid.py', 'more.txt'])
    ('hacdr', 'idrid')
    """
    given, equals, _ = words[0].partition('=')
    path = Path(os.path.normpath(words[0]))
    name = given if equals and not path.exists() else path.parent.name if path.name == 'ablations' else path.stem
    return name.replace('*', '').strip('_.') or 'group'


def _expand(word: str) -> list[Experiment]:
    path = Path(word)
    if path.is_dir():
        files = _named(path.glob('*.py'))
        if not files:
            raise ConfigError(f'the folder {path} holds no config (*.py)')
        return files
    if path.suffix == '.txt':
        return _listed(path)
    if path.is_file():
        if path.suffix != '.py':
            raise ConfigError(f'{path} is no config: a .py file is expected, or a .txt file that lists some')
        return [Experiment(path.stem, path)]
    name, equals, file = word.partition('=')
    if equals:
        if not name or '/' in name or not Path(file).is_file():
            raise ConfigError(f'{word!r} is not of the form NAME=FILE with a config that exists')
        return [Experiment(name, Path(file))]
    pattern = path.name if '*' in path.name else f'{path.name}_*.py'
    found = _named(path.parent.glob(pattern))
    if not found:
        near = did_you_mean(path.stem, {stem for file in path.parent.glob('*.py') for stem in _starts(file.stem)})
        raise ConfigError(
            f'{word!r} is no config, no folder and no list of configs, and no file in {path.parent} is called '
            f'{pattern}.{near}'
        )
    return found


def _listed(path: Path) -> list[Experiment]:
    if not path.is_file():
        raise ConfigError(f'there is no list of configs {path}')
    lines = (line.partition('#')[0].strip() for line in path.read_text(encoding='utf-8').splitlines())
    words = [line for line in lines if line]
    nested = [word for word in words if word.endswith('.txt')]
    if nested:
        raise ConfigError(f'{path} names another list, {nested[0]}: write the configs themselves')
    return [experiment for word in words for experiment in _expand(word)]


def _named(files: Iterable[Path]) -> list[Experiment]:
    configs = (file for file in files if file.suffix == '.py' and not file.name.startswith(('_', '.')))
    return [Experiment(file.stem, file) for file in sorted(configs, key=lambda file: natural_key(str(file)))]


def _starts(stem: str) -> list[str]:
    """``loss_no_mining`` -> itself, ``loss``, ``loss_no``."""
    parts = stem.split('_')
    return ['_'.join(parts[: i + 1]) for i in range(len(parts))]
