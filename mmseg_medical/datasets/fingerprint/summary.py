"""What all cases of a data set come to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmseg_medical.datasets.fingerprint.case import PERCENTILES, CaseRecord, Expected


def summarise(
    records: Sequence[CaseRecord], failures: Mapping[str, str], expected: Expected, dataset: str
) -> dict[str, Any]:
    """Describe a data set.

    Args:
        records (Sequence[CaseRecord]): Of its cases.
        failures (Mapping[str, str]): Case that could not be measured -> why.
        expected (Expected): What all cases should be like.
        dataset (str): Its name.

    Returns:
        dict: What ``fingerprint.json`` holds (``docs/decathlon.md`` explains it). Without any measured case only names,
        numbers and problems.
    """
    problems = [dict(case=case, problem=why) for case, why in failures.items()]
    problems += [dict(case=r.facts['case_id'], problem=text) for r in records for text in r.problems]
    problems += _duplicates(records)
    found: dict[str, Any] = dict(
        dataset=dataset,
        num_cases=len(records) + len(failures),
        num_measured=len(records),
        problems=problems,
        notes=[dict(case=r.facts['case_id'], note=text) for r in records for text in r.notes],
    )
    if not records:
        return found
    facts = [record.facts for record in records]
    spacings = [one['spacing_ras_mm'] for one in facts if one['spacing_ras_mm'] is not None]
    return found | dict(
        size_ras=_of_axes([one['size_ras'] for one in facts]),
        spacing_ras_mm=_of_axes(spacings) if spacings else None,
        orientations=dict(Counter(str(one['orientation']) for one in facts).most_common()),
        zero_share=describe([one['zero_share'] for one in facts]),
        intensity=_intensity(records),
        classes={name: _class(facts, name) for name in expected.classes[1:]},
        cases={one['case_id']: {key: value for key, value in one.items() if key != 'case_id'} for one in facts},
    )


def describe(values: Sequence[float]) -> dict[str, float] | None:
    """Smallest, median, mean and largest of some numbers; None if there are none."""
    if not len(values):
        return None
    array = np.asarray(values, np.float64)
    named = dict(min=array.min(), median=np.median(array), mean=array.mean(), max=array.max())
    return {name: float(value) for name, value in named.items()}


def _of_axes(values: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    array = np.asarray(values, np.float64)
    return dict(
        min=array.min(axis=0).tolist(), median=np.median(array, axis=0).tolist(), max=array.max(axis=0).tolist()
    )


def _intensity(records: Sequence[CaseRecord]) -> dict[str, Any]:
    """For each modality: ranges over the cases, and numbers of the foreground of all cases, each with equal weight."""
    facts = [record.facts for record in records]
    foreground = np.concatenate([record.foreground for record in records], axis=1) if _same_channels(records) else None
    found = {}
    for number, name in enumerate(facts[0]['intensity']):
        own = [one['intensity'][name] for one in facts if name in one['intensity']]
        described = {
            part: {
                key: describe([one[part][key] for one in own if one[part] is not None])
                for key in ('mean', 'std', 'min', 'max', *PERCENTILES)
            }
            for part in ('whole', 'foreground')
        }
        pooled = None
        if foreground is not None and foreground.shape[1]:
            values = foreground[number].astype(np.float64)
            levels = np.percentile(values, list(PERCENTILES.values()))
            pooled = dict(mean=float(values.mean()), std=float(values.std()))
            pooled |= {key: float(level) for key, level in zip(PERCENTILES, levels, strict=True)}
        found[name] = dict(**described, pooled_foreground=pooled)
    return found


def _same_channels(records: Sequence[CaseRecord]) -> bool:
    return len({len(record.foreground) for record in records}) == 1


def _class(facts: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    labelled = [one for one in facts if one['classes']]
    present = [one['classes'][name] for one in labelled if one['classes'][name]['voxels']]
    return dict(
        num_cases=len(present),
        cases_without=[one['case_id'] for one in labelled if not one['classes'][name]['voxels']],
        volume_mm3=describe([one['volume_mm3'] for one in present if one['volume_mm3'] is not None]),
        voxels=describe([one['voxels'] for one in present]),
        share=describe([one['share'] for one in present]),
        components=describe([one['components'] for one in present]),
    )


def _duplicates(records: Sequence[CaseRecord]) -> list[dict[str, str]]:
    same: dict[str, list[CaseRecord]] = defaultdict(list)
    for record in records:
        same[record.digest].append(record)
    return [
        dict(
            case=other.facts['case_id'],
            problem=f'{other.facts["img_path"]}: expected an image of its own, found the voxels of '
            f'{group[0].facts["img_path"]}. Leave one of them out, or both would be learnt from and tested on.',
        )
        for group in same.values()
        for other in group[1:]
    ]
