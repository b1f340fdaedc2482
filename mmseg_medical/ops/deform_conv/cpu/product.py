"""Matrix products of small tiles: blocks of sums that stay in registers."""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import inlined
from mmseg_medical.ops.simd import VECTOR_REGISTERS, lanes, multiply_block, shift

# Registers hold ROWS x 2 sums, 2 vectors of b and a number of a.
ROWS = 12 if VECTOR_REGISTERS == 32 else 6
_wide = multiply_block(ROWS, 2)
_narrow = multiply_block(ROWS, 1)


@inlined
def multiply(
    a: Any, a_row: Any, a_step: Any, b: Any, b_vector: Any, b_step: Any, steps: Any, c: Any, c_row: Any, rows: Any,
    vectors: Any, accumulate: Any,
) -> None:  # fmt: skip
    """``c[i, j] (+)= sum_k a[i, k] b[k, j]``; rows are rounded up to a multiple of ROWS, so ``a`` and ``c`` need room.

    Strides as in :func:`~mmseg_medical.ops.simd.multiply_block`.
    """
    wide = vectors - vectors % 2
    for j in range(0, wide, 2):
        for i in range(0, rows, ROWS):
            _wide(
                shift(a, i * a_row), a_row, a_step, shift(b, j * b_vector), b_vector, b_step, steps,
                shift(c, i * c_row + j * lanes(c)), c_row, accumulate,
            )  # fmt: skip
    if wide < vectors:
        for i in range(0, rows, ROWS):
            _narrow(
                shift(a, i * a_row), a_row, a_step, shift(b, wide * b_vector), b_vector, b_step, steps,
                shift(c, i * c_row + wide * lanes(c)), c_row, accumulate,
            )  # fmt: skip
