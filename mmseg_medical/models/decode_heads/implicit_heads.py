"""Implicit heads, and layers that features may pass, by name; a decode head that is nothing but an implicit head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg_medical.models.decode_heads.stream_head import StreamHead
from mmseg_medical.models.layers.coordinate_heads import CoordinateHead, SirenHead
from mmseg_medical.models.layers.difference_of_gaussians import RetinalLayer
from mmseg_medical.models.layers.gabor import EnergyGatedGaborHead, GaborHead
from mmseg_medical.models.layers.shearlet import ShearletHead
from mmseg_medical.models.layers.spectral_mask import SpectralMask
from mmseg_medical.registry import MODELS

for module in (
    CoordinateHead, EnergyGatedGaborHead, GaborHead, RetinalLayer, ShearletHead, SirenHead, SpectralMask
):  # fmt: skip
    MODELS.register_module(module=module)


@MODELS.register_module()
class ImplicitHead(StreamHead):
    """Logits of an implicit head on all streams, at the size of the image.

    Args:
        in_channels (Sequence[int]): C_i of the streams, the finest first.
        num_classes (int): K.
        implicit (dict): Registered implicit head, e.g. ``dict(type='GaborHead')``, built with ``in_channels=sum C_i``
            and ``num_classes=K`` unless it says otherwise.
        **options: Of :class:`StreamHead`.

    Raises:
        ConfigError: See :class:`StreamHead` and the implicit head.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (48, 96, 192, 384),
        *,
        num_classes: int = 4,
        implicit: dict | None = None,
        **options: Any,
    ) -> None:
        features = sum(in_channels)
        super().__init__(in_channels, features, num_classes=num_classes, **options)
        del self.conv_seg  # it would be a parameter that never gets a gradient
        implicit = {'type': 'GaborHead'} if implicit is None else implicit
        self.implicit = MODELS.build({'in_channels': features, 'num_classes': self.out_channels, **implicit})

    def decode(self, streams: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Logits (N, K, *size) of streams (N, C_i, h_i, w_i)."""
        if self.dropout is not None:
            streams = [self.dropout(x) for x in streams]
        return self.implicit(streams, (int(size[0]), int(size[1])))
