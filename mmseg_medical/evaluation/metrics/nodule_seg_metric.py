"""Evaluation of nodules in chest scans: per scan, per nodule, and their detection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from torch import Tensor

from mmseg_medical.evaluation.cases import CaseScores
from mmseg_medical.evaluation.functional.empty import STATES
from mmseg_medical.evaluation.functional.froc import FrocCurve, ScanCandidates, froc
from mmseg_medical.evaluation.functional.lesions import (
    LesionCounts,
    lesion_f1,
    lesion_precision,
    lesion_sensitivity,
)
from mmseg_medical.evaluation.functional.overlap import mean_of_defined
from mmseg_medical.evaluation.json_files import json_ready
from mmseg_medical.evaluation.metrics.case_seg_metric import CaseSegMetric
from mmseg_medical.evaluation.metrics.gathering import prefixed, record_samples, sample_data
from mmseg_medical.evaluation.nodules import (
    FALSE_POSITIVE,
    NoduleRules,
    NoduleScan,
    describe_nodules,
    score_scan,
)
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.evaluation.table_files import write_table
from mmseg_medical.evaluation.table_text import table_text
from mmseg_medical.registry import METRICS

_SCORES = ('dice', 'iou', 'recall', 'precision')
_NEEDED = ('nodules', 'mask_source', 'native_grid')


@METRICS.register_module()
class NoduleSegMetric(CaseSegMetric):
    """Scores of scans and of nodules, detection, and the source of the masks they were measured against.

    Logged, with m one of ``dice iou recall precision``:

    - ``m_scan``: mean over the scans. One without nodules and prediction is left out; one with a prediction counts 0;
    - ``m_nodule``: mean over all annotated nodules, each inside a box of twice its diameter; a missed one counts 0;
    - ``n_scan n_missed_scan n_false_alarm_scan n_empty_scan`` and the same with ``_nodule``: what stands behind them
      (``n_empty_nodule``: annotated, but neither target nor prediction in its box);
    - ``false_positive_volume_ml``: mean predicted volume of scans without nodules;
    - ``lesion_sensitivity lesion_precision lesion_f1 lesion_fp_per_scan``, of connected components;
    - with ``froc``: ``froc`` (mean sensitivity at 1/8 to 8 false positives a scan) and ``sensitivity@0.125`` to
      ``sensitivity@8``.

    Samples need ``nodules`` (N, 4), ``mask_source`` and ``native_grid`` in their metainfo, as ``LUNA16Dataset`` and
    ``PackVolumeInputs`` give them; with ``froc`` also ``seg_logits`` or ``seg_probs`` (``test_cfg.keep_scores=True``).
    After :meth:`evaluate`, ``table`` holds the scans, ``nodule_table`` the nodules (None if there are none),
    ``froc_curve`` the curve, on the main process. Files: ``metrics.json`` and ``cases.csv`` of the scans, in
    ``nodules`` those of the nodules; each names the source of the masks.

    Args:
        froc (bool): Also make the FROC curve, from probabilities.
        froc_threshold (float): Probability from which on voxels make its candidates.
        box_factor (float): Side of the box of a nodule, in diameters.
        min_diameter_mm (float): Predicted components smaller than the ball of this diameter are removed first, as
            ``component_filter`` does when files are predicted. Not from the candidates of the FROC.
        hit_threshold (float): Share of a nodule's voxels that must be predicted to detect it; 0: one voxel.
        **options: As for :class:`~mmseg_medical.evaluation.metrics.case_seg_metric.CaseSegMetric`; ``surface`` is None
            by default.

    Raises:
        ValueError: As there; or, naming the image, a key is missing; in :meth:`evaluate`, sources of masks are mixed.
    """

    def __init__(
        self,
        froc: bool = False,
        froc_threshold: float = 0.1,
        box_factor: float = 2.0,
        min_diameter_mm: float = 0.0,
        hit_threshold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**{'surface': None, **options})
        self.rules = NoduleRules(box_factor, min_diameter_mm, hit_threshold, froc_threshold if froc else None)
        self.nodule_table: CaseTable | None = None
        self.froc_curve: FrocCurve | None = None

    def logged_names(self) -> list[str]:
        """Names that :meth:`evaluate` will return."""
        nothing = ScanCandidates(np.zeros(0), np.zeros(0, np.int64), 0)
        flat = {name: 0.0 for part in ('scan', 'nodule') for name in _table_scalars(None, part)}
        flat |= {FALSE_POSITIVE: 0.0} | _detection(LesionCounts(0, 0, 0), 1)
        if self.rules.froc_threshold is not None:
            flat |= _froc_scalars(froc([nothing]))
        return list(prefixed(flat, self.prefix))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure one batch.

        Args:
            data_batch (Any): not used.
            data_samples (Sequence[dict]): see the class.
        """
        record_samples(self.results, data_samples, lambda identity, sample: self._score(identity.case_id, sample))

    def compute_metrics(self, results: list[NoduleScan]) -> dict[str, float]:  # type: ignore[override]
        """Summarise, print the tables and write the files; on the main process only."""
        sources = sorted({scan.mask_source for scan in results})
        if len(sources) > 1:
            raise ValueError(f'targets of different sources do not compare: {", ".join(sources)}; test one at a time')
        results = sorted(results, key=lambda scan: scan.scan.case_id)
        self.table = self._table([scan.scan for scan in results], sources[0])
        nodules = [nodule for scan in results for nodule in scan.nodules]
        self.nodule_table = self._table(nodules, sources[0]) if nodules else None
        counts = sum((scan.counts for scan in results), LesionCounts())
        numbers = _table_scalars(self.table, 'scan') | _table_scalars(self.nodule_table, 'nodule')
        numbers[FALSE_POSITIVE] = _mean(self.table, FALSE_POSITIVE)
        numbers |= _detection(counts, len(results))
        self.froc_curve = None
        if self.rules.froc_threshold is not None:
            self.froc_curve = froc([scan.candidates for scan in results if scan.candidates is not None])
            numbers |= _froc_scalars(self.froc_curve)
        self._report(results, numbers, counts, sources[0])
        return numbers

    def _score(self, case_id: str, sample: dict) -> NoduleScan:
        missing = [key for key in _NEEDED if sample.get(key) is None]
        if missing:
            raise ValueError(
                f'the sample has no {", ".join(missing)}; LUNA16Dataset gives them, keep them in meta_keys of '
                'PackVolumeInputs'
            )
        pred, target = sample_data(sample, 'pred_sem_seg'), sample_data(sample, 'gt_sem_seg')
        if pred.shape != target.shape or target.ndim != 4 or len(target) != 1:
            raise ValueError(
                f'pred_sem_seg and gt_sem_seg must have one shape (1, I, J, K), got {tuple(pred.shape)} and '
                f'{tuple(target.shape)}'
            )
        return score_scan(
            case_id,
            pred[0].cpu().numpy(),
            target[0].cpu().numpy(),
            np.asarray(sample['nodules'], np.float64).reshape(-1, 4),
            sample['native_grid'],
            self.options(),
            self.rules,
            mask_source=str(sample['mask_source']),
            probabilities=None if self.rules.froc_threshold is None else _nodule_probabilities(sample),
        )

    def _table(self, cases: list[CaseScores], mask_source: str) -> CaseTable:
        table = CaseTable.from_cases(cases, self.options())
        lines = {**table.conventions, **self.rules.conventions(), 'mask_source': mask_source}
        return replace(table, conventions=lines)

    def _report(
        self, results: list[NoduleScan], numbers: dict[str, float], counts: LesionCounts, mask_source: str
    ) -> None:
        tables = {'scan': self.table, 'nodule, in its box': self.nodule_table}
        text = '\n'.join(f'By {name}\n{table_text(table)}' for name, table in tables.items() if table is not None)
        found = f'{counts.tp} of {counts.tp + counts.fn} nodules detected, {counts.fp} false in {len(results)} scans'
        print_log(f'Targets: {mask_source}. {found}.\n{text}', logger='current')
        if self.output_dir is None or self.table is None:
            return
        detection = {'tp': int(counts.tp), 'fp': int(counts.fp), 'fn': int(counts.fn)}
        facts = {'mask_source': mask_source, 'detection': detection, 'numbers': json_ready(numbers)}
        files = write_table(self.table, self.output_dir, facts=facts)
        if self.nodule_table is not None:
            own = {'mask_source': mask_source, 'annotations': describe_nodules(results)}
            write_table(self.nodule_table, Path(self.output_dir) / 'nodules', facts=own)
        print_log(f'Results written to {files[0].parent.resolve()}', logger='current')


def _table_scalars(table: CaseTable | None, part: str) -> dict[str, float]:
    """Means and counts of one table; without one nothing is defined and all counts are 0."""
    flat = {f'{score}_{part}': math.nan if table is None else _mean(table, score) for score in _SCORES}
    states = np.zeros(0, np.int8) if table is None else table.states[:, 0]
    flat[f'n_{part}'] = float(states.size)
    for state, name in enumerate(STATES):
        if name != 'valid':
            flat[f'n_{name}_{part}'] = float((states == state).sum())
    return flat


def _mean(table: CaseTable, metric: str) -> float:
    return float(mean_of_defined(table.column(table.classes[0], metric), axis=0))


def _detection(counts: LesionCounts, num_scans: int) -> dict[str, float]:
    of = counts.tp, counts.fp, counts.fn
    return {
        'lesion_sensitivity': float(lesion_sensitivity(*of)),
        'lesion_precision': float(lesion_precision(*of)),
        'lesion_f1': float(lesion_f1(*of)),
        'lesion_fp_per_scan': counts.fp / num_scans,
    }


def _froc_scalars(curve: FrocCurve) -> dict[str, float]:
    at_rates = {
        f'sensitivity@{rate:g}': float(value)
        for rate, value in zip(curve.rates, curve.sensitivity_at_rates, strict=True)
    }
    return {'froc': curve.mean_sensitivity, **at_rates}


def _nodule_probabilities(sample: dict) -> np.ndarray:
    """Probability of a nodule, (I, J, K), of one sigmoid channel or of two of a softmax."""
    name = 'seg_probs' if 'seg_probs' in sample else 'seg_logits'
    if name not in sample:
        raise ValueError('the FROC needs seg_logits or seg_probs: set keep_scores=True in test_cfg, or froc=False')
    scores: Tensor = sample_data(sample, name).float()
    if len(scores) not in (1, 2):
        raise ValueError(f'{name} must have one channel (sigmoid) or two (softmax), got {len(scores)}')
    if name == 'seg_logits':
        scores = scores.sigmoid() if len(scores) == 1 else scores.softmax(dim=0)
    return scores[-1].cpu().numpy()
