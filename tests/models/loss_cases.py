"""Random logits and labels, and the example of HDC-HRNet's specification."""

from __future__ import annotations

import torch
from torch import Tensor

# classes 0 and 1 of a 2x2 image
LOGITS = torch.tensor([[[[2, 0], [0, 0]], [[0, 1], [0, 3]]]], dtype=torch.float64)
LABELS = torch.tensor([[[0, 1], [0, 1]]])


def case(size: tuple[int, ...], classes: int = 3, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (N, K, *S) and labels (N, *S)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, classes, *size, generator=generator)
    return logits, torch.randint(0, classes, (batch, *size), generator=generator)
