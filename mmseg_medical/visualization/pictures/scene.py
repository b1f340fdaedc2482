"""What is shown in space: surfaces in panels, seen from one place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.visualization.palette import Color
from mmseg_medical.visualization.pictures.case import PictureCase, no_foreground
from mmseg_medical.visualization.pictures.surface_nets import Mesh
from mmseg_medical.visualization.pictures.surfaces import Smoothing, block_size, box_around, surface_of
from mmseg_medical.visualization.slices import contrast_of

#: from the camera at (200, 150, 150) to its focus (64, 64, 64)
VIEW = (136.0, 86.0, 86.0)
CORRECT: Color = (46, 204, 113)
FALSE_POSITIVE: Color = (231, 76, 60)
FALSE_NEGATIVE: Color = (52, 152, 219)
_SHELL: Color = (176, 182, 196)
_SHELL_THRESHOLD, _SHELL_SIGMA = 0.15, 1.0


@dataclass(frozen=True, eq=False)
class Part:
    """One surface.

    Attributes:
        name (str): For the legend.
        mesh (Mesh): In millimetres, or voxels without an affine.
        color (tuple): RGB.
        opacity (float): 0..1.
    """

    name: str
    mesh: Mesh
    color: Color
    opacity: float = 1.0


@dataclass(frozen=True, eq=False)
class Scene:
    """Panels with the same view and the same box.

    Attributes:
        panels (dict[str, list[Part]]): Title to surfaces.
        unit (str): ``'mm'`` or ``'voxels'``.
        placed (bool): Whether the axes grow to the patient's right, front and head.
        note (str): How the surfaces were made.
    """

    panels: dict[str, list[Part]]
    unit: str
    placed: bool
    note: str

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of all surfaces, (3,) each."""
        points = np.concatenate([part.mesh.vertices for parts in self.panels.values() for part in parts])
        return points.min(0), points.max(0)

    def entries(self) -> list[tuple[str, Color]]:
        """Names and colours, each once."""
        return list({part.name: part.color for parts in self.panels.values() for part in parts}.items())


def surface_scene(case: PictureCase, smoothing: Smoothing, which: str | None = None, enclosed: bool = False) -> Scene:
    """Show the structures of truth and prediction side by side, both smoothed in the same way.

    Args:
        case (PictureCase): A volume.
        smoothing (Smoothing): Of all surfaces.
        which (str | None): ``'truth'`` or ``'pred'`` shows one alone.
        enclosed (bool): Put them into a translucent surface of the image, where it exceeds 15 % of its contrast.

    Raises:
        ConfigError: It is a photograph.
        DataError: There is no segmentation, or no foreground in any.
    """
    _check_rank(case)
    found = {'Truth': case.truth, 'Prediction': case.pred}
    if which is not None or (case.truth is None and case.pred is None):
        found = {'Prediction' if which == 'pred' else 'Truth': case.shown(which)}
    masks = {
        title: {k: case.structures.mask(segmentation, k) for k in case.structures.drawn}
        for title, segmentation in found.items()
        if segmentation is not None
    }
    box = box_around([mask for ones in masks.values() for mask in ones.values()])
    if box is None:
        raise no_foreground(f'case {case.case_id}', ' or '.join(masks).lower())
    block = block_size(box, smoothing)
    around = _shell(case, smoothing) if enclosed else []
    panels = {}
    for title, ones in masks.items():
        parts = []
        for k, mask in ones.items():
            mesh, color = surface_of(mask, case.image.affine, smoothing, block), case.structures.colors[k]
            if mesh is not None and color is not None:
                parts.append(Part(case.structures.names[k], mesh, color))
        panels[title] = parts + around
    both = 'Truth and prediction smoothed alike' if len(panels) > 1 else 'Smoothed'
    return _scene(case, panels, f'{both}: {smoothing}', block)


def agreement_scene(case: PictureCase, smoothing: Smoothing, structure: str | None = None) -> Scene:
    """Show where prediction and truth agree, and what is too much and too little.

    Args:
        case (PictureCase): A volume with truth and prediction.
        smoothing (Smoothing): Of all surfaces.
        structure (str | None): One class; None takes all together, whatever their class.

    Raises:
        ConfigError: It is a photograph, or there is no such class.
        DataError: Truth or prediction is missing, or both are empty.
    """
    _check_rank(case)
    truth, pred = (_region(case, segmentation, structure) for segmentation in case.both())
    box = box_around([truth, pred])
    if box is None:
        raise no_foreground(f'case {case.case_id}', f'truth or prediction of {structure or "the structures"}')
    block = block_size(box, smoothing)
    parts = []
    for name, mask, color, opacity in (
        ('correct', truth & pred, CORRECT, 0.35),
        ('false positive', pred & ~truth, FALSE_POSITIVE, 1.0),
        ('false negative', truth & ~pred, FALSE_NEGATIVE, 1.0),
    ):
        mesh = surface_of(mask, case.image.affine, smoothing, block)
        if mesh is not None:
            count = int(mask.sum())
            parts.append(Part(f'{name}: {count:,} voxel{"s" * (count != 1)}', mesh, color, opacity))
    title = structure or 'All structures'
    return _scene(case, {f'{title}, prediction against truth': parts}, f'Smoothed alike: {smoothing}', block)


def _region(case: PictureCase, segmentation: np.ndarray, structure: str | None) -> np.ndarray:
    if structure is None:
        return case.structures.foreground(segmentation)
    names = [case.structures.names[k] for k in case.structures.drawn]
    if structure not in names:
        raise ConfigError(
            f'no structure {structure!r} among {", ".join(names)}.' + did_you_mean(structure, names, cutoff=0.5)
        )
    return case.structures.mask(segmentation, case.structures.names.index(structure))


def _shell(case: PictureCase, smoothing: Smoothing) -> list[Part]:
    low, high = contrast_of(case.image.array)
    mask = case.image.array > low + _SHELL_THRESHOLD * (high - low)
    own = Smoothing(_SHELL_SIGMA, smoothing.iterations, smoothing.most_voxels)
    box = box_around([mask])
    mesh = None if box is None else surface_of(mask, case.image.affine, own, block_size(box, own))
    return [] if mesh is None else [Part('image above 15 % of its contrast', mesh, _SHELL, 0.12)]


def _scene(case: PictureCase, panels: dict[str, list[Part]], note: str, block: int) -> Scene:
    placed = case.image.affine is not None
    if block > 1:
        note += f'; averaged in blocks of {block}³ voxels'
    return Scene(panels, 'mm' if placed else 'voxels', placed, note + '.')


def _check_rank(case: PictureCase) -> None:
    if case.image.rank != 3:
        raise ConfigError(f'case {case.case_id} has two axes; surfaces need a volume. grid and detail draw it.')
