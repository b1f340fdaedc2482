"""Distances between the surfaces of prediction and target, for all classes in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from mmseg_medical.evaluation.functional.arrays import (
    ArrayLike,
    as_labels,
    check_range,
    check_same_shape,
    checked_spacing,
)
from mmseg_medical.evaluation.functional.empty import STATES, states_of
from mmseg_medical.evaluation.functional.surface.nearest import nearest_distances
from mmseg_medical.evaluation.functional.surface.sites import SURFACES, Sites, Surface, list_sites
from mmseg_medical.ops import threads

# Below this many pixels, waking a second thread costs more than it brings.
_PIXELS_OF_ONE_THREAD = 1 << 16


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between the surfaces of one class; every surface metric is a reduction of them.

    Attributes:
        state (str): ``'valid'``, ``'missed'``, ``'false_alarm'`` or ``'empty'``; without ``'valid'`` there are no
            distances.
        pred_to_target_mm (np.ndarray): shape (P,), float64, from each element of the predicted surface to the nearest
            one of the target's surface.
        target_to_pred_mm (np.ndarray): shape (T,), float64, the other way round.
        pred_areas (np.ndarray | None): shape (P,), float64, area in mm^2 of each element (length in mm for images of
            two axes); None for voxels, which all count the same.
        target_areas (np.ndarray | None): shape (T,), likewise.
        diagonal_mm (float): diagonal of the grid, the worst value that a distance can have.
    """

    state: str
    pred_to_target_mm: np.ndarray = field(repr=False)
    target_to_pred_mm: np.ndarray = field(repr=False)
    pred_areas: np.ndarray | None = field(repr=False)
    target_areas: np.ndarray | None = field(repr=False)
    diagonal_mm: float


def surface_distances(
    pred: ArrayLike,
    target: ArrayLike,
    num_classes: int | None = None,
    *,
    spacing_mm: Sequence[float] | None = None,
    surface: Surface = 'voxel',
    multilabel: bool = False,
    ignore_index: int | None = 255,
    num_threads: int | None = None,
) -> dict[int, SurfaceDistances]:
    """Measure the distances between predicted and true surfaces.

    Two definitions of a surface:

    - ``'voxel'``: the voxels of the class with a face neighbour (edge neighbour for two axes) outside it, each counting
      1, as MONAI's metrics have it;
    - ``'surfel'``: the cells between voxel centres with the class at some corners, each counting the area of the
      surface that runs through it, as the surface-distance library of DeepMind (Nikolov et al. 2018,
      arXiv:1809.04430) has it.

    What lies outside the grid is background, so that a mask that touches the border has a surface there. Ignored
    pixels are background in both masks. The distances are exact, computed in float64 from whole numbers of voxels.

    Args:
        pred (np.ndarray | Tensor): a label map of shape (H, W) or (D, H, W), or with ``multilabel`` masks of shape
            (C, H, W) or (C, D, H, W); integers, bool, or floats that hold integers. Tensors of a GPU are copied to the
            host, where the work is done.
        target (np.ndarray | Tensor): same shape.
        num_classes (int | None): number K of classes of label maps, the background 0 among them.
        spacing_mm (Sequence[float] | None): distance between neighbours along each axis of the image, in array order;
            None is 1, which makes all distances pixels.
        surface (str): ``'voxel'`` or ``'surfel'``.
        multilabel (bool): the first axis runs over classes, and classes may overlap.
        ignore_index (int | None): target value of pixels that are left out; None leaves out none.
        num_threads (int | None): threads to use; None takes as many as torch does.

    Returns:
        dict[int, SurfaceDistances]: of the classes 1 to K - 1 of label maps, of 0 to C - 1 of masks.

    Raises:
        TypeError: a map is complex.
        ValueError: shapes differ or have another number of axes, labels lie outside the range or are no integers, the
            spacing is not positive or of the wrong length, ``num_classes`` is missing or contradicts the masks.

    Example:
        >>> pred, target = np.zeros((2, 4, 4, 6), np.uint8)
        >>> pred[1, 1, 1] = target[1, 1, 3] = 1
        >>> surface_distances(pred, target, num_classes=2, spacing_mm=(3, 1, 1))[1].pred_to_target_mm
        array([2.])
    """
    check_same_shape(pred, target)
    axes = len(pred.shape) - multilabel
    if axes not in (2, 3):
        kind = 'masks (C, H, W) or (C, D, H, W)' if multilabel else 'label maps (H, W) or (D, H, W)'
        raise ValueError(f'surfaces are measured of {kind}, got the shape {tuple(pred.shape)}')
    spacing = checked_spacing(spacing_mm, axes)
    if surface not in SURFACES:
        raise ValueError(f'surface must be one of {", ".join(SURFACES)}, got {surface!r}')
    if multilabel:
        if num_classes not in (None, pred.shape[0]):
            raise ValueError(f'num_classes is {num_classes}, but there are {pred.shape[0]} masks')
        pairs = [(pred[c], target[c], 2) for c in range(pred.shape[0])]
    elif num_classes is None or num_classes < 1:
        raise ValueError(f'num_classes of label maps must be at least 1, got {num_classes}')
    else:
        pairs = [(pred, target, num_classes)]
    if num_threads is None:
        num_threads = torch.get_num_threads()
    if math.prod(pred.shape) <= _PIXELS_OF_ONE_THREAD:
        num_threads = 1
    maps = [labels for pair in pairs for labels in _host_labels(*pair, ignore_index)]
    number = 2 if multilabel else pairs[0][2]
    listed = threads.run_all([partial(list_sites, m, number, surface, spacing) for m in maps], num_threads)
    sites = [pair for a, b in zip(listed[::2], listed[1::2], strict=True) for pair in zip(a, b, strict=True)]
    diagonal = math.hypot(*(n * s for n, s in zip(maps[0].shape, spacing, strict=True))) if maps else 0.0
    first_class = 0 if multilabel else 1
    return dict(enumerate(_measure(sites, spacing, diagonal, num_threads), start=first_class))


def _measure(
    pairs: list[tuple[Sites, Sites]], spacing: tuple[float, ...], diagonal_mm: float, num_threads: int
) -> list[SurfaceDistances]:
    states = [STATES[int(states_of(a.indices.shape[1], b.indices.shape[1]))] for a, b in pairs]
    valid = [(a.indices, b.indices) for (a, b), state in zip(pairs, states, strict=True) if state == 'valid']
    measured = iter(nearest_distances(valid, spacing, num_threads))
    nothing = (np.empty(0), np.empty(0))
    result = []
    for (a, b), state in zip(pairs, states, strict=True):
        there, back = next(measured) if state == 'valid' else nothing
        result.append(SurfaceDistances(state, there, back, a.areas, b.areas, diagonal_mm))
    return result


def _host_labels(
    pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both maps as the kernels take them: on the host, in array order, of the smallest type, ignored pixels 0.

    NumPy does it all: the idle threads of torch's operators would keep a core busy while the kernels want it.
    """
    maps = [as_labels(labels, name).cpu().numpy() for labels, name in ((pred, 'pred'), (target, 'target'))]
    # Without labels out of range, none can be the ignored one, unless that is a class itself.
    if ignore_index is not None and (0 <= ignore_index < num_classes or _outside(maps[1], num_classes)):
        kept = maps[1] != ignore_index
        maps = [labels * kept for labels in maps]
    for labels, name in zip(maps, ('pred', 'target'), strict=True):
        if _outside(labels, num_classes):
            check_range(as_labels(labels, name), num_classes, name, ignore_index)
    small = np.uint8 if num_classes <= 256 else np.int32
    first, second = (np.ascontiguousarray(labels, small) for labels in maps)
    return first, second


def _outside(labels: np.ndarray, num_classes: int) -> bool:
    if not labels.size:
        return False
    return bool(labels.max() >= num_classes or (labels.dtype.kind == 'i' and labels.min() < 0))
