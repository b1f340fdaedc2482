"""Classifier of joined streams that never joins them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import conv2d

from mmseg_medical.models.layers.aligned import resize_aligned


class StreamClassifier(nn.Conv2d):
    """1x1 convolution of streams that are enlarged to the first and joined on the channel axis.

    Resizing acts on space alone and a 1x1 convolution on channels alone, so each stream is classified at its own size
    and K channels are enlarged instead of C_i: the same logits, without the map of all channels in memory. Parameters
    and their names are those of ``nn.Conv2d(sum C_i, K, 1)``.

    Args:
        in_channels (int): Sum of the channels of the streams.
        num_classes (int): K.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:  # type: ignore[override]
        """Map streams, each (N, C_i, h_i, w_i), to logits (N, K, h_0, w_0)."""
        first, *others = zip(maps, self.weight.split([x.shape[1] for x in maps], dim=1), strict=True)
        logits = conv2d(first[0], first[1], self.bias)
        for x, weight in others:
            logits = logits + resize_aligned(conv2d(x, weight), logits.shape[2:])
        return logits
