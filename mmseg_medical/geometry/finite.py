"""Voxels that are no numbers."""

from __future__ import annotations

import numpy as np

from mmseg_medical.geometry.errors import file_error
from mmseg_medical.geometry.volume import Volume


def check_finite(volume: Volume) -> None:
    """Refuse NaN and infinite values.

    Args:
        volume (Volume): Image of any dtype.

    Raises:
        ValueError: There are some; it says how many of which, and where the first one is.
    """
    array = volume.array
    if array.dtype.kind not in 'fc':
        return
    with np.errstate(over='ignore', invalid='ignore'):
        if np.isfinite(array.sum(dtype=np.result_type(array.dtype, np.float64))):  # no mask is made of a good image
            return
    wrong = ~np.isfinite(array)
    if not wrong.any():  # the sum was too large
        return
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    first = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), array.shape))
    raise file_error(
        volume.name,
        expected='finite values',
        found=f'{nan} NaN and {infinite} infinite of {array.size} voxels, the first at {first}',
        remedy='Replace them where their meaning is known (masked out, overflow of an earlier step), or leave it out.',
    )
