"""Merged bit maps of the lesion masks, cached on disk.

Decoding four full-size masks costs several times as much as the rest of loading an image. What is cached is the bit
map, before any choice of overlap order or target form, so changing either needs no new entry.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.image_io import image_size, read_bytes
from mmseg_medical.datasets.lesions import LESIONS, labels_to_bits
from mmseg_medical.datasets.mask_io import read_binary_mask, read_label_map
from mmseg_medical.datasets.run_lengths import RunLengths
from mmseg_medical.files import atomic_write

_FORMAT = 1  # raise it whenever the rule for lesion pixels or the stored form changes


def load_bit_map(entry: Mapping, shape: tuple[int, int] | None = None) -> RunLengths:
    """Bit map of one data set entry, from its cache if that is in step with the files.

    Args:
        entry (Mapping): ``case_id``; ``lesion_masks`` (lesion code to file or None) or ``seg_map_path``; optionally
            ``cache_dir``, a folder or None, and ``img_path``.
        shape (tuple[int, int], optional): Native height and width of the image; read from ``img_path`` if absent.

    Returns:
        RunLengths: over bit maps as :mod:`mmseg_medical.datasets.lesions` defines them.

    Raises:
        DataError: a mask is missing, damaged, not binary, or of another size than the image.
    """
    if shape is None:
        shape = image_size(read_bytes(entry['img_path']), entry['img_path'])
    cache_dir = entry.get('cache_dir')
    if cache_dir is None:
        return _build(entry, shape)
    path = Path(cache_dir) / f'{entry["case_id"]}-{_key(entry)}.rle'
    runs = _read(path)
    if runs is None:
        runs = _build(entry, shape)
        _write(path, runs.to_bytes())
    if runs.shape != tuple(shape):
        # only a changed image can get here: masks were compared with it when the entry was made
        raise data_error(
            entry['img_path'],
            expected=f'{runs.shape[0]} x {runs.shape[1]} pixels (height x width) as its masks have',
            found=f'{shape[0]} x {shape[1]}',
            remedy='Take image and masks from the same release of the data set.',
        )
    return runs


def _sources(entry: Mapping) -> dict[str, str | None]:
    if entry.get('lesion_masks') is not None:
        return dict(entry['lesion_masks'])
    if entry.get('seg_map_path') is not None:
        return {'merged': entry['seg_map_path']}
    raise data_error(
        f'case {entry.get("case_id")}',
        expected='lesion_masks or seg_map_path in the entry',
        found='neither',
        remedy='Use IDRiDDataset or DDRDataset, or leave the label out of the pipeline.',
    )


def _build(entry: Mapping, shape: tuple[int, int]) -> RunLengths:
    sources = _sources(entry)
    if 'merged' in sources:
        return RunLengths.encode(labels_to_bits(read_label_map(str(sources['merged']), shape)))
    bits = np.zeros(shape, np.uint8)
    for bit, lesion in enumerate(LESIONS):
        path = sources.get(lesion)
        if path is not None:
            bits |= read_binary_mask(path, shape).view(np.uint8) << bit
    return RunLengths.encode(bits)


def _key(entry: Mapping) -> str:
    """Changes with any of the files: path, size, and times of content and inode."""
    stamps: dict[str, list | None] = {}
    for name, path in _sources(entry).items():
        if path is None:
            stamps[name] = None
            continue
        try:
            stat = Path(path).stat()
        except OSError as error:
            raise data_error(
                path,
                expected='a readable mask file',
                found=error.strerror or str(error),
                remedy='Check data_root in the config; files must not vanish during training.',
            ) from error
        stamps[name] = [str(Path(path).absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    text = json.dumps([_FORMAT, LESIONS, stamps], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read(path: Path) -> RunLengths | None:
    try:
        return RunLengths.from_bytes(path.read_bytes())
    except OSError:
        return None
    except ValueError as error:
        warnings.warn(f'{path} is damaged ({error}) and is built again.', stacklevel=2)
        return None


def _write(path: Path, data: bytes) -> None:
    try:
        with atomic_write(path, 'wb') as file:  # other workers may be reading and writing the same entry
            file.write(data)
    except OSError as error:
        warnings.warn(
            f'Labels are not cached because {path.parent} cannot be written ({error.strerror}): every sample decodes '
            f'its masks again. Set cache_dir of the dataset to a writable folder, or to None to silence this.',
            stacklevel=2,
        )
