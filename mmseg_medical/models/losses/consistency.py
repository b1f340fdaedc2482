"""Consistency of RARE-UNet: what a gate makes of a coarse image is what the encoder makes of the fine one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def consistency_terms(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Mean squared difference of each pair, m_d; the second of a pair gets no gradient.

    Args:
        pairs (Sequence[tuple[Tensor, Tensor]]): Of the gate and of the encoder, both (N, C, *S).

    Returns:
        list[Tensor]: Scalars, in float32 at least.
    """
    terms = []
    for gated, encoded in pairs:
        wide = torch.promote_types(gated.dtype, torch.float32)  # squares leave half precision's range
        terms.append((gated.to(wide) - encoded.detach().to(wide)).square().mean())
    return terms


def consistency_loss(terms: Sequence[Tensor], norm: str = 'squared') -> Tensor:
    """Put the terms of S levels together.

    Args:
        terms (Sequence[Tensor]): m_d of the levels 1..S.
        norm (str): ``'squared'``: divided by S twice, as released; ``'mean'``: once.

    Raises:
        ValueError: ``norm`` is neither.
    """
    if norm not in ('squared', 'mean'):
        raise ValueError(f"norm must be 'squared' or 'mean', got {norm!r}")
    mean = torch.stack(list(terms)).mean()
    return mean / len(terms) if norm == 'squared' else mean


def consistency_ramp(epoch: int, start: int) -> float:
    """Factor of the consistency loss: it rises linearly and is 1 from epoch ``start`` on.

    Args:
        epoch (int): Counted from 0.
        start (int): ``cons_loss_start_epoch`` of the release; 0 for a factor of 1 at all times.

    Example:
        >>> [round(consistency_ramp(epoch, 20), 2) for epoch in (0, 10, 20, 30)]
        [0.0, 0.5, 1.0, 1.0]
    """
    return min(1.0, (epoch + 1e-6) / (start + 1e-6))
