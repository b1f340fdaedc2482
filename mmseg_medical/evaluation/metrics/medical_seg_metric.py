"""Evaluation of a segmentation data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmseg_medical.evaluation.functional.confusion import ConfusionCounts, confusion_counts, confusion_matrix
from mmseg_medical.evaluation.functional.empty import EmptyPolicy
from mmseg_medical.evaluation.functional.overlap import Policy
from mmseg_medical.evaluation.functional.precision_recall import PrecisionRecall, PrecisionRecallHistogram
from mmseg_medical.evaluation.json_files import file_head
from mmseg_medical.evaluation.metrics.gathering import (
    Identity,
    Record,
    class_names,
    from_main,
    merge,
    prefixed,
    sample_data,
)
from mmseg_medical.evaluation.results import console_table, write_results
from mmseg_medical.evaluation.summary import BACKGROUND_NAMES, ImageCounts, SegSummary, summarize
from mmseg_medical.registry import METRICS

# Pixels whose probabilities are made at a time on a CPU: five classes of them stay in a processor's cache.
_PIXELS_CPU = 1 << 18
_PIXELS_CUDA = 1 << 24


@METRICS.register_module()
class MedicalSegMetric(BaseMetric):
    """Overlap and precision-recall of a data set, counted exactly, the same for any number of processes.

    Takes label maps (``gt_sem_seg`` of shape (1, H, W)) and multi-label masks ((K, H, W) for K classes). Logged in
    percent, with K classes C:

    - ``mIoU mDice mPrecision mRecall`` and ``IoU.C`` ...: pixel counts pooled over the images, then divided; the means
      run over all classes, with ``_fg`` over those that are not background;
    - ``mIoU_per_image``, ``mIoU_fg_per_image`` ... of the same four: mean over images of each class, then over classes;
    - ``AUPR.C`` of the foreground classes, ``mAUPR``: average precision over all pixels of the set.

    A class without pixels is NaN here, ``-`` in the table, null in ``metrics.json``; every mean in the files has its
    number of valid, missed and false-alarm cases beside it. After :meth:`evaluate`, ``summary`` holds all numbers and
    the curves on the main process (None elsewhere).

    Args:
        aupr (bool): also make precision-recall curves, from ``seg_probs`` or else the softmax (sigmoid for
            multi-label masks) of ``seg_logits``. Costs 26 MB a foreground class, twice that in distributed runs.
        output_dir (str | None): folder for ``metrics.json``, ``per_image.csv``, ``pr_curves.npz``; None writes nothing.
        ignore_index (int): label of pixels left out.
        background (int | str | None): class left out of ``_fg`` means and curves, by index or name; ``'auto'`` takes
            the class named "background" or "bg", if there is one.
        empty (str | dict): what a class is worth where its masks are empty: a name or a dict of
            :mod:`~mmseg_medical.evaluation.functional.empty`.
        collect_device (str): unused, kept for the base class.
        prefix (str | None): put before the logged names.

    Raises:
        ValueError: in :meth:`process`, naming the image: labels outside the class range, shapes that differ, a number
            of channels that does not match the classes, an image seen twice; in :meth:`evaluate`: two images of one
            name, or none at all.
    """

    default_prefix = ''

    def __init__(
        self,
        aupr: bool = True,
        output_dir: str | None = None,
        ignore_index: int = 255,
        background: int | str | None = 'auto',
        empty: Policy = 'strict',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        # checked here, before hours of testing end in an unknown policy
        self.empty = EmptyPolicy.of(empty)
        self.aupr = aupr
        self.output_dir = output_dir
        self.ignore_index = ignore_index
        self.background = background
        self.summary: SegSummary | None = None
        self._curves: PrecisionRecallHistogram | None = None
        # The sampler fills up ranks by repeating images, at most one a rank, its last: the curves of the newest image
        # stay apart until it is known not to be the last, or not to be repeated.
        self._newest: PrecisionRecallHistogram | None = None
        self._multilabel: bool | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the data set."""
        return class_names(self.dataset_meta)

    def logged_names(self) -> list[str]:
        """Names that :meth:`evaluate` will return, those that only label maps have included."""
        background, size = self._background(), len(self.classes)
        matrix = np.zeros((size, size), np.int64)
        nothing = ImageCounts('', '', ConfusionCounts.from_matrix(matrix), matrix)
        empty = PrecisionRecallHistogram(1).compute(0)
        curves = {self.classes[k]: empty for k in self._curve_classes(background)} if self.aupr else {}
        return list(prefixed(summarize([nothing], self.classes, background, curves).scalars(), self.prefix))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch (Any): not used.
            data_samples (Sequence[dict]): samples with ``gt_sem_seg``, ``pred_sem_seg`` and, for curves, ``seg_logits``
                or ``seg_probs``, each holding ``data``: see the class.
        """
        for sample in data_samples:
            identity = Identity.of(sample, len(self.results))
            with identity.named():
                image = self._count(sample, identity)
                if self.aupr:
                    self._add_to_curves(sample)
            self.results.append(Record(identity, image))

    def evaluate(self, size: int) -> dict[str, float]:
        """Merge the processes, drop what their sampler repeated, and report.

        Args:
            size (int): number of images of the data set.

        Returns:
            dict[str, float]: the logged numbers, on every process.
        """
        records, repeated = merge(self.results, size)
        if self.aupr and get_world_size() > 1:
            self._merge_curves(repeated)
        self.summary = None
        numbers = from_main(lambda: self.compute_metrics(records), self.prefix)
        self.results.clear()
        self._curves = self._newest = self._multilabel = None
        return numbers

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Summarise, print the table and write the files; on the main process only."""
        background = self._background()
        self.summary = summarize(
            [record.content for record in results],
            self.classes,
            background,
            self._compute_curves(background),
            self.empty,
            {'ignore_index': f'pixels labelled {self.ignore_index} count nowhere'},
        )
        print_log(f'Segmentation results\n{console_table(self.summary)}', logger='current')
        if self.output_dir is not None:
            write_results(self.summary, self.output_dir, file_head('mmseg_medical.metrics/1'))
            print_log(f'Results written to {Path(self.output_dir).resolve()}', logger='current')
        return self.summary.scalars()

    def _count(self, sample: dict, identity: Identity) -> ImageCounts:
        pred, target = sample_data(sample, 'pred_sem_seg'), sample_data(sample, 'gt_sem_seg')
        num_classes = len(self.classes)
        self._set_form(target, num_classes)
        if pred.shape != target.shape:
            raise ValueError(f'pred_sem_seg has the shape {tuple(pred.shape)}, gt_sem_seg {tuple(target.shape)}')
        if self._multilabel:
            counts = confusion_counts(pred, target, multilabel=True, ignore_index=self.ignore_index)
            return ImageCounts(identity.case_id, identity.img_path, counts)
        matrix = confusion_matrix(pred[0], target[0], num_classes, self.ignore_index)
        return ImageCounts(identity.case_id, identity.img_path, ConfusionCounts.from_matrix(matrix), matrix)

    def _set_form(self, target: Tensor, num_classes: int) -> None:
        if target.ndim != 3 or target.shape[0] not in (1, num_classes):
            raise ValueError(
                f'gt_sem_seg must have the shape (1, H, W) (label map) or ({num_classes}, H, W) (a mask for each of '
                f'the classes {", ".join(self.classes)}), got {tuple(target.shape)}'
            )
        multilabel = target.shape[0] == num_classes
        if self._multilabel not in (None, multilabel):
            raise ValueError('label maps and multi-label masks are mixed in one data set')
        self._multilabel = multilabel

    def _background(self) -> int | None:
        classes = self.classes
        if self.background == 'auto':
            named = [k for k, name in enumerate(classes) if name.lower() in BACKGROUND_NAMES]
            return named[0] if named else None
        if isinstance(self.background, str):
            if self.background not in classes:
                raise ValueError(f'background={self.background!r} is not one of the classes {", ".join(classes)}')
            return classes.index(self.background)
        if self.background is not None and not 0 <= self.background < len(classes):
            raise ValueError(f'background={self.background} is outside 0..{len(classes) - 1}')
        return self.background

    def _curve_classes(self, background: int | None) -> list[int]:
        return [k for k in range(len(self.classes)) if k != background]

    def _add_to_curves(self, sample: dict) -> None:
        indices = self._curve_classes(self._background())
        if self._curves is None:
            self._curves = PrecisionRecallHistogram(len(indices))
        histogram = self._curves
        if get_world_size() > 1:
            if self._newest is None:
                self._newest = PrecisionRecallHistogram(len(indices))
            self._curves += self._newest
            self._newest.reset()
            histogram = self._newest
        scores, final = self._scores(sample)
        target = sample_data(sample, 'gt_sem_seg').to(scores.device)
        height, width = target.shape[-2:]
        rows = max(1, (_PIXELS_CUDA if scores.is_cuda else _PIXELS_CPU) // max(width, 1))
        for top in range(0, height, rows):
            part = scores[:, top : top + rows]
            labels = target[:, top : top + rows]
            probabilities = part if final else self._probabilities(part)
            for i, k in enumerate(indices):
                if self._multilabel:
                    histogram.update_class(i, probabilities[k], labels[k], negative=0, ignore_index=self.ignore_index)
                else:
                    histogram.update_class(i, probabilities[k], labels[0], k, ignore_index=self.ignore_index)

    def _scores(self, sample: dict) -> tuple[Tensor, bool]:
        """The channels that rank the pixels, and whether they are probabilities already."""
        name = 'seg_probs' if 'seg_probs' in sample else 'seg_logits'
        if name not in sample:
            raise ValueError(
                'AUPR needs seg_probs or seg_logits in the predictions; keep them in the model, or set aupr=False in '
                'the config of MedicalSegMetric'
            )
        scores, num_classes = sample_data(sample, name), len(self.classes)
        shape = sample_data(sample, 'gt_sem_seg').shape[-2:]
        binary = num_classes == 2 and scores.shape[0] == 1 and not self._multilabel
        if scores.shape[0] != num_classes and not binary:
            raise ValueError(
                f'{name} has {scores.shape[0]} channels, but the data set has {num_classes} classes '
                f'({", ".join(self.classes)}); set num_classes={num_classes} in the decode head'
            )
        if scores.shape[-2:] != shape:
            raise ValueError(f'{name} has the size {tuple(scores.shape[-2:])}, gt_sem_seg {tuple(shape)}')
        if binary and name == 'seg_probs':
            scores = torch.cat((1 - scores, scores))
        return scores, name == 'seg_probs'

    def _probabilities(self, logits: Tensor) -> Tensor:
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self._multilabel:
            return logits.sigmoid()
        if logits.shape[0] == 1:  # one sigmoid channel for two classes, as mmseg's out_channels=1
            return torch.cat(((-logits).sigmoid(), logits.sigmoid()))
        return logits.softmax(dim=0)

    def _compute_curves(self, background: int | None) -> dict[str, PrecisionRecall]:
        if self._curves is None:
            return {}
        indices = self._curve_classes(background)
        return {self.classes[k]: self._curves.compute(i) for i, k in enumerate(indices)}

    def _merge_curves(self, repeated: list[bool]) -> None:
        # every rank takes part in the sum, one without images too
        count = len(self._curve_classes(self._background()))
        curves = self._curves or PrecisionRecallHistogram(count)
        if self._newest is not None and not repeated[get_rank()]:
            curves += self._newest
        for counts in (curves.positives, curves.pixels):
            all_reduce(counts, op='sum')
        self._curves = curves
