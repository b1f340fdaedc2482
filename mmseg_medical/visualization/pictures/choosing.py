"""Which slices are drawn: those with foreground, drawn by a seed or spread over the structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_medical.visualization.pictures.case import PictureCase, no_foreground
from mmseg_medical.visualization.pictures.sources import CaseSource
from mmseg_medical.visualization.slices import densest_slice

#: names of the planes across the axes R, A and S
PLANES = ('sagittal', 'coronal', 'axial')


@dataclass(frozen=True, eq=False)
class Choice:
    """A slice of a case; of a photograph the whole, ``index`` None."""

    case: PictureCase
    index: int | None

    def name(self, axis: int) -> str:
        """Case and slice."""
        if self.index is None:
            return self.case.case_id
        return f'{self.case.case_id} · {plane_name(self.case, axis)} {self.index}'


def plane_name(case: PictureCase, axis: int) -> str:
    """Return the name of the plane across an axis; without an affine nobody knows it."""
    return PLANES[axis] if case.image.affine is not None else f'axis {axis}, slice'


def foreground_slices(mask: np.ndarray, axis: int) -> np.ndarray:
    """Return the rising indices along ``axis`` at which a mask (I, J, K) has a voxel."""
    return np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))


def spread_slices(mask: np.ndarray, axis: int, count: int) -> list[int]:
    """Choose slices that stand for equal shares of a structure.

    Args:
        mask (np.ndarray): shape (I, J, K), bool, with foreground.
        axis (int): Axis across the slices.
        count (int): How many; fewer where the structure has fewer slices.

    Returns:
        list[int]: Rising indices with foreground: in the middle of each of ``count`` equal parts of its voxels.

    >>> mask = np.zeros((9, 1, 1), bool)
    >>> mask[2:8] = True
    >>> spread_slices(mask, 0, 3)
    [2, 4, 6]
    """
    area = mask.sum(axis=tuple(a for a in range(3) if a != axis))
    wanted = min(count, len(np.flatnonzero(area)))
    middles = (np.arange(count) + 0.5) / count * area.sum()
    chosen = {int(index) for index in np.searchsorted(np.cumsum(area), middles)}
    for index in np.argsort(-area, kind='stable'):  # a thick slice may be the middle of several parts
        if len(chosen) < wanted:
            chosen.add(int(index))
    return sorted(chosen)


def random_choices(
    source: CaseSource, case_ids: Sequence[str], count: int, seed: int, axis: int, which: str | None = None
) -> list[Choice]:
    """Draw slices with foreground, as many cases as possible, the same ones for the same seed.

    Args:
        source (CaseSource): Where cases are read.
        case_ids (Sequence[str]): Cases to choose from.
        count (int): Slices at most; a photograph counts once.
        seed (int): Of the draw.
        axis (int): Axis across the slices.
        which (str | None): ``'truth'``, ``'pred'`` or either.

    Returns:
        list[Choice]: In the order of the cases; each slice once.

    Raises:
        DataError: No case has foreground.
    """
    generator = np.random.default_rng(seed)
    order = [case_ids[k] for k in generator.permutation(len(case_ids))]
    found: list[tuple[PictureCase, list[int | None]]] = []
    for case_id in order:
        if len(found) == count:
            break
        case = source.load(case_id)
        mask = case.structures.foreground(case.shown(which))
        if not mask.any():
            continue
        slices: list[int | None] = [None]
        if case.image.rank == 3:
            slices = [int(k) for k in generator.permutation(foreground_slices(mask, axis))]
        found.append((case, slices))
    if not found:
        raise no_foreground(f'{len(case_ids)} cases', which or 'a segmentation')
    rounds = range(max(len(slices) for _, slices in found))
    chosen = [Choice(case, slices[k]) for k in rounds for case, slices in found if k < len(slices)][:count]
    place = {case_id: k for k, case_id in enumerate(case_ids)}
    return sorted(chosen, key=lambda choice: (place[choice.case.case_id], choice.index or 0))


def densest_choice(case: PictureCase, axis: int, which: str | None = None, index: int | None = None) -> Choice:
    """Choose the slice of a case with most foreground, or check a given one.

    Raises:
        DataError: The case has no foreground.
        ValueError: There is no such slice.
    """
    mask = case.structures.foreground(case.shown(which))
    if case.image.rank == 2:
        return Choice(case, None)
    if index is not None:
        check_slice(case, axis, index)
        return Choice(case, index)
    if not mask.any():
        raise no_foreground(f'case {case.case_id}', which or 'a segmentation')
    return Choice(case, densest_slice([mask], axis))


def check_slice(case: PictureCase, axis: int, index: int) -> None:
    """Refuse a slice that a case does not have."""
    size = case.image.size[axis]
    if not 0 <= index < size:
        raise ValueError(
            f'case {case.case_id} has the {plane_name(case, axis)} slices 0 to {size - 1}, not {index}; without a '
            'given index (--slice, --axial, --coronal, --sagittal) slices with foreground are chosen'
        )
