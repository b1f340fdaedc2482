"""Connected parts of a segmentation that are too small to be true."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.evaluation.functional.components import (
    CONNECTIVITIES,
    Connectivity,
    box_of_all,
    connected_components,
)
from mmseg_medical.geometry import Volume

Label = int | str


@dataclass(frozen=True)
class ComponentFilter:
    """What a connected part of a structure must be to stay; the voxels of others become background.

    Attributes:
        min_volume_mm3 (float | Mapping): Smallest volume in mm^3 (mm^2 of two axes): of all structures, or by name or
            index.
        min_diameter_mm (float | Mapping): Smallest equivalent diameter in mm, likewise: that of the ball (of two axes,
            the disc) of the volume of the part. Where both are given, both must be reached.
        keep_largest (bool | Sequence): Whether only the largest part stays: of all structures, or of those named.
        connectivity (str): ``'full'`` (corners join) or ``'face'``.

    Raises:
        ConfigError: A value is none of these.
    """

    min_volume_mm3: float | Mapping[Label, float] = 0.0
    min_diameter_mm: float | Mapping[Label, float] = 0.0
    keep_largest: bool | Sequence[Label] = False
    connectivity: Connectivity = 'full'

    def __post_init__(self) -> None:
        for key in ('min_volume_mm3', 'min_diameter_mm'):
            given = getattr(self, key)
            numbers = list(given.values()) if isinstance(given, Mapping) else [given]
            if not all(isinstance(number, int | float) and 0 <= number < float('inf') for number in numbers):
                raise ConfigError(f'{key} of component_filter must be 0 or more and finite, found {given}')
        if isinstance(self.keep_largest, str) or self.connectivity not in CONNECTIVITIES:
            raise ConfigError(
                'component_filter takes keep_largest as True, False or a list of labels and connectivity as one of '
                f'{CONNECTIVITIES}, found {self.keep_largest!r} and {self.connectivity!r}'
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | ComponentFilter | None) -> ComponentFilter:
        """Make one of ``test_cfg.component_filter``.

        Raises:
            ConfigError: A key is unknown or a value wrong.
        """
        if isinstance(config, ComponentFilter):
            return config
        entries = dict(config or {})
        known = [field.name for field in fields(cls)]
        for key in entries:
            if key not in known:
                raise ConfigError(
                    f'component_filter has no key {key!r}; it has {", ".join(known)}.{did_you_mean(key, known)}'
                )
        return cls(**entries)

    def check(self, names: Sequence[str]) -> None:
        """Raise ConfigError if a label is named that the model does not have."""
        self._rules(names)

    def apply(self, labels: Volume, names: Sequence[str]) -> Volume:
        """Take out what must not stay.

        Args:
            labels (Volume): shape (*S), indices into ``names``; or masks (*S, K), with ``has_channels``.
            names (Sequence[str]): Of the labels, or of the masks.

        Returns:
            Volume: The same one if nothing is asked for, else a new one.

        Raises:
            ConfigError: A label is unknown.
            DataError: A volume in mm^3 is asked for of an image without spacing.
        """
        rules = self._rules(names, labels.rank)
        first = 0 if labels.has_channels else 1
        rules = {index: rule for index, rule in rules.items() if index >= first and rule != (0, False)}
        if not rules:
            return labels
        spacing = labels.spacing_mm
        if spacing is None and any(volume > 0 for volume, _ in rules.values()):
            raise data_error(
                labels.name,
                expected='an image with spacing, to know volumes in mm^3',
                found='a file without geometry',
                remedy='Leave min_volume_mm3 and min_diameter_mm out, or store the image in a format with geometry.',
            )
        array = labels.array.copy()
        for index, (volume, largest) in rules.items():
            plane = array[..., index] if labels.has_channels else array
            mask = plane > 0 if labels.has_channels else plane == index
            components = connected_components(mask, self.connectivity)
            stay = components.reach(volume, spacing if volume else None)
            if largest and len(stay):
                stay &= np.arange(len(stay)) == components.sizes.argmax()
            box = box_of_all(components)
            plane[box][~np.concatenate(([True], stay))[components.labels[box]]] = 0
        return Volume(array, labels.affine, labels.source, labels.has_channels)

    def _rules(self, names: Sequence[str], rank: int = 3) -> dict[int, tuple[float, bool]]:
        """Smallest volume, and whether only the largest part stays, of each label."""
        largest = self.keep_largest
        volumes, diameters = (_by_label(given, names) for given in (self.min_volume_mm3, self.min_diameter_mm))
        balls = [_ball(diameter, rank) for diameter in diameters]
        chosen = range(len(names)) if largest is True else [_index(k, names) for k in largest or ()]
        return {k: (max(volumes[k], balls[k]), k in chosen) for k in range(len(names))}


def _ball(diameter_mm: float, rank: int) -> float:
    """Volume of a ball, of two axes the area of a disc."""
    return math.pi / 6 * diameter_mm**3 if rank == 3 else math.pi / 4 * diameter_mm**2


def _by_label(given: float | Mapping[Label, float], names: Sequence[str]) -> list[float]:
    if not isinstance(given, Mapping):
        return [given] * len(names)
    least = {_index(k, names): value for k, value in given.items()}
    return [least.get(k, 0.0) for k in range(len(names))]


def _index(label: Label, names: Sequence[str]) -> int:
    if isinstance(label, str) and label in names:
        return list(names).index(label)
    text = str(label)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    listed = ', '.join(f'{k} {name}' for k, name in enumerate(names))
    raise ConfigError(
        f'component_filter names the label {label!r}, the model has {listed}.{did_you_mean(str(label), names)}'
    )
