"""What a sliding window over an image takes of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmseg_medical.ops.slab_merger import class_group, part_rows, slab_axis


def slide_memory_bytes(
    size: Sequence[int],
    window: Sequence[int],
    *,
    num_classes: int,
    channels: int = 1,
    batch_size: int = 1,
    weights: str = 'gaussian',
    result_bytes: int = 1,
    decide_bytes: int = 7,
    network_bytes: int = 0,
    axis: int | None = None,
    scale: Sequence[int] | None = None,
) -> int:
    """Peak memory of :func:`slide_windows` beside the image, in bytes.

    With W points in a window, K classes, and P points in the slab, the image with its slab axis cut to the window::

        4 (K + 1) P + 4 (1 + G) W + 4 B C W + max(4 B K W + decide R, network) + result S

    that is sums and weights; the importance of a window's points, and G classes weighted by it (64 MiB, but at least
    one class; none with constant weights); the batch; its scores and what ``decide`` needs for R points at a time
    (those of 128 MiB of scores, but at least a row of the slab), or what the network needs; the result. With a
    ``scale`` all but the batch are of the finer grid.

    Args:
        size: lengths S of the image's axes.
        window: lengths of a window.
        num_classes: number K of channels of the scores.
        channels: number C of channels of the image.
        batch_size: number B of windows in a batch.
        weights: as in :func:`slide_windows`.
        result_bytes: of a point of the result; labels in uint8 take 1, scores 4 K.
        decide_bytes: that ``decide`` takes for a point at its peak; default: those of ``argmax_labels``.
        network_bytes: that the network takes for a batch at its peak, its scores included.
        axis: as in :func:`slide_windows`.
        scale: as in :func:`slide_windows`.

    Example:
        >>> slide_memory_bytes((512, 512, 300), (96, 96, 96), num_classes=14)
        1085675520
    """
    axis = slab_axis(size, window) if axis is None else range(len(size))[axis]
    batch = 4 * batch_size * channels * math.prod(window)
    if scale is not None:
        size, window = ([n * s for n, s in zip(lengths, scale, strict=True)] for lengths in (size, window))
    slab = [min(window[a], n) if a == axis else n for a, n in enumerate(size)]
    in_slab, in_window = math.prod(slab), math.prod(window)
    group = 0 if weights == 'constant' else class_group(window, num_classes)
    merge = 4 * (num_classes + 1) * in_slab + 4 * (1 + group) * in_window
    in_part = part_rows(slab, num_classes, axis) * in_slab // slab[axis]
    scores = 4 * batch_size * num_classes * in_window + decide_bytes * in_part
    return merge + batch + max(scores, network_bytes) + result_bytes * math.prod(size)
