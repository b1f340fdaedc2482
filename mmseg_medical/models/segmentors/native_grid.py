"""Predictions on the grid of the file, from scores on the grid that the network saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.geometry import GridStep, restore, restore_labels
from mmseg_medical.structures import VolumeData


def put_on_native_grid(
    sample: SegDataSample,
    scores: Tensor,
    steps: Sequence[GridStep],
    decide: Callable[[Tensor], Tensor],
    keep_as: str | None = None,
    air: Sequence[float] = (),
) -> None:
    """Give a sample ``pred_sem_seg`` on the grid that its steps began with: scores are interpolated, then decided.

    Args:
        sample (SegDataSample): Gets the prediction, on the host.
        scores (Tensor): shape (K, *S), logits or probabilities, on the target of the last step.
        steps (Sequence[GridStep]): As they were applied to the image.
        decide (Callable): Maps scores (K, *B) to labels (1, *B) or masks (K, *B).
        keep_as (str | None): Name under which the sample gets the interpolated scores too; None drops them.
        air (Sequence[float]): Scores of what was cropped away, one a class.

    Raises:
        ValueError: The scores are not on the target of the last step.
    """
    sample.set_data(dict(pred_sem_seg=VolumeData(data=torch.as_tensor(restore_labels(scores, steps, decide)))))
    if keep_as is not None:
        native = restore(scores.detach().cpu().numpy(), steps, 'linear', fill=air)
        sample.set_data({keep_as: VolumeData(data=torch.as_tensor(native))})
