"""One slice of a preprocessed volume, with its place in space."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.patch_store import Case, CaseFile
from mmseg_medical.datasets.slices.grids import slice_grid, slice_step
from mmseg_medical.geometry import Grid


def cut_slice(
    case: Case | CaseFile, index: int, num_slices: int, neighbours: int = 0, copies: int = 1, subject: str = ''
) -> dict[str, Any]:
    """Cut a slice across the last axis.

    Args:
        case (Case | CaseFile): Open; image (C, I, J, K), labels on the grid of the image or of the file, and what the
            pipeline noted, ``native_grid`` among it.
        index (int): 0 to K - 1.
        num_slices (int): Of the file.
        neighbours (int): Slices on either side that become channels too; beyond the ends the last one is repeated.
        copies (int): Times that the channels are repeated.
        subject (str): What the volume is called in messages.

    Returns:
        dict: What the pipeline noted, and ``img`` float32 ((2 neighbours + 1) C copies, I, J), ``gt_seg_map`` where
        there are labels, and the grids of the slice, see :class:`~mmseg_medical.datasets.transforms.LoadSlice`.

    Raises:
        ConfigError: A step of the pipeline changes the slices.
        DataError: There are more or fewer than ``num_slices``.
    """
    fields, size = case.fields, case.image.shape[1:]
    if size[2] != num_slices:
        raise data_error(
            subject,
            expected=f'{num_slices} slices, as its header has',
            found=f'{size[2]} behind the pipeline of LoadSlice',
            remedy='Steps must leave the last axis alone; the order of axes is orientation of the data set.',
        )
    places = np.clip(np.arange(index - neighbours, index + neighbours + 1), 0, size[2] - 1).tolist()
    slab = case.image[..., places[0] : places[-1] + 1]
    image = np.concatenate([slab[..., place - places[0]] for place in places] * copies)
    native, grid = fields['native_grid'], slice_grid(Grid(size, fields.get('affine')), index)
    cut = dict(
        fields,
        img=np.ascontiguousarray(image, np.float32),
        native_grid=slice_grid(native, index),
        grid_steps=[slice_step(step, index) for step in fields.get('grid_steps', ())],
        ori_shape=native.size[:2],
        img_shape=grid.size,
        affine=grid.affine,
        spacing_mm=grid.spacing_mm,
        slice_spacing_mm=None if native.spacing_mm is None else native.spacing_mm[2],
    )
    if case.labels is not None:
        cut['gt_seg_map'] = np.ascontiguousarray(case.labels[..., index : index + 1][..., 0])
    return cut
