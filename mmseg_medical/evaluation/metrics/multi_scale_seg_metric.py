"""Evaluation of networks that segment at several resolutions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from torch import Tensor
from torch.nn.functional import interpolate

from mmseg_medical.evaluation.functional.confusion import confusion_counts
from mmseg_medical.evaluation.functional.empty import EmptyPolicy
from mmseg_medical.evaluation.functional.overlap import SCORES, Policy, mean_of_defined
from mmseg_medical.evaluation.metrics.gathering import class_names, from_main, merge, record_samples, sample_data
from mmseg_medical.evaluation.summary import BACKGROUND_NAMES
from mmseg_medical.registry import METRICS

#: logged name -> score; precision, recall and F1 as RARE-UNet logs them beside Dice and IoU
_METRICS = {'dice': 'dice', 'iou': 'iou', 'precision': 'precision', 'recall': 'recall', 'f1': 'dice'}


@METRICS.register_module()
class MultiScaleSegMetric(BaseMetric):
    """Scores of a prediction at full resolution and at S coarser scales, the names as RARE-UNet logs them.

    Takes label maps ``pred_sem_seg`` and ``gt_sem_seg`` of shape (1, *S) and, for each scale d = 1..S, a label map
    ``pred_sem_seg_scale{d}`` of any size. The truth at its size is ``gt_sem_seg_scale{d}`` where the sample has one, or
    else ``gt_sem_seg`` resized to it with nearest neighbours (voxel ``floor(i n / m)``). For m in ``dice iou precision
    recall f1``, each case by itself, without the background:

    - ``m_fullres``, ``m_scale1`` ... : mean over the cases of each class, then over classes;
    - ``m_per_class_fullres.C`` ...: the same of one class C;
    - ``m_multiscale_avg``: mean of the scales 1 to S, without full resolution; ``m_all_scales_avg``: with it.

    The original pools counts over a batch, and scores 1 where a class is absent; its numbers are
    ``legacy_scores('rare_unet', ...)`` of :mod:`~mmseg_medical.evaluation.functional.legacy`.

    Args:
        num_scales (int): number S of coarser scales.
        empty (str | dict): what empty masks are worth, see :mod:`~mmseg_medical.evaluation.functional.empty`.
        ignore_index (int): label of pixels left out.
        collect_device (str): unused, kept for the base class.
        prefix (str | None): put before the logged names.

    Raises:
        ValueError: in :meth:`process`, naming the image: a scale is missing, or see
            :func:`~mmseg_medical.evaluation.functional.confusion_counts`.
    """

    default_prefix = ''

    def __init__(
        self,
        num_scales: int = 3,
        empty: Policy = 'strict',
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if num_scales < 1:
            raise ValueError(f'num_scales must be at least 1, got {num_scales}')
        self.num_scales = num_scales
        self.empty = EmptyPolicy.of(empty)
        self.ignore_index = ignore_index

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the data set."""
        return class_names(self.dataset_meta)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch (Any): not used.
            data_samples (Sequence[dict]): see the class.
        """
        record_samples(self.results, data_samples, lambda _, sample: self._count_scales(sample))

    def _count_scales(self, sample: dict) -> np.ndarray:
        target = sample_data(sample, 'gt_sem_seg')
        counts = [self._count(sample_data(sample, 'pred_sem_seg'), target)]
        for d in range(1, self.num_scales + 1):
            pred = sample_data(sample, f'pred_sem_seg_scale{d}')
            given = f'gt_sem_seg_scale{d}'
            coarse = sample_data(sample, given) if given in sample else _resized(target, pred.shape[1:])
            counts.append(self._count(pred, coarse))
        return np.stack(counts)

    def evaluate(self, size: int) -> dict[str, float]:
        """Merge the processes, drop what their sampler repeated, and average.

        Args:
            size (int): number of samples of the data set.

        Returns:
            dict[str, float]: the logged numbers, on every process.
        """
        records, _ = merge(self.results, size)
        # Sums of floats depend on their order, and that of the records on the number of processes.
        records.sort(key=lambda record: record.identity.key)
        numbers = from_main(lambda: self.compute_metrics([record.content for record in records]), self.prefix)
        self.results.clear()
        return numbers

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Average over cases, classes and scales.

        Args:
            results (list[np.ndarray]): one of shape (S + 1, 3, K) a case: tp, fp, fn of the K classes at each scale.
        """
        tp, fp, fn = np.moveaxis(np.stack(results), 2, 0)
        places = ['fullres', *(f'scale{d}' for d in range(1, self.num_scales + 1))]
        background = self.classes[0].lower() in BACKGROUND_NAMES
        flat: dict[str, float] = {}
        for name, score in _METRICS.items():
            by_class = mean_of_defined(SCORES[score](tp, fp, fn, empty=self.empty), axis=0)[:, background:]
            by_scale = mean_of_defined(by_class, axis=1)
            for place, mean, of_classes in zip(places, by_scale, by_class, strict=True):
                flat[f'{name}_{place}'] = float(mean)
                for class_name, value in zip(self.classes[background:], of_classes, strict=True):
                    flat[f'{name}_per_class_{place}.{class_name}'] = float(value)
            flat[f'{name}_multiscale_avg'] = float(mean_of_defined(by_scale[1:], axis=0))
            flat[f'{name}_all_scales_avg'] = float(mean_of_defined(by_scale, axis=0))
        return flat

    def _count(self, pred: Tensor, target: Tensor) -> np.ndarray:
        counts = confusion_counts(pred, target, len(self.classes), ignore_index=self.ignore_index)
        return np.stack((counts.tp, counts.fp, counts.fn))


def _resized(target: Tensor, size: Sequence[int]) -> Tensor:
    """Labels of shape (1, *S) at another size, by nearest neighbours; float64 holds any label."""
    return interpolate(target[None].double(), tuple(size), mode='nearest')[0].to(target.dtype)
