"""Connected components of a mask, numbered in the order of their first pixels."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, checked_spacing

Connectivity = Literal['full', 'face']
CONNECTIVITIES = ('full', 'face')

# Products of spacings are rounded: a component of exactly the smallest volume must not fail by the last bit.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Components:
    """Numbered parts of a grid.

    Attributes:
        labels (np.ndarray): shape (*S), int32; 0 is background, components are 1 to N.
        sizes (np.ndarray): shape (N,), int64, pixels of each component.
        boxes (np.ndarray): shape (N, len(S), 2), int64, first index of each component and the one after its last, along
            each axis.
    """

    labels: np.ndarray = field(repr=False)
    sizes: np.ndarray
    boxes: np.ndarray = field(repr=False)

    @property
    def num(self) -> int:
        """Number N of components."""
        return len(self.sizes)

    def volumes_mm3(self, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
        """Volume of each component.

        Args:
            spacing_mm (Sequence[float] | None): distance between neighbours along each axis; None counts pixels.

        Returns:
            np.ndarray: shape (N,), float64, mm^3 (mm^2 for two axes, pixels without spacing).

        Raises:
            ValueError: the spacing is not positive or of the wrong length.
        """
        return self.sizes * math.prod(checked_spacing(spacing_mm, self.labels.ndim))

    def reach(self, min_volume_mm3: float, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
        """Tell which components have at least a volume.

        Args:
            min_volume_mm3 (float): 0 or more, in the unit of :meth:`volumes_mm3`.
            spacing_mm (Sequence[float] | None): see there.

        Returns:
            np.ndarray: shape (N,), bool.

        Raises:
            ValueError: the volume is negative or not finite, or the spacing is wrong.
        """
        if not (min_volume_mm3 >= 0 and math.isfinite(min_volume_mm3)):
            raise ValueError(f'min_volume_mm3 must be 0 or more and finite, got {min_volume_mm3}')
        return self.volumes_mm3(spacing_mm) >= min_volume_mm3 * (1 - _ROUNDING)


def connected_components(mask: ArrayLike, connectivity: Connectivity = 'full') -> Components:
    """Split a mask into its connected components.

    After one look for the mask's bounding box, all work is done inside it. ``connected-components-3d`` labels two and
    three axes if it is installed, else SciPy does; the result is the same.

    Args:
        mask (np.ndarray | Tensor): shape (*S), one axis or more; bool, or the values 0 and 1. A tensor of a GPU is
            copied to the host.
        connectivity (str): ``'full'`` joins pixels that share a face, an edge or a corner (8 neighbours for two axes,
            26 for three); ``'face'`` those that share a face (4 and 6).

    Returns:
        Components: numbered by their first pixels in array order, so that the numbering depends on the mask alone.

    Raises:
        TypeError: the mask is complex.
        ValueError: the mask has no axis or other values than 0 and 1, or there is no such connectivity.

    Example:
        >>> connected_components(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])).sizes.tolist()
        [2, 1]
    """
    if connectivity not in CONNECTIVITIES:
        raise ValueError(f'connectivity must be one of {", ".join(CONNECTIVITIES)}, got {connectivity!r}')
    inside = as_mask(mask, 'mask')
    box = bounding_box(inside)
    label = _label_with_cc3d if inside.ndim in (2, 3) and _has_cc3d() else _label_with_scipy
    return _placed(_in_order(label(np.ascontiguousarray(inside[box]), connectivity)), box, inside.shape)


def numbered(instances: ArrayLike, name: str = 'instances') -> tuple[Components, np.ndarray]:
    """Number the instances of a map without gaps, by their ids.

    Args:
        instances (np.ndarray | Tensor): shape (*S), one axis or more, integers; 0 is background, every other number an
            instance, connected or not.
        name (str): what messages call it.

    Returns:
        tuple[Components, np.ndarray]: the instances; shape (N,), int64, their ids, ascending.

    Raises:
        TypeError: the map is complex.
        ValueError: the map has no axis, or a number is negative or no integer.

    Example:
        >>> numbered(np.array([7, 0, 3, 7]))[0].labels
        array([2, 0, 1, 2], dtype=int32)
    """
    ids = as_labels(instances, name).cpu().numpy()
    _check_axes(ids, name)
    if ids.size and ids.min() < 0:
        raise ValueError(f'{name} must hold ids of instances, 0 or more, got {ids.min()}')
    box = bounding_box(ids > 0)
    cropped = ids[box].astype(np.int64)
    filled = cropped > 0
    found, numbers = np.unique(cropped[filled], return_inverse=True)
    cropped[filled] = numbers + 1
    return _placed(cropped.astype(np.int32), box, ids.shape), found


def remove_small(
    components: Components, min_volume_mm3: float, spacing_mm: Sequence[float] | None = None
) -> Components:
    """Leave out the components below a volume and number the others anew, in their order.

    Args:
        components (Components): numbered parts.
        min_volume_mm3 (float): smallest volume that stays: mm^3 for three axes, mm^2 for two, a number of pixels
            without spacing.
        spacing_mm (Sequence[float] | None): distance between neighbours along each axis of the array, in its order.

    Returns:
        Components: with labels of its own; the argument stays as it is.

    Raises:
        ValueError: the volume is negative or not finite, or the spacing is not positive or of the wrong length.

    Example:
        >>> remove_small(connected_components(np.array([1, 0, 1, 1])), min_volume_mm3=2).labels
        array([0, 0, 1, 1], dtype=int32)
    """
    stay = components.reach(min_volume_mm3, spacing_mm)
    numbers = np.concatenate(([0], np.where(stay, np.cumsum(stay), 0))).astype(np.int32)
    labels = np.zeros_like(components.labels)
    box = box_of_all(components)
    labels[box] = numbers[components.labels[box]]
    return Components(labels, components.sizes[stay], components.boxes[stay])


def component_overlaps(first: Components, second: Components) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels that components of two sets share.

    Args:
        first (Components): labels of shape (*S).
        second (Components): labels of the same shape.

    Returns:
        tuple[np.ndarray, np.ndarray]: shape (P, 2), int64, numbers of the overlapping components, sorted; shape (P,),
        int64, their common pixels.
    """
    box = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(box_of_all(first), box_of_all(second), strict=True)
    )
    one, other = first.labels[box], second.labels[box]
    both = (one > 0) & (other > 0)
    keys = one[both].astype(np.int64) * (second.num + 1) + other[both]
    # sorting runs of equal pairs instead of pixels makes the cost that of the surface
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    lengths = np.diff(starts, append=keys.size)
    found, place = np.unique(keys[starts], return_inverse=True)
    shared = np.zeros(found.size, np.int64)
    np.add.at(shared, place, lengths)
    return np.stack(np.divmod(found, second.num + 1), axis=1), shared


def as_mask(array: ArrayLike, name: str) -> np.ndarray:
    """Read a binary mask onto the host.

    Args:
        array (np.ndarray | Tensor): shape (*S), one axis or more; bool, or the values 0 and 1.
        name (str): what messages call it.

    Returns:
        np.ndarray: shape (*S), bool.

    Raises:
        TypeError: it is complex.
        ValueError: it has no axis or other values.
    """
    labels = as_labels(array, name)
    _check_axes(labels, name)
    if labels.numel():
        low, high = (int(v) for v in labels.aminmax())
        if low < 0 or high > 1:
            raise ValueError(
                f'{name} must hold 0 and 1 only, got values in {low}..{high}; select a class first, as in labels == 1'
            )
    return labels.cpu().numpy().astype(bool)


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Smallest box around the pixels of a mask; of length 0 along each axis if there are none.

    Args:
        mask (np.ndarray): shape (*S), bool.
    """
    box: list[slice] = []
    for axis in range(mask.ndim):
        # what earlier axes have cut off is not looked at again
        rest = mask[tuple(box)]
        filled = np.flatnonzero(rest.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not filled.size:
            return (slice(0, 0),) * mask.ndim
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def box_of_all(components: Components) -> tuple[slice, ...]:
    """Smallest box around all components; of length 0 along each axis if there are none."""
    if not components.num:
        return (slice(0, 0),) * components.labels.ndim
    starts, stops = components.boxes[..., 0].min(axis=0), components.boxes[..., 1].max(axis=0)
    return tuple(slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True))


def _check_axes(array: ArrayLike, name: str) -> None:
    if array.ndim == 0:
        raise ValueError(f'{name} must have one axis or more, got a single number')


def _placed(cropped: np.ndarray, box: tuple[slice, ...], shape: tuple[int, ...]) -> Components:
    """Put numbered parts of a box into the grid and measure them."""
    labels = np.zeros(shape, np.int32)
    labels[box] = cropped
    sizes = np.bincount(cropped[cropped > 0])[1:]
    start = np.array([s.start for s in box])
    places = ndimage.find_objects(cropped) if cropped.size else []
    boxes = [[(s.start, s.stop) for s in place] for place in places]
    return Components(labels, sizes, np.array(boxes, np.int64).reshape(-1, len(shape), 2) + start[:, None])


def _has_cc3d() -> bool:
    return importlib.util.find_spec('cc3d') is not None


def _label_with_scipy(mask: np.ndarray, connectivity: Connectivity) -> np.ndarray:
    structure = ndimage.generate_binary_structure(mask.ndim, mask.ndim if connectivity == 'full' else 1)
    labels = np.empty(mask.shape, np.int32)
    ndimage.label(mask, structure, output=labels)
    return labels


def _label_with_cc3d(mask: np.ndarray, connectivity: Connectivity) -> np.ndarray:
    cc3d: Any = importlib.import_module('cc3d')
    neighbours = {(2, 'face'): 4, (2, 'full'): 8, (3, 'face'): 6, (3, 'full'): 26}[mask.ndim, connectivity]
    # 4.1.1 mislabels or refuses bool masks with axes of length 1 if corners join; its path for integers does not
    return cc3d.connected_components(mask.view(np.uint8), connectivity=neighbours).astype(np.int32)


def _in_order(labels: np.ndarray) -> np.ndarray:
    """Number components by their first pixels in array order."""
    filled = np.flatnonzero(labels)
    values = labels.ravel()[filled]
    first = np.zeros(values.max(initial=0), np.int64)
    first[values[::-1] - 1] = filled[::-1]  # of several assignments to one place the last one stays
    order = np.argsort(first)
    numbers = np.zeros(first.size + 1, np.int32)
    numbers[1 + order] = np.arange(1, first.size + 1)
    return numbers[labels]
