"""What is measured of one case."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.transforms import LoadVolume, LoadVolumeAnnotations
from mmseg_medical.evaluation.functional.components import connected_components
from mmseg_medical.geometry import Grid, Reorient, axis_directions, shear_degrees
from mmseg_medical.geometry.orthogonality import ROUNDING_DEGREES

#: percentiles of intensities, and what they are called
PERCENTILES = {'p0_5': 0.5, 'median': 50.0, 'p99_5': 99.5}
# Voxels of a case that take part in the percentiles of the whole data set.
_SAMPLED = 10_000


@dataclass(frozen=True)
class Expected:
    """What the cases of a data set have in common.

    Attributes:
        classes (tuple[str, ...]): Names, the background first.
        modalities (tuple[str, ...]): Names of the channels; empty if nothing says how many there are.
        label_map (Mapping[int, int] | None): Value in the file to class, see ``LoadVolumeAnnotations``.
        ignore_index (int): Label that is no class.
    """

    classes: tuple[str, ...]
    modalities: tuple[str, ...] = ()
    label_map: Mapping[int, int] | None = None
    ignore_index: int = 255


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """What was found in one case.

    Attributes:
        facts (dict): Numbers that JSON can hold, see :func:`measure_case`.
        foreground (np.ndarray): shape (C, n), float32, up to 10,000 voxels that have a class, evenly from all of them.
        digest (str): Equal for images of the same voxels, however they are stored.
        problems (tuple[str, ...]): What has to be mended; with the image or the label unreadable, all that is known.
        notes (tuple[str, ...]): What is unusual, and may be right.
    """

    facts: dict[str, Any]
    foreground: np.ndarray
    digest: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def measure_case(entry: Mapping[str, Any], expected: Expected) -> CaseRecord:
    """Read a case as training would, and measure it.

    Args:
        entry (Mapping): Of a data set: ``case_id``, ``img_path``, ``seg_map_path`` (None without labels).
        expected (Expected): What all cases should be like.

    Returns:
        CaseRecord: Its facts are ``size``, ``spacing_mm`` and ``orientation`` of the file; ``size_ras`` and
        ``spacing_ras_mm`` of the same voxels with axes that grow rightwards, forwards, upwards; ``intensity`` of each
        modality: ``whole`` and ``foreground`` (mean, standard deviation, minimum, maximum, percentiles);
        ``zero_share``, voxels that are 0 in every modality; ``classes``: ``voxels``, ``share``, ``volume_mm3``,
        ``components`` of each but the background.

    Raises:
        DataError: The image cannot be used: damaged, not three axes, another number of channels, NaN or infinite.
    """
    results: dict[str, Any] = {key: entry[key] for key in ('case_id', 'img_path', 'seg_map_path') if key in entry}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of sheared axes, which become a note
        LoadVolume(len(expected.modalities) or None, rank=3).transform(results)
        labels, problems = _labels(results, expected)
    image, grid = results['img'], results['native_grid']
    names = expected.modalities or tuple(f'channel {i}' for i in range(len(image)))
    inside = None if labels is None else (labels > 0) & (labels != expected.ignore_index)
    for channel, name in zip(image, names, strict=True):
        if channel.min() == channel.max():
            problems.append(
                f'{_name(entry)}: expected an image, found the value {channel.flat[0]:g} in every voxel of {name}. '
                'Export it again or leave the case out.'
            )
    facts = dict(
        case_id=entry['case_id'],
        img_path=results['img_path'],
        seg_map_path=entry.get('seg_map_path'),
        **_grid_facts(grid),
        intensity={
            name: dict(whole=_statistics(channel), foreground=None if inside is None else _statistics(channel[inside]))
            for name, channel in zip(names, image, strict=True)
        },
        zero_share=float((image == 0).all(axis=0).mean()),
        classes={} if labels is None else _classes(labels, expected.classes, grid.spacing_mm),
    )
    foreground = np.empty((len(image), 0), np.float32)
    if inside is not None and (number := int(inside.sum())):
        foreground = image[:, inside][:, :: math.ceil(number / _SAMPLED)]
    digest = hashlib.blake2b(image.tobytes(), digest_size=16, key=str(image.shape).encode()).hexdigest()
    return CaseRecord(facts, foreground, digest, tuple(problems), tuple(_notes(entry, grid, labels, inside)))


def _labels(results: dict[str, Any], expected: Expected) -> tuple[np.ndarray | None, list[str]]:
    if results.get('seg_map_path') is None:
        return None, []
    load = LoadVolumeAnnotations(
        len(expected.classes), label_map=expected.label_map, ignore_index=expected.ignore_index
    )
    try:
        return load.transform(results)['gt_seg_map'], []
    except DataError as error:
        return None, [str(error)]


def _grid_facts(grid: Grid) -> dict[str, Any]:
    turned = grid if grid.affine is None else Reorient.plan(grid, 'RAS').target
    return dict(
        size=list(grid.size),
        spacing_mm=_list(grid.spacing_mm),
        orientation=None if grid.affine is None else axis_directions(grid),
        size_ras=list(turned.size),
        spacing_ras_mm=_list(turned.spacing_mm),
    )


def _list(spacing_mm: Sequence[float] | None) -> list[float] | None:
    # float32 headers make 0.99999994 of a 1
    return None if spacing_mm is None else [float(f'{length:.6g}') for length in spacing_mm]


def _statistics(values: np.ndarray) -> dict[str, float] | None:
    if not values.size:
        return None
    percentiles = np.percentile(values, list(PERCENTILES.values()))
    return dict(
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        min=float(values.min()),
        max=float(values.max()),
        **{name: float(value) for name, value in zip(PERCENTILES, percentiles, strict=True)},
    )


def _classes(labels: np.ndarray, classes: Sequence[str], spacing_mm: Sequence[float] | None) -> dict[str, Any]:
    found = {}
    for number, name in enumerate(classes[1:], 1):
        components = connected_components(labels == number)
        voxels = int(components.sizes.sum())
        found[name] = dict(
            voxels=voxels,
            share=voxels / labels.size,
            volume_mm3=None if spacing_mm is None else voxels * math.prod(spacing_mm),
            components=components.num,
        )
    return found


def _notes(entry: Mapping[str, Any], grid: Grid, labels: np.ndarray | None, inside: np.ndarray | None) -> list[str]:
    notes = []
    if inside is not None and not inside.any():
        notes.append(f'{entry["seg_map_path"]}: no voxel has a class. Right for a healthy case, else correct the file.')
    if labels is None and entry.get('seg_map_path') is None:
        notes.append(f'{_name(entry)}: has no label.')
    if (degrees := shear_degrees(grid)) > ROUNDING_DEGREES:
        notes.append(f'{_name(entry)}: its axes deviate by {degrees:.3g} degrees from right angles.')
    if grid.affine is None:
        notes.append(f'{_name(entry)}: has no affine, so nothing is known of its spacing and orientation.')
    return notes


def _name(entry: Mapping[str, Any]) -> str:
    path = entry['img_path']
    return str(path) if isinstance(path, str) else ', '.join(map(str, path))
