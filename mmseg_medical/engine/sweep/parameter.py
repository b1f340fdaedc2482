"""One thing that a sweep varies."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg_medical.errors import ConfigError, did_you_mean

#: what a storage can hold
Label = str | int | float | bool | None
_FORMS = (
    'a list of values, dict(low=1e-5, high=1e-2, log=True), dict(low=1, high=8, step=1) or '
    "dict(choices={'name': {'config.key': value}})"
)
_KEYS = ('values', 'choices', 'low', 'high', 'step', 'log')


@dataclass(frozen=True)
class Values:
    """A parameter that takes one of some values.

    Attributes:
        name (str): of the parameter.
        labels (tuple[Label, ...]): a value, or a text for one that a storage cannot hold.
        values (tuple[Any, ...]): one a label.
        choices (bool): whether the values are changes of the config, dotted key -> value.
    """

    name: str
    labels: tuple[Label, ...]
    values: tuple[Any, ...]
    choices: bool = False

    def grid(self) -> tuple[Label, ...]:
        """All labels."""
        return self.labels

    samples = grid

    def suggest(self, trial: Any) -> Label:
        """Let a trial of Optuna choose."""
        return trial.suggest_categorical(self.name, self.labels)

    def value(self, label: Label) -> Any:
        """What a label stands for."""
        return self.values[self.labels.index(label)]


@dataclass(frozen=True)
class Range:
    """A parameter that takes a number in a range, bounds included.

    Attributes:
        name (str): of the parameter.
        low (float): the least.
        high (float): the greatest.
        step (float | None): between values; None: any number, of whole numbers each.
        log (bool): whether the logarithm is drawn evenly.
    """

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers alone."""
        return all(isinstance(bound, int) for bound in (self.low, self.high, self.step or 1))

    def grid(self) -> tuple[Label, ...]:
        """All values, from the least.

        Raises:
            ConfigError: there is no end of them.
        """
        step = self.step or (1 if self.whole else None)
        if step is None:
            raise ConfigError(
                f'{self.name}: a grid takes finitely many values, but there is no step between {self.low} and '
                f'{self.high}: give a step or a list of values, or take --sampler random or tpe'
            )
        # as many as fit, for all that 0.1 is not a tenth
        count = math.floor((self.high - self.low) / step * (1 + 1e-12) + 1e-12) + 1
        return tuple(self.low + i * step if self.whole else float(f'{self.low + i * step:.12g}') for i in range(count))

    def samples(self) -> tuple[Label, ...]:
        """Both ends."""
        return self.low, self.high

    def suggest(self, trial: Any) -> Label:
        """Let a trial of Optuna choose."""
        if self.whole:
            return trial.suggest_int(self.name, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def value(self, label: Label) -> Any:
        """The number itself."""
        return label


Parameter = Values | Range


def parse_parameter(name: str, spec: Any) -> Parameter:
    """Read the entry of a parameter in a space.

    Args:
        name (str): of the parameter.
        spec (Any): a list of values, ``dict(values=[...])``, ``dict(low=, high=, step=, log=)`` or
            ``dict(choices={label: {config key: value}})``.

    Raises:
        ConfigError: it is none of these, or its range or list is empty.
    """
    if isinstance(spec, (list, tuple)):
        return _values(name, spec)
    if not isinstance(spec, Mapping):
        raise ConfigError(f'{name}: {spec!r} is no range of values; expected is {_FORMS}')
    for key in spec:
        if key not in _KEYS:
            raise ConfigError(f'{name}: unknown entry {key!r}.{did_you_mean(str(key), _KEYS)} Expected is {_FORMS}')
    kinds = [kind for kind in ('values', 'choices') if kind in spec]
    if len(spec) == 1 and kinds == ['values']:
        return _values(name, spec['values'])
    if len(spec) == 1 and kinds == ['choices']:
        return _choices(name, spec['choices'])
    if kinds or not {'low', 'high'} <= set(spec):
        raise ConfigError(f'{name}: {dict(spec)!r} is no range of values; expected is {_FORMS}')
    return _range(name, **{key: _plain(value) for key, value in spec.items()})


def _values(name: str, values: Any) -> Values:
    if not isinstance(values, (list, tuple)) or not values:
        raise ConfigError(f'{name}: expected a list with at least one value, found {values!r}')
    values = tuple(_plain(value) for value in values)
    labels = tuple(value if isinstance(value, Label) else repr(value) for value in values)
    _check_unique(name, labels)
    return Values(name, labels, values)


def _choices(name: str, choices: Any) -> Values:
    if not isinstance(choices, Mapping) or not all(isinstance(changes, Mapping) for changes in choices.values()):
        raise ConfigError(f'{name}: choices map a name to changes of the config, found {choices!r}')
    if not choices or not all(isinstance(label, Label) for label in choices):
        raise ConfigError(f'{name}: choices have names that are texts or numbers, at least one, found {list(choices)}')
    return Values(name, tuple(choices), tuple(dict(changes) for changes in choices.values()), choices=True)


def _check_unique(name: str, labels: Sequence[Label]) -> None:
    for i, label in enumerate(labels):
        if label in labels[:i]:  # True is 1
            raise ConfigError(f'{name}: {label!r} is given twice')


def _range(name: str, low: Any, high: Any, step: Any = None, log: Any = False) -> Range:
    numbers = {'low': low, 'high': high, **({} if step is None else {'step': step})}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ConfigError(f'{name}: {key} must be a number, found {value!r}')
    if low >= high:
        raise ConfigError(f'{name}: low {low} must be below high {high}')
    if not isinstance(log, bool):
        raise ConfigError(f'{name}: log must be True or False, found {log!r}')
    if log and low <= 0:
        raise ConfigError(f'{name}: a range with log=True begins above 0, found low {low}')
    if log and step is not None:
        raise ConfigError(f'{name}: a range has a step or log=True, not both')
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(f'{name}: step {step} must be above 0 and at most high - low = {high - low:.12g}')
    return Range(name, low, high, step, log)


def _plain(value: Any) -> Any:
    """YAML reads 1e-5 as a text, since its numbers have a point."""
    if isinstance(value, str) and re.fullmatch(r'[-+]?\d+(\.\d*)?[eE][-+]?\d+', value):
        return float(value)
    return value
