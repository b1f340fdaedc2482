"""Noise-adjusted loss with hard-example mining of HACDR-Net."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.registry import MODELS


def noise_rates(class_counts: Sequence[float]) -> Tensor:
    """Noise strength r of each class from its number of pixels n.

    f_c = (sum_k ln n_k) - ln n_c and r = f / sum(f), as the released code computes it.

    Args:
        class_counts: positive pixel counts n.

    Returns:
        float64 tensor of shape (C,), sum 1.

    Raises:
        ValueError: fewer than two classes, or a count below 1.

    Example:
        >>> [round(r, 3) for r in noise_rates([8.6558e8, 1.6184e6, 2.1746e5, 8.5343e5, 3.3566e6]).tolist()]
        [0.182, 0.203, 0.209, 0.205, 0.2]
    """
    if len(class_counts) < 2 or min(class_counts) < 1:
        raise ValueError(
            f'class_counts must hold at least two counts of one pixel or more, found {list(class_counts)}; '
            'a class without pixels has no noise strength: leave it out or compute the counts on more images'
        )
    logs = [math.log(count) for count in class_counts]
    strengths = torch.tensor([sum(logs) - log for log in logs], dtype=torch.float64)
    return strengths / strengths.sum()


def mine_hard_pixels(scores: Tensor, threshold: float, min_kept: int) -> Tensor:
    """Which pixels have a score below max(the min_kept-th smallest, ``threshold``), strictly.

    Args:
        scores: shape (M,), high where the prediction is right.
        threshold: theta.
        min_kept: K; 0-based rank of the smallest threshold, cut to M - 1.

    Returns:
        bool tensor of shape (M,); all False is possible, where no score is below.
    """
    if scores.numel() == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    rank = min(min_kept, scores.numel() - 1)
    return scores < scores.kthvalue(rank + 1).values.clamp(min=threshold)


def na_loss(
    logits: Tensor,
    target: Tensor,
    rates: Tensor,
    noise: Tensor,
    *,
    class_weight: Tensor | None = None,
    weight: Tensor | None = None,
    threshold: float = 0.7,
    min_kept: int = 1_000_000,
    score: str = 'logit',
    mining: bool = True,
    ignore_index: int = 255,
    avg_factor: float | None = None,
    reduction: str = 'mean',
) -> Tensor:
    """Cross-entropy of noisy logits over the pixels that are predicted worst.

    z' = z + |clamp(noise, -1, 1)| * r; the loss is the mean of w_y * CE(z', y) over the pixels whose true-class score
    in z' is mined (:func:`mine_hard_pixels` over all valid pixels of the batch). The selection carries no gradient.

    Args:
        logits: z, shape (N, C, *S), unnormalised.
        target: y, shape (N, *S), integer labels.
        rates: r, shape (C,).
        noise: shape (N, C, *S).
        class_weight: w, shape (C,).
        weight: factor of each pixel, shape (N, *S).
        threshold: theta, in the unit of the score.
        min_kept: K.
        score: ``'logit'`` (released) or ``'softmax'`` (paper) value of the true class in z'.
        mining: whether easy pixels are dropped at all.
        ignore_index: label of pixels that count nowhere.
        avg_factor: divides the sum instead of the number of kept pixels; only with ``reduction='mean'``.
        reduction: ``'mean'``, ``'sum'`` or ``'none'`` (shape of ``target``, zero where dropped).

    Returns:
        The loss; a differentiable 0 if no pixel is kept.
    """
    # In float32 at least: sums over pixels leave half precision's range at 65504.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    noisy = logits + noise.clamp(-1, 1).abs() * rates.to(logits).reshape(1, -1, *[1] * (logits.ndim - 2))
    valid = target != ignore_index
    kept = valid
    if mining:
        with torch.no_grad():
            values = noisy.softmax(dim=1) if score == 'softmax' else noisy
            true_class = values.gather(1, target.where(valid, 0).unsqueeze(1)).squeeze(1)
            kept = torch.zeros_like(valid)
            kept[valid] = mine_hard_pixels(true_class[valid], threshold, min_kept)
    if class_weight is not None:
        class_weight = class_weight.to(noisy)
    losses = F.cross_entropy(noisy, target, class_weight, ignore_index=ignore_index, reduction='none')
    if weight is not None:
        losses = losses * weight
    losses = losses * kept
    if reduction == 'none':
        return losses
    if reduction == 'sum':
        return losses.sum()
    return losses.sum() / (kept.sum().clamp(min=1) if avg_factor is None else avg_factor)


@MODELS.register_module()
class NALoss(nn.Module):
    """Noise-adjusted loss (HACDR-Net, AAAI 2024, doi:10.1609/aaai.v38i6.28453); see :func:`na_loss`.

    Args:
        class_counts: pixels of each class, or the JSON that ``tools/analysis_tools/class_statistics.py`` writes.
            Counts belong to one data set at one scale: do not take another's.
        rates: noise strength of each class, instead of the one derived from ``class_counts``.
        sigma: standard deviation of the Gaussian noise before the clamp; 0 for no noise.
        threshold: theta of the mining. Released configurations use 0.5.
        min_kept: K of the mining.
        score: ``'logit'`` as released; ``'softmax'`` as in the paper's figure.
        mining: False keeps every valid pixel.
        class_weight: w of each class.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: lambda.
        loss_name: key in the log; mmengine adds up only names that contain ``loss``.

    Raises:
        ValueError: none or both of ``class_counts`` and ``rates``, an unknown ``score``, a ``loss_name`` that would
            be logged but not trained on, or a class file without counts.
    """

    def __init__(
        self,
        class_counts: Sequence[float] | str | Path | None = None,
        *,
        rates: Sequence[float] | None = None,
        sigma: float = 4.0,
        threshold: float = 0.7,
        min_kept: int = 1_000_000,
        score: str = 'logit',
        mining: bool = True,
        class_weight: Sequence[float] | None = None,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_na',
    ) -> None:
        super().__init__()
        if (class_counts is None) == (rates is None):
            raise ValueError('NALoss needs either class_counts or rates')
        if score not in ('logit', 'softmax'):
            raise ValueError(f"score={score!r} is unknown; choose 'logit' or 'softmax'")
        if not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name={loss_name!r} must start with 'loss_', or it is logged but not trained on")
        if isinstance(class_counts, (str, Path)):
            class_counts = read_class_counts(class_counts)
        strengths = torch.tensor(rates, dtype=torch.float64) if class_counts is None else noise_rates(class_counts)
        self.rates: Tensor
        self.class_weight: Tensor | None
        self.register_buffer('rates', strengths.float(), persistent=False)
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer('class_weight', weight, persistent=False)
        self.sigma = sigma
        self.threshold = threshold
        self.min_kept = min_kept
        self.score = score
        self.mining = mining
        self.reduction = reduction
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Key in the log."""
        return self._loss_name

    def sample_noise(self, logits: Tensor) -> Tensor:
        """Gaussian noise of the logits' shape, drawn anew each call."""
        return torch.randn_like(logits) * self.sigma

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int = 255,
        **kwargs: object,
    ) -> Tensor:
        """mmseg's loss interface; shapes as in :func:`na_loss`.

        Raises:
            ValueError: the logits have another number of classes than ``class_counts``.
        """
        if cls_score.shape[1] != len(self.rates):
            raise ValueError(f'NALoss has counts of {len(self.rates)} classes, the logits have {cls_score.shape[1]}')
        return self.loss_weight * na_loss(
            cls_score,
            label,
            self.rates,
            self.sample_noise(cls_score),
            class_weight=self.class_weight,
            weight=weight,
            threshold=self.threshold,
            min_kept=self.min_kept,
            score=self.score,
            mining=self.mining,
            ignore_index=ignore_index,
            avg_factor=avg_factor,
            reduction=reduction_override or self.reduction,
        )


def read_class_counts(path: str | Path) -> list[float]:
    """Pixel counts from the JSON of ``tools/analysis_tools/class_statistics.py``.

    Raises:
        ValueError: the file is missing or holds no ``counts``; says how to make one.
    """
    try:
        return json.loads(Path(path).read_text())['counts']
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'class_counts={str(path)!r} is no class statistics file ({type(error).__name__}: {error}); write one with '
            f'tools/analysis_tools/class_statistics.py CONFIG --out {path}'
        ) from error
