"""A sparse uint8 map as runs of equal non-zero values: small on disk, quick to expand."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

import numpy as np

_HEADER = struct.Struct('<8sIII')  # magic with version, height, width, number of runs
_MAGIC = b'MMSRLE\x00\x01'
_DIGEST_SIZE = 16


@dataclass(frozen=True)
class RunLengths:
    """Runs of equal, non-zero values of a map read row by row; all other pixels are 0.

    Attributes:
        shape (tuple[int, int]): Height and width in pixels.
        starts (np.ndarray): shape (R,), uint32, flat index of each run's first pixel, ascending.
        lengths (np.ndarray): shape (R,), uint32, pixels in each run.
        values (np.ndarray): shape (R,), uint8, none of them 0.
    """

    shape: tuple[int, int]
    starts: np.ndarray
    lengths: np.ndarray
    values: np.ndarray

    @classmethod
    def encode(cls, array: np.ndarray) -> RunLengths:
        """Encode ``array``, shape (H, W), uint8."""
        if array.ndim != 2 or array.dtype != np.uint8:
            raise TypeError(f'run lengths are taken of (H, W) uint8 maps, found {array.shape} {array.dtype}')
        height, width = array.shape
        flat = np.ascontiguousarray(array).reshape(-1)
        if flat.size == 0:
            edges = np.zeros(0, np.int64)
        else:
            changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
            edges = np.concatenate(([0], changes))
        lengths = np.diff(edges, append=flat.size)
        values = flat[edges]
        kept = values != 0
        return cls(
            (height, width),
            edges[kept].astype(np.uint32),
            lengths[kept].astype(np.uint32),
            values[kept],
        )

    def decode(self, lut: np.ndarray | None = None) -> np.ndarray:
        """Expand the runs.

        Args:
            lut (np.ndarray, optional): shape (256,) or (256, K), uint8, applied to the values on the way. It must
                map 0 to 0.

        Returns:
            np.ndarray: shape (H, W) or (H, W, K), uint8.
        """
        values = self.values if lut is None else lut[self.values]
        out = np.zeros((self.shape[0] * self.shape[1], *values.shape[1:]), np.uint8)
        if len(self.starts):
            # writing only the pixels of the runs beats expanding the whole map: lesions cover a few per cent
            lengths = self.lengths.astype(np.int64)
            ends = np.cumsum(lengths)
            offsets = np.repeat(self.starts.astype(np.int64) - (ends - lengths), lengths)
            out[np.arange(ends[-1]) + offsets] = np.repeat(values, lengths, axis=0)
        return out.reshape(*self.shape, *values.shape[1:])

    def histogram(self) -> np.ndarray:
        """Number of pixels of every value, shape (256,), int64."""
        counts = np.zeros(256, np.int64)
        np.add.at(counts, self.values, self.lengths.astype(np.int64))
        counts[0] = self.shape[0] * self.shape[1] - counts.sum()
        return counts

    def to_bytes(self) -> bytes:
        """Serialise, with a digest in front."""
        height, width = self.shape
        body = _HEADER.pack(_MAGIC, height, width, len(self.starts)) + zlib.compress(
            self.starts.astype('<u4').tobytes() + self.lengths.astype('<u4').tobytes() + self.values.tobytes(), 1
        )
        return hashlib.blake2b(body, digest_size=_DIGEST_SIZE).digest() + body

    @classmethod
    def from_bytes(cls, data: bytes) -> RunLengths:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            ValueError: the bytes are damaged or of another version.
        """
        digest, body = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
        if hashlib.blake2b(body, digest_size=_DIGEST_SIZE).digest() != digest:
            raise ValueError('the digest of the stored runs does not match their bytes')
        magic, height, width, number = _HEADER.unpack_from(body)
        if magic != _MAGIC:
            raise ValueError('stored runs of another format version')
        payload = zlib.decompress(body[_HEADER.size :])
        starts = np.frombuffer(payload, '<u4', number)
        lengths = np.frombuffer(payload, '<u4', number, 4 * number)
        values = np.frombuffer(payload, np.uint8, number, 8 * number)
        return cls((height, width), starts, lengths, values)
