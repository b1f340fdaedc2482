"""One loss at several resolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import interpolate

from mmseg_medical.ops.labels import LINEAR_MODES, resize_labels

TARGET_RESIZES = ('linear', 'area', 'nearest-exact', 'nearest')


def deep_supervision(
    loss: Callable[[Tensor, Tensor], Tensor],
    logits: Sequence[Tensor],
    target: Tensor,
    weights: Sequence[float] | str = 'halving',
    target_resize: str = 'nearest-exact',
    align_corners: bool = False,
) -> Tensor:
    """Weighted sum of a loss over logits of several sizes.

    Args:
        loss (Callable): Logits and targets of one size to a scalar.
        logits (Sequence[Tensor]): each (N, K, *S_k), the finest first.
        target (Tensor): labels (N, *S) or masks (N, K, *S).
        weights (Sequence[float] | str): One for each of the logits, ``'halving'`` (1, 1/2, 1/4 ... divided by their
            sum) or ``'equal'`` (mean).
        target_resize (str): See :func:`resize_target`; or ``'keep'``: logits are interpolated linearly to the size of
            the target, which stays as it is.
        align_corners (bool): Whether they are interpolated between the centres of the corners.

    Returns:
        Tensor: Scalar.

    Raises:
        ValueError: There are not as many weights as logits, or a name is unknown.
    """
    numbers = _weights(weights, len(logits))
    terms = [
        number * loss(*_of_one_size(scores, target, target_resize, align_corners))
        for number, scores in zip(numbers, logits, strict=True)
        if number
    ]
    return sum(terms[1:], terms[0])


def resize_target(target: Tensor, size: Sequence[int], mode: str = 'nearest-exact') -> Tensor:
    """Give labels or masks another size.

    Args:
        target (Tensor): labels (N, *S) or masks (N, K, *S).
        size (Sequence[int]): Wanted; of the same rank.
        mode (str): ``'linear'`` and ``'area'`` take the label with the largest share, around the centre of the new
            voxel or in its whole block, see :func:`~mmseg_medical.ops.resize_labels`. The others are those of torch's
            ``interpolate``: ``'nearest-exact'`` takes the voxel at the centre of the new one, of blocks of even length
            the one behind it, ``'nearest'`` the voxel ``floor(i n / m)``, off by up to half a coarse voxel.

    Returns:
        Tensor: same dtype; ``target`` itself if it has the size.

    Raises:
        ValueError: ``mode`` is none of them.
    """
    if mode not in TARGET_RESIZES:
        raise ValueError(f'targets are resized by one of {TARGET_RESIZES}, got {mode!r}')
    rank = len(size)
    if tuple(target.shape[-rank:]) == tuple(size):
        return target
    if mode in ('linear', 'area'):
        return resize_labels(target, size, mode)
    channels = target if target.ndim == rank + 2 else target[:, None]
    # float32 holds labels up to 2^24 exactly
    resized = interpolate(channels.float(), tuple(size), mode=mode).to(target.dtype)
    return resized if target.ndim == rank + 2 else resized[:, 0]


def _of_one_size(
    logits: Tensor, target: Tensor, target_resize: str, align_corners: bool = False
) -> tuple[Tensor, Tensor]:
    size = logits.shape[2:]
    if target_resize != 'keep':
        return logits, resize_target(target, size, target_resize)
    wanted = target.shape[-len(size) :]
    if size == wanted:
        return logits, target
    return interpolate(logits, tuple(wanted), mode=LINEAR_MODES[len(size)], align_corners=align_corners), target


def _weights(weights: Sequence[float] | str, number: int) -> list[float]:
    if weights == 'equal':
        return [1 / number] * number
    if weights == 'halving':
        halves = [0.5**k for k in range(number)]
        return [half / sum(halves) for half in halves]
    if isinstance(weights, str):
        raise ValueError(f"weights must be numbers, 'halving' or 'equal', got {weights!r}")
    if len(weights) != number:
        raise ValueError(f'{number} maps of logits need as many weights, got {list(weights)}')
    return [float(weight) for weight in weights]
