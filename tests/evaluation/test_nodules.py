"""Scores of nodules: hand-made scans of which every number is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.nodules import NoduleRules, nodule_boxes, remove_small_parts
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.geometry import Grid
from mmseg_medical.registry import METRICS

AFFINE = np.diag([-0.5, -1.0, 2.0, 1.0])
SIZE = (40, 30, 20)
GRID = Grid(SIZE, AFFINE, 'scan.mhd')


def cube(*ranges):
    array = np.zeros(SIZE, np.uint8)
    for a in ranges:
        array[tuple(slice(low, stop) for low, stop in a)] = 1
    return array


# 8 x 4 x 2 voxels of 1 mm^3: 4 mm along each axis; and a second one
FIRST, SECOND = ((8, 16), (10, 14), (5, 7)), ((24, 28), (20, 22), (12, 14))
NODULES = np.array([[-0.5 * 11.5, -11.5, 11.0, 4.0], [-0.5 * 25.5, -20.5, 25.0, 3.0]])


def metric(**options):
    built = METRICS.build(dict(type='NoduleSegMetric', **options))
    built.dataset_meta = dict(classes=('background', 'nodule'))
    return built


def sample(name, pred, target, nodules=NODULES, **changes):
    entry = dict(
        case_id=name,
        nodules=nodules,
        mask_source='sphere',
        native_grid=GRID,
        pred_sem_seg=dict(data=torch.from_numpy(pred)[None]),
        gt_sem_seg=dict(data=torch.from_numpy(target)[None]),
        **changes,
    )
    return {key: value for key, value in entry.items() if value is not None}


def run(samples, **options):
    built = metric(**options)
    built.process(None, samples)
    return built.evaluate(len(samples)), built


NONE = np.zeros((0, 4))


def test_scans_and_nodules_by_hand(tmp_path):
    half = ((8, 12), (10, 14), (5, 7))  # half of the first nodule
    far = ((35, 37), (1, 3), (18, 20))  # 8 mm^3 elsewhere
    samples = [
        sample('a', cube(half, far), cube(FIRST, SECOND)),
        sample('b', cube(), cube(), NONE),
        sample('c', cube(far), cube(), NONE),
    ]
    numbers, built = run(samples, output_dir=str(tmp_path))
    # scan a: 64 + 16 in the target, 32 + 8 predicted, 32 in both; b is empty, c a false alarm
    assert numbers['dice_scan'] == pytest.approx((64 / 120 + 0) / 2)
    assert numbers['iou_scan'] == pytest.approx((32 / 88 + 0) / 2)
    assert numbers['recall_scan'] == pytest.approx((32 / 80 + 0) / 2)
    assert numbers['precision_scan'] == pytest.approx((32 / 40 + 0) / 2)
    # the first nodule: half of it and nothing else in its box; the second one is missed
    assert numbers['dice_nodule'] == pytest.approx((64 / 96 + 0) / 2)
    assert numbers['precision_nodule'] == pytest.approx((1 + 0) / 2)
    assert {name: numbers[name] for name in numbers if name.startswith('n_')} == {
        'n_scan': 3, 'n_missed_scan': 0, 'n_false_alarm_scan': 1, 'n_empty_scan': 1,
        'n_nodule': 2, 'n_missed_nodule': 1, 'n_false_alarm_nodule': 0, 'n_empty_nodule': 0,
    }  # fmt: skip
    assert numbers['false_positive_volume_ml'] == pytest.approx((0 + 0.008) / 2)
    assert numbers['lesion_sensitivity'] == 0.5
    assert numbers['lesion_precision'] == pytest.approx(1 / 3)
    assert numbers['lesion_f1'] == pytest.approx(2 / 5)
    assert numbers['lesion_fp_per_scan'] == pytest.approx(2 / 3)
    assert set(numbers) == set(metric().logged_names())
    assert built.nodule_table.case_ids == ('a/1', 'a/2')

    scans, nodules = (json.loads((tmp_path / name).read_text()) for name in ('metrics.json', 'nodules/metrics.json'))
    for written in (scans, nodules):
        assert written['mask_source'] == written['conventions']['mask_source'] == 'sphere'
    assert scans['detection'] == dict(tp=1, fp=2, fn=1)
    assert scans['numbers']['dice_nodule'] == pytest.approx(1 / 3)
    assert nodules['annotations']['a/2'] == dict(center_ras_mm=[-12.75, -20.5, 25.0], diameter_mm=3.0)
    assert scans['states']['b'] == {'nodule': 'empty'}
    assert CaseTable.load(tmp_path / 'metrics.json').case_ids == ('a', 'b', 'c')
    assert (tmp_path / 'nodules' / 'cases.csv').read_text().count('\n') == 3


def test_no_nodule_anywhere():
    numbers, built = run([sample('a', cube(), cube(), NONE)])
    assert math.isnan(numbers['dice_scan'])
    assert math.isnan(numbers['dice_nodule'])
    assert numbers['n_empty_scan'] == 1
    assert numbers['n_nodule'] == 0
    assert numbers['false_positive_volume_ml'] == 0
    assert built.nodule_table is None


def test_small_predictions_are_removed_first():
    """8 mm^3 are a ball of 2.48 mm."""
    samples = [sample('a', cube(FIRST, ((35, 37), (1, 3), (18, 20))), cube(FIRST), NODULES[:1])]
    kept, _ = run(samples, min_diameter_mm=2.48)
    removed, _ = run(samples, min_diameter_mm=2.49)
    assert kept['lesion_fp_per_scan'] == 1
    assert removed['lesion_fp_per_scan'] == 0
    assert removed['dice_scan'] == 1


def test_a_share_of_the_nodule_must_be_met():
    samples = [sample('a', cube(((8, 10), (10, 14), (5, 7))), cube(FIRST), NODULES[:1])]
    for threshold, found in ((0, 1), (0.25, 1), (0.26, 0)):
        assert run(samples, hit_threshold=threshold)[0]['lesion_sensitivity'] == found


def test_ignored_voxels_count_nowhere():
    target = cube(FIRST)
    target[8:12, 10:14, 5:7] = 255
    pred = cube(FIRST)
    numbers, _ = run([sample('a', pred, target, NODULES[:1])])
    assert numbers['dice_scan'] == numbers['dice_nodule'] == 1


def scores_of(probability, channels, kind):
    p = torch.from_numpy(probability)
    if kind == 'seg_probs':
        return {kind: dict(data=p[None] if channels == 1 else torch.stack([1 - p, p]))}
    return {kind: dict(data=torch.logit(p)[None] if channels == 1 else torch.stack([1 - p, p]).log())}


@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize('kind', ['seg_logits', 'seg_probs'])
def test_froc(channels, kind):
    probability = np.full(SIZE, 0.01, np.float32)
    probability[10, 11, 5] = 0.9  # in the first nodule
    probability[36, 2, 19] = 0.95  # false
    probability[25, 20, 13] = 0.4  # in the second
    cases = [
        sample('a', cube(), cube(FIRST, SECOND), **scores_of(probability, channels, kind)),
        sample('b', cube(), cube(), NONE, **scores_of(np.full(SIZE, 0.01, np.float32), channels, kind)),
    ]
    numbers, built = run(cases, froc=True, froc_threshold=0.2)
    assert built.froc_curve.num_scans == 2
    # one false candidate in two scans, more certain than both hits
    assert numbers['sensitivity@0.125'] == 0
    assert numbers['sensitivity@0.5'] == numbers['sensitivity@8'] == 1
    assert numbers['froc'] == pytest.approx(5 / 7)
    assert set(numbers) == set(metric(froc=True).logged_names())
    late, _ = run(cases, froc=True, froc_threshold=0.5)
    assert late['sensitivity@8'] == 0.5


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(nodules=None), "'a'.*no nodules"),
        (dict(mask_source=None), 'no mask_source'),
        (dict(native_grid=Grid((4, 4, 4), AFFINE)), 'must lie on the grid of the scan'),
        (dict(gt_sem_seg=dict(data=torch.zeros(1, 4, 4, 4))), 'must have one shape'),
    ],
)
def test_incomplete_samples(changes, message):
    with pytest.raises(ValueError, match=message):
        metric().process(None, [{k: v for k, v in {**sample('a', cube(), cube()), **changes}.items() if v is not None}])


def test_wrong_options_and_mixed_sources():
    with pytest.raises(ValueError, match='box_factor must be positive'):
        metric(box_factor=0)
    with pytest.raises(ValueError, match='froc_threshold must lie'):
        metric(froc=True, froc_threshold=0)
    with pytest.raises(ValueError, match='set keep_scores=True'):
        metric(froc=True).process(None, [sample('a', cube(), cube())])
    built = metric()
    built.process(None, [sample('a', cube(), cube()), {**sample('b', cube(), cube()), 'mask_source': 'mask_dir'}])
    with pytest.raises(ValueError, match='mask_dir, sphere'):
        built.evaluate(2)


def test_boxes():
    grid = Grid((20, 21, 22), np.diag([1.0, 2.0, 0.5, 1.0]))
    nodules = np.array([[5.0, 10.0, 5.0, 4.0], [0.0, 0.0, 0.0, 6.0], [19.3, 40.0, 10.5, 0.1]])
    boxes = nodule_boxes(nodules, grid)
    assert boxes[0] == (slice(1, 10), slice(3, 8), slice(2, 19))
    assert boxes[1] == (slice(0, 7), slice(0, 4), slice(0, 13))
    assert boxes[2] == (slice(19, 20), slice(20, 21), slice(21, 22))  # never empty
    assert nodule_boxes(nodules[:1], grid, factor=1)[0] == (slice(3, 8), slice(4, 7), slice(6, 15))
    assert nodule_boxes(np.zeros((0, 4)), grid) == []


def test_small_parts():
    mask = cube(FIRST, SECOND) == 1
    np.testing.assert_array_equal(remove_small_parts(mask, 16.1, (0.5, 1, 2)), cube(FIRST))
    np.testing.assert_array_equal(remove_small_parts(mask, 16, (0.5, 1, 2)), mask)
    np.testing.assert_array_equal(remove_small_parts(mask, 0, (0.5, 1, 2)), mask)
    assert NoduleRules(min_diameter_mm=10).min_volume_mm3 == pytest.approx(523.5988)
    assert not remove_small_parts(np.zeros((3, 3, 3), bool), 5, (1, 1, 1)).any()
