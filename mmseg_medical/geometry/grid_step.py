"""What was done to a grid, so that it can be undone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from mmseg_medical.geometry.grid import Grid

Order = Literal['nearest', 'linear', 'cubic', 'label_linear']
#: first and behind the last voxel along each axis
Box = tuple[tuple[int, int], ...]
Fill = float | Sequence[float]


@dataclass(frozen=True)
class GridStep(ABC):
    """A change of the grid along its own axes: turned, resampled, cropped or padded.

    Attributes:
        source (Grid): Grid before.
        target (Grid): Grid after.
    """

    source: Grid
    target: Grid

    def __deepcopy__(self, memo: dict) -> GridStep:
        return self

    def apply(self, array: np.ndarray, order: Order = 'linear', fill: Fill = 0) -> np.ndarray:
        """Bring values from the source onto the target.

        Args:
            array (np.ndarray): shape (*lead, *source.size), any number of leading axes.
            order (str): How values between voxels are found, where they are needed: ``'nearest'``, ``'linear'``,
                ``'cubic'`` (Keys 1981), or ``'label_linear'``: linear for the indicator of each label, the largest
                wins, of equal ones the lower label.
            fill (float | Sequence[float]): What voxels outside the source get; a sequence has one value for each
                entry of the axis before the spatial ones.

        Returns:
            np.ndarray: shape (*lead, *target.size), C-contiguous. Same dtype; linear and cubic make floats of
            integers. It may be the array that was given where there is nothing to do.

        Raises:
            TypeError: Labels are wanted of floats, or the values are complex or no numbers.
            ValueError: The array does not lie on the source, or the order is unknown.
        """
        if order not in get_args(Order):
            raise ValueError(f'order must be one of {", ".join(get_args(Order))}, got {order!r}')
        rank = self.source.rank
        if array.ndim < rank or array.shape[array.ndim - rank :] != self.source.size:
            raise ValueError(
                f'{type(self).__name__}: expected an array whose last {rank} axes have the size {self.source.size}, '
                f'found shape {array.shape}'
            )
        if array.dtype.kind not in ('iub' if order == 'label_linear' else 'iubf'):
            wanted = 'integer labels' if order == 'label_linear' else 'real numbers'
            raise TypeError(f'{type(self).__name__}: expected {wanted}, found {array.dtype}')
        box = whole(self.target)
        return np.ascontiguousarray(self.apply_box(array[slices(self.needed(box, order))], box, order, fill))

    def invert(self, array: np.ndarray, order: Order = 'linear', fill: Fill = 0) -> np.ndarray:
        """Bring values from the target back onto the source; arguments and errors are those of :meth:`apply`."""
        return self.inverse().apply(array, order, fill)

    @abstractmethod
    def inverse(self) -> GridStep:
        """Return the step from ``target`` to ``source``."""

    @abstractmethod
    def needed(self, box: Box, order: Order) -> Box:
        """Return the part of the source that a part of the target is made of; it may be empty."""

    @abstractmethod
    def covered(self, box: Box) -> Box:
        """Return the part of the target whose centres lie in a part of the source."""

    @abstractmethod
    def apply_box(self, array: np.ndarray, box: Box, order: Order, fill: Fill = 0) -> np.ndarray:
        """Make a part of the target.

        Args:
            array (np.ndarray): shape (*lead, *B): the part of the source that :meth:`needed` says.
            box (Box): The part of the target.
            order (str): See :meth:`apply`.
            fill (float | Sequence[float]): See :meth:`apply`.

        Returns:
            np.ndarray: shape (*lead, *size of the box); may be a view of ``array``.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it, without loss."""
        entries: dict[str, Any] = {'type': type(self).__name__}
        for entry in fields(self):
            value = getattr(self, entry.name)
            entries[entry.name] = value.to_dict() if isinstance(value, Grid) else value
        return entries

    @staticmethod
    def from_dict(entries: dict[str, Any]) -> GridStep:
        """Make the step of :meth:`to_dict`, also after a way through JSON.

        Raises:
            ValueError: It is of no known type.
        """
        kinds = {kind.__name__: kind for kind in GridStep.__subclasses__()}
        values = dict(entries)
        name = values.pop('type', None)
        if name not in kinds:
            raise ValueError(f'expected a grid step of type {", ".join(sorted(kinds))}, found {name!r}')
        for key in ('source', 'target'):
            values[key] = Grid.from_dict(values[key])
        return kinds[name](**{key: _tuples(value) for key, value in values.items()})


def whole(grid: Grid) -> Box:
    """Return the box of all voxels."""
    return tuple((0, length) for length in grid.size)


def slices(box: Box) -> tuple[Any, ...]:
    """Index the last axes of an array by a box."""
    return (..., *(slice(start, stop) for start, stop in box))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
