"""The layout that the original of the 2D hippocampus networks trains from: augmented slices of stretched volumes.

``img_000000.npy`` (128, 128) float32 from 0 to 1 and ``mask_000000.npy`` int64, numbered over all volumes; its code
takes the first 80 % to train and the rest to validate. Stretched, cut from their volume and drawn by foreground, they
cannot be scored as volumes: :class:`~mmseg_medical.datasets.MSDSliceDataset` reads the files themselves, this is for
code that needs the layout. Which random numbers the original drew is not known; its rules are followed, not its draws.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.datasets.decathlon import MSDDataset
from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.preprocessed_layout import read_metadata, resize_slices
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import check_finite, read_labels, read_volume

SIZE = 128
AUGMENT = ('train', 'all', 'none')
#: plane to the axis its slices are across, of the array as the file has it
AXES = {'axial': 2, 'coronal': 1, 'sagittal': 0}
_MOST_LISTED = 20


def write_slices(
    dataset: MSDDataset,
    folder: str | Path,
    augment: str = 'train',
    slices: int = 15,
    seed: int = 42,
    track: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Any]:
    """Write the slices of a task. The folder appears when all are written.

    Args:
        dataset (MSDDataset): Labelled volumes of one modality; its pipeline is not used.
        folder (str | Path): Must not hold anything yet.
        augment (str): ``'train'``: slices of the first 80 %. ``'all'``, as the original, so that what it validates on
            is augmented too; ``'none'``.
        slices (int): At most so many a volume and plane, with foreground; where there are fewer, all of them.
        seed (int): Of the draws.
        track (Callable): Wraps the loop over the volumes.

    Returns:
        dict: What ``metadata.json`` holds: ``seed``, ``augment``, ``classes``, ``train`` (number of the first slice
        that validates), ``straddles`` (the case with slices on both sides of it, or None), ``slices``: case, plane,
        index and action of each.

    Raises:
        ConfigError: ``augment`` or ``slices`` is wrong.
        DataError: The folder holds something, or a volume is faulty; nothing is written then.
    """
    folder = Path(folder)
    if augment not in AUGMENT or slices < 1:
        raise ConfigError(f'augment must be one of {AUGMENT} and slices positive, found {augment!r} and {slices}')
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise data_error(
            folder,
            expected='a folder that holds nothing yet',
            found='one with files' if folder.is_dir() else 'a file',
            remedy='Remove it or name another one.',
        )
    entries = sorted((dataset.get_data_info(i) for i in range(len(dataset))), key=lambda entry: entry['case_id'])
    chosen = [_chosen(entry, slices, seed) for entry in entries]
    number = sum(map(len, chosen))
    if number == 0:
        raise data_error(
            dataset.folder,
            expected='slices with foreground',
            found=f'none in {len(entries)} volumes',
            remedy='Check the labels.',
        )
    train = int(0.8 * number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f'.{folder.name}-', dir=folder.parent))
    try:
        listed: list[dict[str, Any]] = []
        for entry, places in track(list(zip(entries, chosen, strict=True))):
            limit = {'train': train, 'all': number, 'none': 0}[augment]
            listed += _write_volume(entry, places, part, len(listed), limit, seed)
        sides = [{one['case'] for one in listed[:train]}, {one['case'] for one in listed[train:]}]
        metadata = dict(
            seed=seed,
            augment=augment,
            classes=list(dataset.metainfo['classes']),
            train=train,
            straddles=next(iter(sides[0] & sides[1]), None),
            slices=listed,
        )
        (part / 'metadata.json').write_text(json.dumps(metadata, indent=1) + '\n')
        part.chmod(0o755)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return metadata


def check_slices(folder: str | Path) -> int:
    """Compare what was written with its ``metadata.json``.

    Returns:
        int: Number of slices.

    Raises:
        DataError: Files are missing, not listed, damaged, of another size or type, or hold what cannot be; it lists
            them.
    """
    folder = Path(folder)
    number, classes = read_metadata(
        folder, 'slices and classes', lambda found: (len(found['slices']), len(found['classes']))
    )
    names = {f'{kind}_{index:06d}.npy' for kind in ('img', 'mask') for index in range(number)}
    there = {path.name for path in folder.glob('*.npy')}
    faults = [f'{name} is listed and missing' for name in sorted(names - there)]
    faults += [f'{name} is not listed' for name in sorted(there - names)]
    for name in sorted(names & there):
        faults += _faults(folder / name, classes)
    if faults:
        raise DataError(f'{folder}: {len(faults)} faults:\n' + '\n'.join(faults[:_MOST_LISTED]))
    return number


def augmented(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """Change a slice as the original does: nothing, a rotation, a scale and a shift, or a flip.

    Args:
        image (np.ndarray): shape (H, W), float.
        mask (np.ndarray): same shape, integer.
        rng (np.random.Generator): What is drawn with.

    Returns:
        tuple: Image and mask of the same shape, and what was done: ``'none'`` (0.40), ``'rotate'`` (0.25), ``'affine'``
        (0.25), ``'flip'`` of the second axis, whatever lies along it (0.10).
    """
    from scipy import ndimage

    drawn = rng.random()
    if drawn < 0.40:
        return image, mask, 'none'
    if drawn < 0.65:
        angle = rng.uniform(-7, 7)
        turned = [ndimage.rotate(a, angle, reshape=False, order=k, mode='nearest') for a, k in ((image, 1), (mask, 0))]
        return turned[0], turned[1], 'rotate'
    if drawn < 0.90:
        scale, shift = rng.uniform(0.95, 1.05), rng.uniform(-5, 5, 2)
        middle = (np.array(image.shape) - 1) / 2
        matrix, offset = np.eye(2) / scale, middle - (middle + shift) / scale
        moved = [ndimage.affine_transform(a, matrix, offset, order=k) for a, k in ((image, 1), (mask, 0))]
        return moved[0], moved[1], 'affine'
    return image[:, ::-1], mask[:, ::-1], 'flip'


def _chosen(entry: dict[str, Any], slices: int, seed: int) -> list[tuple[str, int]]:
    """Planes and indices of the slices that are taken."""
    labels = _stretched(_labels(entry), order=0)
    rng = np.random.default_rng((seed, zlib.crc32(entry['case_id'].encode()), 0))
    found: list[tuple[str, int]] = []
    for plane, axis in AXES.items():
        others = tuple(k for k in range(3) if k != axis)
        shown = np.flatnonzero(labels.any(axis=others))
        if len(shown) > slices:
            shown = np.sort(rng.choice(shown, slices, replace=False))
        found += [(plane, int(index)) for index in shown]
    return found


def _write_volume(
    entry: dict[str, Any], places: Sequence[tuple[str, int]], folder: Path, first: int, limit: int, seed: int
) -> list[dict[str, Any]]:
    """Write the slices of a volume, numbered from ``first``; those below ``limit`` are augmented."""
    volume = read_volume(entry['img_path'])
    check_finite(volume)  # one value that is no number would make the whole volume black
    labels = _labels(entry)
    if volume.array.shape != labels.shape:
        raise data_error(
            entry['img_path'],
            expected=f'the size of its labels, {labels.shape}',
            found=str(volume.array.shape),
            remedy='Unpack the archive of the task again.',
        )
    image, labels = _scaled(_stretched(volume.array.astype(np.float64), order=1)), _stretched(labels, order=0)
    rng = np.random.default_rng((seed, zlib.crc32(entry['case_id'].encode()), 1))
    listed = []
    for number, (plane, index) in enumerate(places, first):
        picture, mask = (np.take(array, index, AXES[plane]) for array in (image, labels))
        action = 'none'
        if number < limit:
            picture, mask, action = augmented(picture, mask, rng)
        np.save(folder / f'img_{number:06d}.npy', np.ascontiguousarray(picture, np.float32))
        np.save(folder / f'mask_{number:06d}.npy', np.ascontiguousarray(mask, np.int64))
        listed.append(dict(case=entry['case_id'], plane=plane, index=index, action=action))
    return listed


def _labels(entry: dict[str, Any]) -> np.ndarray:
    if entry.get('seg_map_path') is None:
        raise data_error(
            entry['img_path'], expected='labels', found='none', remedy='Convert the labelled part of the task.'
        )
    labels = read_labels(entry['seg_map_path']).array
    if labels.ndim != 3:
        raise data_error(
            entry['seg_map_path'], expected='three axes', found=f'{labels.ndim}', remedy='Unpack the archive again.'
        )
    return labels


def _stretched(array: np.ndarray, order: int) -> np.ndarray:
    return resize_slices(array, (SIZE, SIZE, SIZE), order)


def _scaled(array: np.ndarray) -> np.ndarray:
    low, high = array.min(), array.max()
    return (array - low) / (high - low) if high > low else np.zeros_like(array)


def _faults(path: Path, classes: int) -> list[str]:
    kind = np.dtype(np.float32 if path.name.startswith('img') else np.int64)
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return [f'{path.name} cannot be read: {error}']
    if array.shape != (SIZE, SIZE) or array.dtype != kind:
        return [f'{path.name} is {array.dtype} {array.shape}, not {kind} {(SIZE, SIZE)}']
    top = 1 if kind.kind == 'f' else classes - 1
    # comparisons with what is not finite are false
    return [] if array.min() >= 0 and array.max() <= top else [f'{path.name} has values outside 0..{top}']
