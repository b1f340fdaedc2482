"""Phantoms of chest CT in the folder tree of LUNA16."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.phantoms.chest_anatomy import chest_phantom
from mmseg_medical.datasets.phantoms.chest_nodules import ChestPhantom
from mmseg_medical.files import atomic_path, atomic_write
from mmseg_medical.geometry import Volume, write_volume

_ROOT_UID = '1.3.6.1.4.1.14519.5.2.1.6279.6001'
#: in-plane spacing and that of slices, in turn
SPACINGS = ((1.0, 1.0, 1.0), (1.2, 1.2, 2.0), (0.9, 0.9, 1.25), (1.1, 1.1, 2.5))
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_COLUMNS = ('seriesuid', 'coordX', 'coordY', 'coordZ', 'diameter_mm')


def write_luna16(
    root: str | Path,
    num_scans: int = 10,
    *,
    num_subsets: int = 10,
    size: Sequence[int] = (96, 96, 64),
    spacings_mm: Sequence[Sequence[float]] = SPACINGS,
    num_nodules: Sequence[int] = (1, 4),
    diameter_mm: Sequence[float] = (3.0, 30.0),
    healthy_every: int | None = 5,
    seed: int = 0,
) -> Path:
    """Write phantoms as LUNA16 lays them out, with the masks of their nodules.

    Spacings take turns, every second scan has x and y flipped in its direction matrix (a patient lying prone), every
    third one -2000 outside the round field of view. Centres and diameters in ``annotations.csv`` are those of the
    masks: centroid, and diameter of the ball of the same volume.

    Args:
        root (str | Path): Folder that gets ``subset0`` ..., each with ``<uid>.mhd`` and ``<uid>.raw`` (int16);
            ``annotations.csv``; ``seg-lungs`` (3 left lung, 4 right lung, 5 trachea). And what LUNA16 has not:
            ``masks`` (0 and 1) and ``phantom_nodules.csv``, the annotations with kind and whether they sit on the
            wall.
        num_scans (int): Scan i lies in subset i modulo ``num_subsets``.
        num_subsets (int): 10 in LUNA16.
        size (Sequence[int]): Voxels (I, J, K): x, y, z.
        spacings_mm (Sequence[Sequence[float]]): Along each axis, in turn.
        num_nodules (Sequence[int]): Fewest and most of a scan; fewer are placed where there is no room.
        diameter_mm (Sequence[float]): Smallest and largest.
        healthy_every (int | None): One of so many scans has no nodule, the last of them; None: all have some.
        seed (int): The same seed writes the same voxels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    root = Path(root)
    for number in range(num_subsets):
        (root / f'subset{number}').mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    for index in range(num_scans):
        rng = np.random.default_rng((seed, index))
        spacing = spacings_mm[index % len(spacings_mm)]
        healthy = healthy_every is not None and index % healthy_every == healthy_every - 1
        wanted = 0 if healthy else int(rng.integers(num_nodules[0], num_nodules[1] + 1))
        phantom = chest_phantom(size, spacing, rng, wanted, diameter_mm, padded=index % 3 == 1)
        uid = f'{_ROOT_UID}.{10**29 + seed * 10**9 + index * 7919 + 104729}'
        affine = _affine(size, spacing, rng, prone=index % 2 == 1)
        rows += _rows(uid, phantom, size, affine)
        _write_scan(root, f'subset{index % num_subsets}', uid, phantom, affine)
    _write_csv(root / 'annotations.csv', _COLUMNS, [row[:5] for row in rows])
    _write_csv(root / 'phantom_nodules.csv', (*_COLUMNS, 'kind', 'attached'), rows)
    return root


def write_mhd(path: Path, array: np.ndarray, affine_lps: np.ndarray) -> None:
    """Write a header and a raw file of int16, as LUNA16 has them: nothing compressed.

    Args:
        path (Path): Ending in ``.mhd``.
        array (np.ndarray): int16 (I, J, K).
        affine_lps (np.ndarray): shape (4, 4), voxels to the world of ITK.
    """
    spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)
    direction = (affine_lps[:3, :3] / spacing).T.ravel()  # the file lists the direction of each axis in turn
    raw = path.with_suffix('.raw')
    header = {
        'ObjectType': 'Image',
        'NDims': 3,
        'BinaryData': 'True',
        'BinaryDataByteOrderMSB': 'False',
        'CompressedData': 'False',
        'TransformMatrix': _numbers(direction),
        'Offset': _numbers(affine_lps[:3, 3]),
        'CenterOfRotation': '0 0 0',
        'AnatomicalOrientation': 'RAI',
        'ElementSpacing': _numbers(spacing),
        'DimSize': _numbers(array.shape),
        'ElementType': 'MET_SHORT',
        'ElementDataFile': raw.name,
    }
    with atomic_path(raw) as temporary:
        temporary.write_bytes(np.ascontiguousarray(array.transpose(2, 1, 0), '<i2').tobytes())
    with atomic_write(path) as file:  # the header last: a scan with one is a whole one
        file.write(''.join(f'{key} = {value}\n' for key, value in header.items()))


def _affine(size: Sequence[int], spacing: Sequence[float], rng: np.random.Generator, prone: bool) -> np.ndarray:
    """Affine of the file, in ITK's world (LPS)."""
    signs = np.array([-1, -1, 1] if prone else [1, 1, 1])
    middle = (np.asarray(size) - 1) / 2 * signs * spacing
    affine = np.diag([*(signs * spacing), 1.0])
    affine[:3, 3] = np.round(rng.uniform(-40, 40, 3) - [0, 0, 150] - middle, 3)
    return affine


def _rows(uid: str, phantom: ChestPhantom, size: Sequence[int], affine: np.ndarray) -> list[list[str]]:
    rows = []
    for nodule in phantom.nodules:
        center = _turned_place(nodule.center, size, affine)
        world = affine[:3, :3] @ center + affine[:3, 3]
        rows.append([
            uid,
            *(f'{value:.4f}' for value in (*world, nodule.diameter_mm)),
            nodule.kind,
            str(int(nodule.attached)),
        ])  # fmt: skip
    return rows


def _turned_place(center: Sequence[float], size: Sequence[int], affine: np.ndarray) -> np.ndarray:
    flipped = np.diag(affine)[:3] < 0
    return np.where(flipped, np.asarray(size) - 1 - center, center)


def _write_scan(root: Path, subset: str, uid: str, phantom: ChestPhantom, affine: np.ndarray) -> None:
    turn = tuple(slice(None, None, -1 if step < 0 else 1) for step in np.diag(affine)[:3])
    ras = _LPS_TO_RAS @ affine
    for folder, labels in (('seg-lungs', phantom.lungs), ('masks', phantom.mask)):
        write_volume(Volume(np.ascontiguousarray(labels[turn]), ras, uid), root / folder / f'{uid}.mhd')
    write_mhd(root / subset / f'{uid}.mhd', phantom.image[turn], affine)


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows([head, *rows])
    with atomic_write(path) as file:
        file.write(text.getvalue())


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return ' '.join(f'{value:.10g}' for value in values)
