"""Evaluation of a data set case by case: overlap, surfaces and volumes of images or volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmseg_medical.errors import did_you_mean
from mmseg_medical.evaluation.cases import CaseScores, evaluate_case
from mmseg_medical.evaluation.functional.overlap import Policy
from mmseg_medical.evaluation.functional.surface.metrics import Pooling
from mmseg_medical.evaluation.functional.surface.sites import Surface
from mmseg_medical.evaluation.metrics.gathering import (
    Identity,
    class_names,
    from_main,
    merge,
    prefixed,
    record_samples,
    sample_data,
)
from mmseg_medical.evaluation.options import EvaluationOptions, classes_and_regions
from mmseg_medical.evaluation.summary import BACKGROUND_NAMES
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.evaluation.table_files import write_table
from mmseg_medical.evaluation.table_text import table_text
from mmseg_medical.registry import METRICS


@METRICS.register_module()
class CaseSegMetric(BaseMetric):
    """Scores of each image or volume, and their means over the cases; the same for any number of processes.

    Takes label maps (``gt_sem_seg`` of shape (1, *S)) and multi-label masks ((K, *S) for K classes), of two or three
    axes. ``spacing_mm`` of a sample, in the order of the axes, makes distances millimetres; without it they are
    pixels. Logged, for each metric m of :func:`~mmseg_medical.evaluation.cases.evaluate_case` (``dice iou precision
    recall hd hd95 assd masd nsd@1mm volume_mm3`` ...):

    - ``m.C``: mean over the cases in which m of the class or region C is defined;
    - ``m``: mean of these over the classes, or over the regions where there are some.

    Scores lie in 0..1. After :meth:`evaluate`, ``table`` holds all cases on the main process (None elsewhere).

    Args:
        regions (dict[str, list[int | str]] | None): region -> labels or names of the classes it is made of, e.g.
            ``dict(WT=[1, 2, 3], TC=[1, 3], ET=[3])``.
        tolerances (Sequence[float]): of the normalised surface Dice, in mm.
        surface (str | None): ``'voxel'``, ``'surfel'``, or None for no surface metrics.
        pooling (str): of HD95, ``'max'`` or ``'pooled'``.
        empty (str | dict): what empty masks are worth, see :mod:`~mmseg_medical.evaluation.functional.empty`.
        ignore_index (int): label of pixels left out.
        output_dir (str | None): folder for ``metrics.json`` and ``cases.csv``; None writes nothing.
        collect_device (str): unused, kept for the base class.
        prefix (str | None): put before the logged names.

    Raises:
        ValueError: in the constructor: no such surface, pooling or policy; in :meth:`process`, naming the image: labels
            outside the class range, shapes that differ; in :meth:`evaluate`: two cases of one name, or none at all.
    """

    default_prefix = ''

    def __init__(
        self,
        regions: Mapping[str, Sequence[int | str]] | None = None,
        tolerances: Sequence[float] = (1.0, 2.0),
        surface: Surface | None = 'voxel',
        pooling: Pooling = 'max',
        empty: Policy = 'strict',
        ignore_index: int = 255,
        output_dir: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.regions = dict(regions or {})
        self.conventions: dict[str, Any] = {
            'tolerances': tuple(tolerances),
            'surface': surface,
            'pooling': pooling,
            'empty': empty,
            'ignore_index': ignore_index,
        }
        EvaluationOptions(2, {'any': (1,)}, **self.conventions)  # refuses wrong ones before hours of testing
        self.output_dir = output_dir
        self.table: CaseTable | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the data set."""
        return class_names(self.dataset_meta)

    def options(self) -> EvaluationOptions:
        """What is measured: the classes without the background, then the regions."""
        names = self.classes
        # Masks have no background: their labels start at 1, as if there were one.
        first = 0 if names[0].lower() in BACKGROUND_NAMES else 1
        number = len(names) + first
        known = {name: k for k, name in enumerate(names, start=first) if k > 0}
        regions = {region: [self._label(m, known, region) for m in members] for region, members in self.regions.items()}
        return EvaluationOptions(number, classes_and_regions(number, names, regions), **self.conventions)

    def logged_names(self) -> list[str]:
        """Names that :meth:`evaluate` will return, for cases with a spacing."""
        nothing, options = np.zeros((3, 3), np.uint8), self.options()
        case = evaluate_case('', nothing, nothing, options, (1.0, 1.0))
        return list(prefixed(self._scalars(CaseTable.from_cases([case], options)), self.prefix))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure one batch.

        Args:
            data_batch (Any): not used.
            data_samples (Sequence[dict]): samples with ``gt_sem_seg`` and ``pred_sem_seg``, each holding ``data``: see
                the class.
        """

        def measure(identity: Identity, sample: dict) -> CaseScores:
            pred, target = sample_data(sample, 'pred_sem_seg'), sample_data(sample, 'gt_sem_seg')
            return self._measure(identity.case_id, pred, target, sample.get('spacing_mm'))

        record_samples(self.results, data_samples, measure)

    def evaluate(self, size: int) -> dict[str, float]:
        """Merge the processes, drop what their sampler repeated, and report.

        Args:
            size (int): number of samples of the data set.

        Returns:
            dict[str, float]: the logged numbers, on every process.
        """
        cases = self._gather(size)
        self.table = None
        numbers = from_main(lambda: self.compute_metrics(cases), self.prefix)
        self.results.clear()
        return numbers

    def compute_metrics(self, results: list[CaseScores]) -> dict[str, float]:
        """Summarise, print the table and write the files; on the main process only."""
        self.table = CaseTable.from_cases(results, self.options())
        print_log(f'Results by case\n{table_text(self.table)}', logger='current')
        if self.output_dir is not None:
            files = write_table(self.table, self.output_dir)
            print_log(f'Results written to {files[0].parent.resolve()}', logger='current')
        return self._scalars(self.table)

    def _gather(self, size: int) -> list[CaseScores]:
        records, _ = merge(self.results, size)
        return [record.content for record in records]

    def _measure(self, case_id: str, pred: Any, target: Any, spacing_mm: Sequence[float] | None) -> CaseScores:
        options = self.options()
        masks = len(self.classes)
        if target.ndim not in (3, 4) or target.shape[0] not in (1, masks):
            raise ValueError(
                f'gt_sem_seg must have the shape (1, *S) (label map) or ({masks}, *S) (a mask for each of the classes '
                f'{", ".join(self.classes)}) with two or three axes S, got {tuple(target.shape)}'
            )
        if pred.shape != target.shape:
            raise ValueError(f'pred_sem_seg has the shape {tuple(pred.shape)}, gt_sem_seg {tuple(target.shape)}')
        if target.shape[0] == masks:
            if options.num_classes == masks:
                raise ValueError(
                    f'masks of classes that may overlap have no background, but the first of the {masks} classes of '
                    f'the data set is {self.classes[0]!r}'
                )
            return evaluate_case(case_id, pred, target, options, spacing_mm, multilabel=True)
        return evaluate_case(case_id, pred[0], target[0], options, spacing_mm)

    def _scalars(self, table: CaseTable) -> dict[str, float]:
        summary = table.summary()
        averaged = list(self.regions) or list(table.classes)
        flat: dict[str, float] = {}
        for metric in table.metrics:
            means = np.array([summary[name][metric]['mean'] for name in averaged])
            defined = means[~np.isnan(means)]
            flat[metric] = float(defined.mean()) if defined.size else float('nan')
            flat.update({f'{metric}.{name}': float(summary[name][metric]['mean']) for name in table.classes})
        return flat

    @staticmethod
    def _label(member: int | str, known: dict[str, int], region: str) -> int:
        if isinstance(member, str):
            if member not in known:
                raise ValueError(
                    f'the region {region!r} names {member!r}, which is no class of the data set.'
                    + did_you_mean(member, known)
                )
            return known[member]
        return member
