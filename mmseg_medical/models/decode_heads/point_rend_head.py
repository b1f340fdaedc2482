"""HDC-HRNet's head with point refinement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg_medical.models.decode_heads.aggregate_head import AggregateHead
from mmseg_medical.models.layers.aligned import resize_aligned
from mmseg_medical.models.layers.point_refinement import PointRefinement
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class PointRendHead(AggregateHead):
    """:class:`AggregateHead` whose uncertain pixels are classified anew, as HDC-HRNet was released.

    There is no loss of the points: gradients come through the pixels that were replaced. It has to know the size of
    the image, where points are chosen; ``model(inputs)`` in mode ``'tensor'`` chooses them on the finest stream.

    Args:
        in_channels (Sequence[int]): C_i of the streams, the finest first.
        num_points (int): See :class:`~mmseg_medical.models.layers.point_refinement.PointRefinement`, like the two
            arguments after it.
        hidden_channels (int): Of the perceptron.
        repeat_points (bool): Whether points may repeat themselves in training, as in the release.
        **options: Of :class:`AggregateHead`.

    Raises:
        ConfigError: See :class:`StreamHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (48, 96, 192, 384),
        *,
        num_points: int = 1024,
        hidden_channels: int = 128,
        repeat_points: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, **options)
        self.points = PointRefinement(
            sum(in_channels), self.out_channels, num_points, hidden_channels, repeat_points=repeat_points
        )

    def logits_of(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Logits (N, K, H, W) of the size of the image."""
        return self.points(resize_aligned(super().logits_of(maps, size), size), maps)
