"""What a sweep varies, read from a file."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import runpy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_medical.engine.sweep.parameter import Label, Parameter, parse_parameter
from mmseg_medical.errors import ConfigError, did_you_mean

#: of one trial
Labels = Mapping[str, Label]
_FUNCTIONS = ('options', 'allowed', 'title')
_MOST_COMBINATIONS = 1_000_000


@dataclass(frozen=True)
class Space:
    """Parameters, and what they change in a config.

    Attributes:
        path (Path): the file.
        parameters (dict[str, Parameter]): at least one.
        functions (dict[str, Callable]): of ``options``, ``allowed`` and ``title`` those that the file has.
        arguments (dict[str, tuple[str, ...]]): function -> parameters that it takes.
    """

    path: Path
    parameters: dict[str, Parameter]
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def changes(self, labels: Labels) -> dict[str, Any]:
        """What a trial changes in the config: dotted key -> value.

        A key with ``+`` in front is one that the config does not have.

        Raises:
            ConfigError: two parameters change one key, or a function of the file fails.
        """
        changes: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for source, own in self._own_changes(labels):
            for key, value in own.items():
                if key in changes:
                    raise ConfigError(f'{self.path}: both {sources[key]} and {source} set {key}')
                changes[key], sources[key] = value, source
        return changes

    def _own_changes(self, labels: Labels) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, parameter in self.parameters.items():
            value = parameter.value(labels[name])
            if getattr(parameter, 'choices', False):
                yield f'the choices of {name}', value
            elif name not in self.arguments.get('options', ()):
                yield f'the parameter {name}', {name: value}
        if 'options' in self.functions:
            changes = self._call('options', labels)
            if not isinstance(changes, Mapping) or not all(isinstance(key, str) for key in changes):
                raise ConfigError(f'{self.path}: options() must return a dict of dotted keys, found {changes!r}')
            yield 'options()', dict(changes)

    def is_allowed(self, labels: Labels) -> bool:
        """Whether the file's ``allowed`` lets these values pass."""
        return 'allowed' not in self.functions or bool(self._call('allowed', labels))

    def title(self, labels: Labels) -> str:
        """Name of a trial: that of the file's ``title``, or the values behind the ends of their keys."""
        if 'title' in self.functions:
            return str(self._call('title', labels))
        ends = [name.rpartition('.')[2] for name in self.parameters]
        names = [end if ends.count(end) == 1 else name for end, name in zip(ends, self.parameters, strict=True)]
        return ' '.join(f'{name}={_short(labels[key])}' for name, key in zip(names, self.parameters, strict=True))

    def grid(self) -> list[dict[str, Label]]:
        """All allowed combinations that differ in what they change, the last parameter fastest.

        Raises:
            ConfigError: a parameter has no end of values, there are too many combinations, or none is allowed.
        """
        axes = [parameter.grid() for parameter in self.parameters.values()]
        number = math.prod(map(len, axes))
        if number > _MOST_COMBINATIONS:
            raise ConfigError(f'{self.path}: a grid of {number:,} combinations; take --sampler random or tpe')
        found: dict[str, dict[str, Label]] = {}
        for values in itertools.product(*axes):
            labels = dict(zip(self.parameters, values, strict=True))
            if self.is_allowed(labels):
                found.setdefault(key_of(self.changes(labels)), labels)
        if not found:
            raise ConfigError(f'{self.path}: allowed() lets none of the {number} combinations pass')
        return list(found.values())

    def examples(self) -> list[dict[str, Label]]:
        """Combinations that hold every value, or both ends of a range, at least once; not all may be allowed."""
        axes = {name: parameter.samples() for name, parameter in self.parameters.items()}
        return [
            {name: values[i] if i < len(values) else values[-1] for name, values in axes.items()}
            for i in range(max(map(len, axes.values())))
        ]

    def description(self) -> dict[str, str]:
        """Parameters as text, to tell whether two sweeps have the same."""
        return {name: repr(parameter) for name, parameter in self.parameters.items()}

    def _call(self, function: str, labels: Labels) -> Any:
        values = {name: self.parameters[name].value(labels[name]) for name in self.arguments[function]}
        try:
            return self.functions[function](**values)
        except Exception as error:
            raise ConfigError(
                f'{self.path}: {function}({", ".join(f"{k}={v!r}" for k, v in values.items())}) fails: '
                f'{type(error).__name__}: {error}'
            ) from error


def read_space(path: str | Path) -> Space:
    """Read a space.

    Args:
        path (str | Path): a ``.py`` file with a dict ``parameters`` (see
            :func:`~mmseg_medical.engine.sweep.parameter.parse_parameter`) and, where wanted, three functions whose
            arguments are parameters: ``options`` returns changes of the config in place of these parameters,
            ``allowed`` says whether values go together, ``title`` names a trial. Or a ``.yaml`` file with
            ``parameters``. As in configs, ``_base_`` names a space beside it, whose parameters and functions hold where
            the file has none of their name.

    Raises:
        ConfigError: the file is missing or damaged, the space is empty, or an entry is wrong.
    """
    path = Path(path)
    if not path.is_file():
        near = did_you_mean(path.name, [file.name for file in path.parent.glob('*') if file.is_file()])
        raise ConfigError(f'--space {path}: there is no such file.{near}')
    content = _read(path)
    specs = content.get('parameters')
    if not isinstance(specs, Mapping):
        raise ConfigError(f"{path}: expected a dict 'parameters', found {type(specs).__name__}")
    if not specs:
        raise ConfigError(f'{path}: the space is empty, it has no parameters')
    parameters = {}
    for name, spec in specs.items():
        try:
            parameters[str(name)] = parse_parameter(str(name), spec)
        except ConfigError as error:
            raise ConfigError(f'{path}: {error}') from error
    functions = {name: content[name] for name in _FUNCTIONS if callable(content.get(name))}
    arguments = {name: _arguments(path, name, function, parameters) for name, function in functions.items()}
    return Space(path, parameters, functions, arguments)


def key_of(values: Mapping[str, Any]) -> str:
    """Text that is the same for equal values, whatever their order."""
    return json.dumps(values, sort_keys=True, default=repr)


def _read(path: Path, inherit: tuple[Path, ...] = ()) -> Mapping[str, Any]:
    """Content of a file, which others ``inherit``, and of what it inherits from."""
    content = _content(path)
    base = content.get('_base_')
    if base is None:
        return content
    inherit = (*inherit, path.resolve())
    if not isinstance(base, str) or (path.parent / base).resolve() in inherit:
        raise ConfigError(f'--space {path}: _base_ must name another file, found {base!r}')
    below = _read(path.parent / base, inherit)
    merged = {**below, **content}
    if all(isinstance(one.get('parameters'), Mapping) for one in (below, content)):
        merged['parameters'] = {**below['parameters'], **content['parameters']}
    return merged


def _content(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == '.py':
            return runpy.run_path(str(path))
        if path.suffix not in ('.yaml', '.yml'):
            raise ConfigError(f'--space {path}: a .py or .yaml file is expected')
        import yaml

        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f'--space {path} cannot be read: {type(error).__name__}: {error}') from error
    if content is not None and not isinstance(content, Mapping):
        raise ConfigError(f"--space {path}: expected a mapping with 'parameters', found {type(content).__name__}")
    return content or {}


def _arguments(
    path: Path, name: str, function: Callable[..., Any], parameters: Mapping[str, Parameter]
) -> tuple[str, ...]:
    found = []
    for argument in inspect.signature(function).parameters.values():
        if argument.kind is argument.VAR_KEYWORD:
            return tuple(parameters)
        if argument.name not in parameters:
            raise ConfigError(
                f'{path}: {name}() takes {argument.name!r}, which is no parameter.'
                f'{did_you_mean(argument.name, parameters)} The parameters are {", ".join(parameters)}'
            )
        found.append(argument.name)
    return tuple(found)


def _short(value: Label) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
