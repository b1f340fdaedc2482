"""Decode head whose classes are points of a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.decode_heads.stream_head import StreamHead
from mmseg_medical.models.layers.aligned import concat_aligned
from mmseg_medical.models.layers.constellation import ConstellationLayer
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class ConstellationHead(StreamHead):
    """Constellation layer on all streams, enlarged to the finest and joined.

    The logits are at most 0, so that a sigmoid of one would be at most 0.5: it takes a softmax over the classes.

    Args:
        in_channels (Sequence[int]): C_i of the streams, the finest first.
        num_classes (int): K.
        embed_dims (int): Dimensions of the space of the prototypes, see :class:`ConstellationLayer`.
        seed (int): Of prototypes outside the plane, which are random.
        **options: Of :class:`StreamHead`.

    Raises:
        ConfigError: See :class:`StreamHead` and :class:`ConstellationLayer`; or each class is to have its own sigmoid.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (48, 96, 192, 384),
        *,
        num_classes: int = 4,
        embed_dims: int = 2,
        seed: int = 0,
        **options: Any,
    ) -> None:
        features = sum(in_channels)
        super().__init__(in_channels, features, num_classes=num_classes, **options)
        if self.multi_label or self.out_channels == 1:
            raise ConfigError(
                'logits of ConstellationHead are never positive, a sigmoid of one is at most a half; set '
                'multi_label=False and leave out_channels to num_classes'
            )
        del self.conv_seg  # it would be a parameter that never gets a gradient
        self.constellation = ConstellationLayer(features, self.out_channels, embed_dims, seed)

    def decode(self, streams: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Logits (N, K, h_0, w_0) of streams (N, C_i, h_i, w_i)."""
        if self.dropout is not None:
            streams = [self.dropout(x) for x in streams]
        return self.constellation(concat_aligned(streams))[0]
