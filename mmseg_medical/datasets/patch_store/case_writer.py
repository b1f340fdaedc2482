"""From the results of a pipeline to the file of a case."""

from __future__ import annotations

import errno
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from mmseg_medical.datasets.patch_store.case_file import (
    END,
    FOOTER,
    MAGIC,
    TABLE,
    CaseFile,
    DamagedCaseError,
    StoredArray,
)
from mmseg_medical.datasets.patch_store.chunked import Packer, narrowest, pieces
from mmseg_medical.datasets.patch_store.layout import all_boxes, chunk_shape
from mmseg_medical.datasets.patch_store.locations import class_locations
from mmseg_medical.datasets.patch_store.metadata import encode
from mmseg_medical.errors import ConfigError
from mmseg_medical.files import atomic_path


@dataclass(frozen=True)
class Case:
    """A preprocessed case in memory; what a :class:`~mmseg_medical.datasets.patch_store.CaseFile` is on disk.

    Attributes:
        image (np.ndarray): float32 (C, *S).
        labels (np.ndarray | None): (*S), or masks (K, *S).
        fields (dict): What the pipeline noted: grids, steps, sizes.
        locations (dict[int, np.ndarray]): Class to voxels (n, rank).
    """

    image: np.ndarray
    labels: np.ndarray | None
    fields: dict[str, Any] = field(default_factory=dict)
    locations: dict[int, np.ndarray] = field(default_factory=dict)

    def __enter__(self) -> Case:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close; a file has the same two methods."""

    @classmethod
    def of_results(cls, results: Mapping[str, Any], entry: Mapping[str, Any], seed: int = 0) -> Case:
        """Take what a pipeline made of an entry.

        Args:
            results (Mapping): What came out.
            entry (Mapping): What went in; keys that are still the same are not part of the case.
            seed (int): Chooses the voxels of large classes.

        Raises:
            ConfigError: No image came out, or its labels lie on another grid.
        """
        image, labels = results.get('img'), results.get('gt_seg_map')
        if not isinstance(image, np.ndarray) or image.ndim not in (3, 4):
            raise ConfigError('pipeline of LoadStoredPatch leaves no img (C, *S): does it begin with LoadVolume?')
        rank = image.ndim - 1
        if labels is not None and labels.shape[labels.ndim - rank :] != image.shape[1:]:
            raise ConfigError(
                f'pipeline of LoadStoredPatch leaves an image of size {image.shape[1:]} with labels of shape '
                f'{labels.shape}: in a pipeline that trains, LoadVolumeAnnotations comes right behind LoadVolume'
            )
        known = {key: encode(value, key) for key, value in entry.items()}
        fields = {
            key: value
            for key, value in results.items()
            if key not in ('img', 'gt_seg_map') and not (key in known and _encoded(value, key) == known[key])
        }
        return cls(image, labels, fields, {} if labels is None else class_locations(labels, rank, seed))


def write_case(case: Case, path: Path, patch_size: Sequence[int] | None, compressed: bool = True) -> None:
    """Write a case, whole and read back, or not at all.

    Args:
        case (Case): What to write.
        path (Path): Its file; one that is there is replaced when the new one is complete.
        patch_size (Sequence[int], optional): What will be read at once.
        compressed (bool): False lays each array down as it is, for reading it through a memory map.

    Raises:
        ConfigError: The pipeline noted something that cannot be stored.
        OSError: The file cannot be written, or reads back as something else.
    """
    fields = _encoded(case.fields, 'results')
    with atomic_path(path) as temporary:
        with temporary.open('xb') as file:
            file.write(MAGIC)
            arrays = {
                name: _write_array(file, array, patch, compressed) for name, array, patch in _arrays(case, patch_size)
            }
            locations = [[number, f'class {number}'] for number in case.locations]
            header = json.dumps(dict(fields=fields, arrays=arrays, locations=locations)).encode()
            place = file.tell()
            file.write(header + FOOTER.pack(place, len(header), zlib.crc32(header), END))
        _read_back(temporary, {name: record['digest'] for name, record in arrays.items()})


def _read_back(path: Path, digests: dict[str, str]) -> None:
    try:
        with CaseFile(path) as written:
            same = {name: content_hash(array) for name, array in written.arrays.items()} == digests
    except DamagedCaseError:
        same = False
    if not same:
        raise OSError(errno.EIO, 'The file reads back as something else than was written', str(path))


def _encoded(value: Any, name: str) -> Any:
    try:
        return encode(value, name)
    except TypeError as error:
        raise ConfigError(
            f'pipeline of LoadStoredPatch: {error}, which cannot be stored; put the step that makes it behind '
            'LoadStoredPatch'
        ) from error


def content_hash(array: StoredArray) -> str:
    """Hash a stored array chunk by chunk, reading and checking all of it; equal to its ``digest`` if it is whole."""
    made = _new_hash(array.shape)
    for number, box in enumerate(all_boxes(array.shape, array.chunk)):
        made.update(_bytes(array.read_chunk(number, tuple(stop - start for start, stop in box))))
    if array.values is not None:
        made.update(_bytes(array.values))
    return made.hexdigest()


def _arrays(case: Case, patch_size: Sequence[int] | None) -> Iterator[tuple[str, np.ndarray, Sequence[int] | None]]:
    yield 'image', case.image, patch_size
    if case.labels is not None:
        yield 'labels', case.labels, patch_size
    for number, voxels in case.locations.items():
        yield f'class {number}', voxels, None


def _write_array(
    file: IO[bytes], array: np.ndarray, patch_size: Sequence[int] | None, compressed: bool
) -> dict[str, Any]:
    """Write chunks and their table; return the record for the header."""
    stored, values = narrowest(array)
    chunk = chunk_shape(stored.shape, patch_size, stored.itemsize) if compressed else tuple(stored.shape)
    pack = Packer() if compressed else _bytes
    made, entries = _new_hash(stored.shape), []
    for piece in pieces(stored, chunk):
        made.update(_bytes(piece))
        entries.append(_write_block(file, pack(piece)))
    if values is not None:
        made.update(_bytes(values))
    table = _write_block(file, np.array(entries, TABLE).tobytes())
    return dict(
        shape=array.shape,
        dtype=array.dtype.str,
        stored=stored.dtype.str,
        chunk=chunk,
        raw=not compressed,
        table=table,
        values=None if values is None else _write_block(file, values.tobytes()),
        digest=made.hexdigest(),
    )


def _write_block(file: IO[bytes], data: Any) -> tuple[int, int, int]:
    place = file.tell()
    file.write(data)
    return place, len(data), zlib.crc32(data)


def _bytes(piece: np.ndarray) -> Any:
    return np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data


def _new_hash(shape: Sequence[int]) -> Any:
    return hashlib.blake2b(repr(tuple(shape)).encode(), digest_size=16)
