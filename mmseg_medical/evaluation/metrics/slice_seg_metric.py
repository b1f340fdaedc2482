"""Evaluation of volumes that were predicted slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_rank, get_world_size

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.evaluation.cases import CaseScores
from mmseg_medical.evaluation.functional.legacy import VOLUME_PRESETS, VolumeScores
from mmseg_medical.evaluation.metrics.case_seg_metric import CaseSegMetric
from mmseg_medical.evaluation.metrics.gathering import Identity, prefixed, sample_data
from mmseg_medical.registry import METRICS


@dataclass
class _Volume:
    """Slices of one volume that have arrived."""

    num_slices: int
    spacing_mm: tuple[float, ...] | None
    pred: dict[int, np.ndarray] = field(default_factory=dict)
    target: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class _Measured:
    """What is known of a volume that was complete."""

    scores: CaseScores
    legacy: VolumeScores | None


@METRICS.register_module()
class SliceSegMetric(CaseSegMetric):
    """Scores of volumes whose slices are samples: a case is a volume, not a slice.

    A slice carries ``volume_id``, ``slice_index`` (0 to ``num_slices`` - 1), ``num_slices`` and may carry
    ``spacing_mm`` of the volume (3 numbers, that between slices first). Slices arrive in any order and on any process;
    a volume is measured and its slices are dropped as soon as one process has all of them. Slices that the sampler
    repeats count once. Arguments and logged names as for
    :class:`~mmseg_medical.evaluation.metrics.case_seg_metric.CaseSegMetric`, and:

    Args:
        legacy (str | None): ``'hdc_hrnet'``, ``'hdc_hrnet_brats'`` or ``'hdc_hrnet_synapse'`` logs the numbers of that
            release beside the others, to compare with its own and for nothing else, see
            :mod:`~mmseg_medical.evaluation.functional.legacy`: ``legacy_dice``, ``legacy_dice.C`` of each class and,
            of the first, ``legacy_precision``, ``legacy_recall``, ``legacy_accuracy``, ``legacy_hd95`` (in voxels) and
            ``legacy_balanced``. It takes label maps without ignored pixels.

    Raises:
        ConfigError: ``legacy`` is none of these.
        ValueError: in :meth:`process`, naming the image: one of these keys is missing or contradicts an earlier slice,
            slices of different sizes, see also the base class; in :meth:`evaluate`: slices of a volume are missing.
    """

    def __init__(self, legacy: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        if legacy is not None and legacy not in VOLUME_PRESETS:
            known = ', '.join(VOLUME_PRESETS)
            raise ConfigError(
                f'legacy of SliceSegMetric must be one of {known}, found {legacy!r}.'
                + did_you_mean(str(legacy), VOLUME_PRESETS)
            )
        self.legacy = legacy
        self._volumes: dict[str, _Volume] = {}
        self._measured: dict[str, _Measured] = {}
        self._legacy_scores: list[VolumeScores] = []

    def logged_names(self) -> list[str]:
        """See the base class."""
        names = super().logged_names()
        if self.legacy is None:
            return names
        nothing = np.zeros((1, 1, 1), np.uint8)
        of_volume, _ = VOLUME_PRESETS[self.legacy]
        legacy = self._legacy_numbers([of_volume(nothing, nothing, len(self.classes))])
        return [*names, *prefixed(legacy, self.prefix)]

    def compute_metrics(self, results: list[CaseScores]) -> dict[str, float]:
        """See the base class."""
        return super().compute_metrics(results) | self._legacy_numbers(self._legacy_scores)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Put the slices of one batch where they belong.

        Args:
            data_batch (Any): not used.
            data_samples (Sequence[dict]): slices, see the class.
        """
        for sample in data_samples:
            identity = Identity.of(sample, len(self._volumes))
            with identity.named():
                self._add(sample)

    def _add(self, sample: dict) -> None:
        missing = [key for key in ('volume_id', 'slice_index', 'num_slices') if sample.get(key) is None]
        if missing:
            raise ValueError(f'a slice needs {", ".join(missing)}; add them to meta_keys of PackSegInputs')
        name, index, number = str(sample['volume_id']), int(sample['slice_index']), int(sample['num_slices'])
        if not 0 <= index < number:
            raise ValueError(f'slice_index must lie in 0..{number - 1} (num_slices={number}), got {index}')
        if name in self._measured:
            return  # repeated by the sampler: all slices were there already
        spacing = sample.get('spacing_mm')
        volume = self._volumes.setdefault(name, _Volume(number, None if spacing is None else tuple(spacing)))
        pred, target = (sample_data(sample, key) for key in ('pred_sem_seg', 'gt_sem_seg'))
        if pred.shape != target.shape:
            raise ValueError(f'pred_sem_seg has the shape {tuple(pred.shape)}, gt_sem_seg {tuple(target.shape)}')
        first = next(iter(volume.target.values()), None)
        if volume.num_slices != number or (first is not None and first.shape != tuple(target.shape)):
            raise ValueError(
                f'slices of the volume {name!r} differ: num_slices {volume.num_slices} and {number}, shapes '
                f'{None if first is None else first.shape} and {tuple(target.shape)}'
            )
        volume.pred[index], volume.target[index] = pred.cpu().numpy(), target.cpu().numpy()
        if len(volume.pred) == number:
            self._measured[name] = self._measure_volume(name, self._volumes.pop(name))

    def _measure_volume(self, name: str, volume: _Volume) -> _Measured:
        order = range(volume.num_slices)
        pred, target = (np.stack([of[i] for i in order], axis=1) for of in (volume.pred, volume.target))
        try:
            return _Measured(self._measure(name, pred, target, volume.spacing_mm), self._measure_legacy(pred, target))
        except (ValueError, TypeError) as error:
            raise type(error)(f'volume {name!r}: {error}') from error

    def _measure_legacy(self, pred: np.ndarray, target: np.ndarray) -> VolumeScores | None:
        if self.legacy is None:
            return None
        number = len(self.classes)
        if len(target) != 1 or int(target.max(initial=0)) >= number:
            found = f'{len(target)} masks' if len(target) != 1 else f'the label {int(target.max())}'
            raise ValueError(f'legacy={self.legacy!r} takes label maps of 0..{number - 1}, found {found}')
        of_volume, _ = VOLUME_PRESETS[self.legacy]
        return of_volume(pred[0], target[0], number)

    def _legacy_numbers(self, volumes: list[VolumeScores]) -> dict[str, float]:
        """Logged numbers of ``legacy``, by class and over classes."""
        if self.legacy is None:
            return {}
        _, over_volumes = VOLUME_PRESETS[self.legacy]
        flat: dict[str, float] = {}
        for metric, value in over_volumes(volumes).items():
            if isinstance(value, list):
                name = metric.removesuffix('_per_class')
                names = [f'legacy_{name}.{of_class}' for of_class in self.classes[1:]]
                flat.update(zip(names, value, strict=True))
            else:
                flat[f'legacy_{metric}'] = value
        return flat

    def _gather(self, size: int) -> list[CaseScores]:
        measured = self._union(all_gather_object(self._measured))
        scattered: dict[str, _Volume] = {}
        for volumes in all_gather_object(self._volumes):
            for name, volume in volumes.items():
                if name not in measured:
                    whole = scattered.setdefault(name, _Volume(volume.num_slices, volume.spacing_mm))
                    whole.pred.update(volume.pred)
                    whole.target.update(volume.target)
        for name, volume in scattered.items():
            absent = sorted(set(range(volume.num_slices)) - set(volume.pred))
            if absent:
                raise ValueError(
                    f'volume {name!r}: {len(absent)} of {volume.num_slices} slices were not predicted: '
                    f'{", ".join(map(str, absent[:10]))}; the data set of an evaluation must have all slices'
                )
        own = {name: scattered[name] for name in sorted(scattered)[get_rank() :: get_world_size()]}
        rest = {name: self._measure_volume(name, volume) for name, volume in own.items()}
        measured |= self._union(all_gather_object(rest))
        self._volumes, self._measured = {}, {}
        if not measured:
            raise ValueError('no slice was evaluated: the data loader of the evaluation is empty')
        self._legacy_scores = [one.legacy for one in measured.values() if one.legacy is not None]
        return [one.scores for one in measured.values()]

    @staticmethod
    def _union(ranks: list[dict[str, _Measured]]) -> dict[str, _Measured]:
        return {name: scores for rank in ranks for name, scores in rank.items()}
