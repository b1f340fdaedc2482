"""Pixels that count, in pieces."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

# A piece stays in a processor's cache, and what is made of it, such as an index of int64, never exists for a whole map.
_CHUNK_CPU = 1 << 18
_CHUNK_CUDA = 1 << 24


def kept_pixels(values: Tensor, targets: Tensor, ignore_index: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through the pixels whose target is not ignored.

    Args:
        values (Tensor): shape (*S), or (K, *S) for several values a pixel.
        targets (Tensor): shape (*S), on the same device.
        ignore_index (int | None): target value of pixels left out; None leaves out none.

    Yields:
        tuple[Tensor, Tensor]: values of shape (P,) or (K, P) and targets of shape (P,), P > 0.
    """
    flat_values = values.reshape(*values.shape[: values.ndim - targets.ndim], -1)
    flat_targets = targets.reshape(-1)
    step = _CHUNK_CUDA if targets.is_cuda else _CHUNK_CPU
    for start in range(0, flat_targets.numel(), step):
        v, t = flat_values[..., start : start + step], flat_targets[start : start + step]
        if ignore_index is not None:
            keep = t != ignore_index
            if not bool(keep.all()):
                v, t = v[..., keep], t[keep]
        if t.numel():
            yield v, t
