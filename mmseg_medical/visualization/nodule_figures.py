"""Figures of nodules in chest CT: a slice, all nodules side by side, the scan in projection. No display is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmseg_medical.evaluation.nodules import nodule_boxes
from mmseg_medical.files import atomic_write
from mmseg_medical.geometry import Volume, check_grid, reorient
from mmseg_medical.geometry.points import world_to_voxel
from mmseg_medical.visualization.canvas import SERIES, label, new_panels, png, write_in
from mmseg_medical.visualization.slices import densest_slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Hounsfield units drawn black and white
WINDOW = (-1000.0, 400.0)
_ALPHA = 0.5
_MASK, _TRUTH = SERIES[1], SERIES[5]
_AXES = 'LPS'  # x to the right of the picture is the patient's left, y downwards the back: as radiologists look
_CONTEXT_MM = 12.0
_MOST_NODULES = 48


def slice_figure(
    image: Volume, mask: Volume, truth: Volume | None = None, index: int | None = None, title: str = ''
) -> Figure:
    """Draw an axial slice, plain and with the mask over it.

    Args:
        image (Volume): shape (I, J, K), Hounsfield units.
        mask (Volume): Same grid, not 0 in nodules; what is 0 is transparent.
        truth (Volume | None): Likewise; its outline is drawn.
        index (int | None): Slice, counted upwards from the lowest; None takes the one with the largest area of the
            mask, of the truth if the mask is empty, and the middle one if both are.
        title (str): Line above.

    Raises:
        ValueError: A mask lies on another grid, or there is no such slice.
    """
    scan, layers = _oriented(image, mask, truth)
    depth = scan.size[2]
    if index is None:
        index = densest_slice([layer for layer in layers if layer is not None], axis=2)
    if not 0 <= index < depth:
        raise ValueError(f'{image.name} has slices 0 to {depth - 1}, there is no {index}')
    figure, panels = new_panels(2, 4.4, 4.6, columns=2)
    planes = [None if layer is None else layer[..., index] for layer in layers]
    _draw(panels[0], scan.array[..., index], (None, None), _spacing(scan, (0, 1)))
    _draw(panels[1], scan.array[..., index], planes, _spacing(scan, (0, 1)))
    panels[0].set_title(f'slice {index} of {depth}', fontsize=9)
    panels[1].set_title(_legend(truth is not None), fontsize=9)
    _head(figure, title)
    return figure


def montage_figure(
    image: Volume, mask: Volume, nodules: np.ndarray, truth: Volume | None = None, title: str = ''
) -> Figure:
    """Draw every annotated nodule in the axial slice of its centre.

    Args:
        image (Volume): shape (I, J, K), Hounsfield units, with an affine.
        mask (Volume): As for :func:`slice_figure`.
        nodules (np.ndarray): shape (N, 4), centre (RAS) and diameter in mm.
        truth (Volume | None): As for :func:`slice_figure`.
        title (str): Line above.

    Raises:
        ValueError: A mask lies on another grid, or there is no affine.
    """
    if image.affine is None:
        raise ValueError(f'{image.name} has no affine, so nodules in mm cannot be found in it')
    scan, layers = _oriented(image, mask, truth)
    shown = np.asarray(nodules, np.float64).reshape(-1, 4)[:_MOST_NODULES]
    figure, panels = new_panels(max(len(shown), 1), 2.2, 2.4, columns=6)
    if not len(shown):
        write_in(panels[0], 'no annotated nodule')
    wide = shown + np.array([0, 0, 0, 2 * _CONTEXT_MM])
    places = world_to_voxel(shown[:, :3], np.asarray(scan.affine))
    for number, (panel, box, place) in enumerate(zip(panels, nodule_boxes(wide, scan.grid, 1.0), places, strict=False)):
        middle = int(np.clip(np.rint(place[2]), 0, scan.size[2] - 1))
        at = (box[0], box[1], middle)
        planes = [None if layer is None else layer[at] for layer in layers]
        _draw(panel, scan.array[at], planes, _spacing(scan, (0, 1)))
        panel.set_title(f'{number + 1}: {shown[number, 3]:.1f} mm', fontsize=9)
    more = len(nodules) - len(shown)
    _head(figure, title, _legend(truth is not None) + (f'; {more} more nodules' if more > 0 else ''))
    return figure


def projection_figure(
    image: Volume, mask: Volume, truth: Volume | None = None, within: Volume | None = None, title: str = ''
) -> Figure:
    """Draw maximum-intensity projections from above, the front and the side, the masks over them.

    Args:
        image (Volume): shape (I, J, K), Hounsfield units.
        mask (Volume): As for :func:`slice_figure`.
        truth (Volume | None): As for :func:`slice_figure`.
        within (Volume | None): Map of the lungs, not 0 inside: what is outside, bones above all, is left out.
        title (str): Line above.

    Raises:
        ValueError: A mask lies on another grid.
    """
    if within is not None:
        check_grid(within, image)
        image = Volume(np.where(within.array != 0, image.array, WINDOW[0]), image.affine, image.source)
    scan, layers = _oriented(image, mask, truth)
    figure, panels = new_panels(3, 3.8, 4.2, columns=3)
    for panel, name, axis in zip(panels, ('axial', 'coronal', 'sagittal'), (2, 1, 0), strict=True):
        planes = [None if layer is None else layer.max(axis=axis) for layer in layers]
        kept = [a for a in range(3) if a != axis]
        _draw(panel, scan.array.max(axis=axis), planes, _spacing(scan, kept), upwards=axis != 2)
        panel.set_title(name)
    _head(figure, title, _legend(truth is not None))
    return figure


def write_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path, 'wb') as file:
        file.write(png(figure))


def _oriented(image: Volume, mask: Volume, truth: Volume | None) -> tuple[Volume, tuple[np.ndarray, np.ndarray | None]]:
    """The scan and its masks (uint8), turned the same way."""
    turned: list[np.ndarray | None] = []
    for volume in (mask, truth):
        if volume is None:
            turned.append(None)
            continue
        check_grid(volume, image)
        binary = Volume((volume.array != 0).astype(np.uint8), image.affine, volume.source)
        turned.append((binary if image.affine is None else reorient(binary, _AXES)).array)
    scan = image if image.affine is None else reorient(image, _AXES)
    first = turned[0]
    return scan, (np.zeros(scan.size, np.uint8) if first is None else first, turned[1])


def _draw(
    panel: Axes,
    plane: np.ndarray,
    masks: Sequence[np.ndarray | None],
    spacing: tuple[float, float],
    upwards: bool = False,
) -> None:
    """Draw a plane (columns, rows) in the window of the lungs, mask and outline of the truth over it."""
    from matplotlib.colors import ListedColormap

    size = [n * s for n, s in zip(plane.shape, spacing, strict=True)]
    extent = (0.0, size[0], 0.0, size[1]) if upwards else (0.0, size[0], size[1], 0.0)
    origin: Literal['lower', 'upper'] = 'lower' if upwards else 'upper'
    panel.imshow(plane.T, cmap='gray', vmin=WINDOW[0], vmax=WINDOW[1], extent=extent, origin=origin)
    mask, truth = masks
    if mask is not None and mask.any():
        shown = np.ma.masked_equal(mask.T, 0)
        colors = ListedColormap([_MASK])
        panel.imshow(shown, cmap=colors, alpha=_ALPHA, extent=extent, origin=origin, interpolation='nearest')
    if truth is not None and truth.any():
        closed = np.pad(truth, 1).T  # an outline ends nowhere, and needs two voxels along each axis
        x, y = ((np.arange(n + 2) - 0.5) * s for n, s in zip(plane.shape, spacing, strict=True))
        panel.contour(x, y, closed, levels=[0.5], colors=[_TRUTH], linewidths=1.2)
    panel.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
    panel.grid(visible=False)


def _spacing(scan: Volume, axes: Sequence[int]) -> tuple[float, float]:
    spacing = scan.spacing_mm or (1.0, 1.0, 1.0)
    return spacing[axes[0]], spacing[axes[1]]


def _head(figure: Figure, title: str, below: str = '') -> None:
    text = '\n'.join(line for line in (label(title, 90, 1), below) if line)
    if text:
        figure.suptitle(text, fontsize=9)


def _legend(with_truth: bool) -> str:
    return 'filled: mask, outline: truth' if with_truth else 'filled: mask'
