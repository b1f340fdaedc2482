"""Overlap weighed against distance."""

import numpy as np
import pytest
import torch

from mmseg_medical.registry import METRICS


def score(pred, target, spacing, **options):
    metric = METRICS.build(dict(type='BalancedSliceMetric', **options))
    metric.dataset_meta = dict(classes=('background', 'a'))
    for i in range(len(pred)):
        pair = {
            key: {'data': torch.from_numpy(m[i : i + 1])} for key, m in (('pred_sem_seg', pred), ('gt_sem_seg', target))
        }
        identity = dict(volume_id='v', slice_index=i, num_slices=len(pred), spacing_mm=spacing, img_path=f'{i}')
        metric.process({}, [{**pair, **identity}])
    assert set(metric.logged_names()) >= {'dice', 'hd95', 'balanced'}
    return metric.evaluate(len(pred))


def test_dice_less_a_tenth_of_the_distance():
    target = np.zeros((2, 7, 9), np.uint8)
    pred = target.copy()
    target[0, 3, 2:4] = 1
    pred[0, 3, 3:5] = 1  # 2 of 4 voxels shared; the others are 2.5 mm beside
    scores = score(pred, target, (8.0, 1.5, 2.5))
    assert scores['dice'] == pytest.approx(0.5)
    assert scores['hd95'] == pytest.approx(2.5, rel=0.1)  # the percentile of two distances
    assert scores['balanced'] == pytest.approx(scores['dice'] - 0.1 * scores['hd95'], abs=1e-12)


def test_far_away_costs_no_more_than_ten_mm():
    target = np.zeros((2, 7, 9), np.uint8)
    pred = target.copy()
    target[0, 0, 0] = pred[0, 0, 8] = 1
    scores = score(pred, target, (8.0, 1.5, 20.0))
    assert scores['hd95'] == pytest.approx(160)
    assert scores['balanced'] == pytest.approx(-1)


def test_it_needs_the_distance():
    with pytest.raises(ValueError, match="set surface to 'voxel' or 'surfel', found None"):
        METRICS.build(dict(type='BalancedSliceMetric', surface=None))
