"""A network goes over an image, whole or window by window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from mmseg_medical.geometry import Frame
from mmseg_medical.models.segmentors.averaging import Network
from mmseg_medical.ops import slide_windows


def go_over(
    network: Network,
    image: Tensor,
    test_cfg: Mapping[str, Any],
    *,
    num_classes: int,
    background: Sequence[float],
    decide: Callable[[Tensor], Tensor] | None = None,
    frame: Frame | None = None,
) -> Tensor:
    """Scores of an image.

    Args:
        network (callable): Maps (N, C, *S) to (N, K, *S). With a frame it gets those of the N images or windows too,
            and gives K scores a point of their scale.
        image (Tensor): shape (C, *S).
        test_cfg (Mapping): ``mode``, and what belongs to it, see :class:`VolumeSegmentor`.
        num_classes (int): K.
        background (Sequence[float]): Scores of air.
        decide (callable | None): Maps scores (K, *R) of a part R of the image to what is kept, (D, *R).
        frame (Frame | None): Where the image lies in its case.

    Returns:
        Tensor: Scores (K, *S), or what ``decide`` makes of them, (D, *S); S times the scale of the frame.
    """
    if test_cfg.get('mode', 'whole') == 'whole':
        scores = (network(image[None]) if frame is None else network(image[None], [frame]))[0]
        return scores if decide is None else decide(scores)
    limit, window = test_cfg.get('skip_air'), test_cfg['window']
    if frame is not None:
        # zeros put around a small image would reach points between its last voxels
        window = [min(pair) for pair in zip(window, image.shape[1:], strict=True)]
    return slide_windows(
        network if frame is None else partial(_at_places, network, frame),
        image,
        num_classes=num_classes,
        window=window,
        overlap=test_cfg.get('overlap', 0.5),
        weights=test_cfg.get('window_weights', 'gaussian'),
        batch_size=test_cfg.get('batch_size', 1),
        decide=decide,
        skip=None if limit is None else lambda part: bool(part.max() <= limit),
        background=background,
        places=frame is not None,
        scale=None if frame is None else frame.scale,
    )


def _at_places(network: Network, frame: Frame, windows: Tensor, starts: Sequence[Sequence[int]]) -> Tensor:
    return network(windows, [frame.at(start) for start in starts])
