"""One preprocessed case as one file: chunks, their tables, a header, a footer.

    "MMSGCASE" | chunks and tables of all arrays | header, JSON | footer: place and CRC-32 of the header, "ENDOCASE"

The header has of every array its shapes and types, place and CRC-32 of its tables, and a hash of its contents; a
table has place, size and CRC-32 of every chunk. So whatever is read is compared with a checksum, and nothing else is
read.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mmseg_medical.datasets.patch_store.chunked import read_box, unpack
from mmseg_medical.datasets.patch_store.layout import Box
from mmseg_medical.datasets.patch_store.metadata import decode

MAGIC, END = b'MMSGCASE', b'ENDOCASE'
FOOTER = struct.Struct('<QQI8s')
#: One entry a chunk: where its bytes lie in the file, how many, and their CRC-32.
TABLE = np.dtype([('offset', '<u8'), ('size', '<u8'), ('crc', '<u4')])


class DamagedCaseError(ValueError):
    """A file of the store is not what was written."""


class StoredArray:
    """An array in the file of a case, read when it is indexed.

    Attributes:
        shape (tuple[int, ...]): Its size.
        dtype (np.dtype): What indexing returns; integers may stand in the file where nothing is lost.
    """

    def __init__(self, file: CaseFile, name: str, record: dict[str, Any]) -> None:
        self._file, self._name, self._record = file, name, record
        self.shape: tuple[int, ...] = tuple(record['shape'])
        self.dtype, self._stored = np.dtype(record['dtype']), np.dtype(record['stored'])
        self.chunk: tuple[int, ...] = tuple(record['chunk'])
        self._blocks: dict[str, np.ndarray] = {}

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read a box.

        Args:
            index: An integer for the first axis, or slices of step 1, with or without an ellipsis.

        Returns:
            np.ndarray: What numpy would give, as a copy.

        Raises:
            DamagedCaseError: Something that had to be read is damaged.
            IndexError: The index is of another kind or outside.
        """
        if isinstance(index, int | np.integer):
            number = range(len(self))[index]
            return self._read(((number, number + 1), *((0, length) for length in self.shape[1:])))[0]
        return self._read(self._box(index))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def _box(self, index: Any) -> Box:
        parts = list(index) if isinstance(index, tuple) else [index]
        if Ellipsis in parts:
            place = parts.index(Ellipsis)
            parts[place : place + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        if len(parts) != self.ndim or not all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
            raise IndexError(f'{self._name}: a stored array of shape {self.shape} takes slices of step 1, not {index}')
        bounds = (part.indices(length) for part, length in zip(parts, self.shape, strict=True))
        return tuple((start, max(start, stop)) for start, stop, _ in bounds)

    def _read(self, box: Box) -> np.ndarray:
        return read_box(self.read_chunk, self.shape, self.chunk, self.dtype, box, self.values)

    def read_chunk(self, number: int, shape: tuple[int, ...]) -> np.ndarray:
        """Read one chunk, as it is stored.

        Raises:
            DamagedCaseError: It is not what was written.
        """
        table = self._block('table', TABLE)
        assert table is not None  # noqa: S101  for the type checker
        offset, size, crc = table[number].tolist()
        data = self._file.read(offset, size, crc, f'chunk {number} of {self._name}')
        if self._record['raw']:
            return np.frombuffer(data, self._stored).reshape(shape)
        return unpack(data, shape, self._stored)

    def _block(self, name: str, dtype: np.dtype) -> np.ndarray | None:
        if self._record[name] is not None and name not in self._blocks:
            offset, size, crc = self._record[name]
            self._blocks[name] = np.frombuffer(self._file.read(offset, size, crc, f'{name} of {self._name}'), dtype)
        return self._blocks.get(name)

    @property
    def values(self) -> np.ndarray | None:
        """Table whose entries the chunks count, where they are not the values themselves."""
        return self._block('values', self.dtype)

    @property
    def digest(self) -> str:
        """Hash of the contents when they were written."""
        return self._record['digest']


class CaseFile:
    """A stored case, open for reading.

    Args:
        path (Path): The file.
        mapped (bool): Map it into memory, where all processes share it; every chunk is then checked the first time that
            this process reads it, otherwise each time.

    Attributes:
        image (StoredArray): (C, *S).
        labels (StoredArray | None): (*S) or (K, *S).
        locations (dict[int, StoredArray]): Class to voxels (n, rank).

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read.
        DamagedCaseError: Header or footer are not what was written.
    """

    def __init__(self, path: Path, mapped: bool = False) -> None:
        self.path = path
        self._map: mmap.mmap | None = None
        self._checked: set[int] = set()
        self._file = path.open('rb')
        try:
            header = self._header(os.fstat(self._file.fileno()).st_size)
            if mapped:
                self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
                self.close()
        except BaseException:
            self.close()
            raise
        self._fields = header['fields']
        self.arrays = {name: StoredArray(self, name, record) for name, record in header['arrays'].items()}
        self.image = self.arrays['image']
        self.labels = self.arrays.get('labels')
        self.locations = {int(number): self.arrays[name] for number, name in header['locations']}

    @property
    def fields(self) -> dict[str, Any]:
        """What the pipeline noted beside image and labels, made anew at each call."""
        return decode(self._fields)

    def _header(self, length: int) -> dict[str, Any]:
        if length < len(MAGIC) + FOOTER.size:
            raise DamagedCaseError(f'{self.path} has {length} bytes, which is no whole case')
        begin = self._file.read(len(MAGIC))
        self._file.seek(length - FOOTER.size)
        offset, size, crc, end = FOOTER.unpack(self._file.read(FOOTER.size))
        if (begin, end) != (MAGIC, END):
            raise DamagedCaseError(f'{self.path} does not begin and end as the file of a case')
        if offset + size + FOOTER.size != length:
            raise DamagedCaseError(f'{self.path}: the footer is damaged')
        return json.loads(self.read(offset, size, crc, 'header'))

    def read(self, offset: int, size: int, crc: int, what: str) -> Any:
        """Read bytes and compare them with their checksum.

        Raises:
            DamagedCaseError: They differ.
        """
        if self._map is not None:
            data: Any = memoryview(self._map)[offset : offset + size]
            if offset in self._checked:
                return data
        else:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) != size or zlib.crc32(data) != crc:
            raise DamagedCaseError(f'{self.path}: {what} is damaged')
        self._checked.add(offset)
        return data

    def close(self) -> None:
        """Let go of the file; one that is mapped stays readable."""
        self._file.close()

    def __enter__(self) -> CaseFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
