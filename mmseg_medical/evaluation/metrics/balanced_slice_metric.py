"""Slices scored as volumes, with a score that weighs overlap against distance."""

from __future__ import annotations

from typing import Any

from mmseg_medical.evaluation.functional.legacy import balanced_score
from mmseg_medical.evaluation.metrics.slice_seg_metric import SliceSegMetric
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.registry import METRICS


@METRICS.register_module()
class BalancedSliceMetric(SliceSegMetric):
    """:class:`SliceSegMetric` that also logs ``balanced = dice - hd95 / 10``, by which HDC-HRNet keeps a checkpoint.

    ``hd95`` is that of this metric, in mm; the release counts voxels. See
    :func:`~mmseg_medical.evaluation.functional.legacy.balanced_score` for what is odd about it.

    Args:
        **options: Of :class:`SliceSegMetric`.

    Raises:
        ValueError: ``surface`` is None, or as the base class raises.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.conventions['surface'] is None:
            raise ValueError("BalancedSliceMetric needs the HD95: set surface to 'voxel' or 'surfel', found None")

    def _scalars(self, table: CaseTable) -> dict[str, float]:
        scalars = super()._scalars(table)
        return {**scalars, 'balanced': balanced_score(scalars['dice'], scalars['hd95'])}
