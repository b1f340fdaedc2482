import math
import re

import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.cases import evaluate_case
from mmseg_medical.evaluation.functional import STATES
from mmseg_medical.evaluation.options import EvaluationOptions, classes_and_regions

BRATS = EvaluationOptions(
    4, classes_and_regions(4, ('NCR', 'ED', 'ET'), {'WT': (1, 2, 3), 'TC': (1, 3), 'all': (0, 1, 2, 3)})
)


def maps():
    target, pred = np.zeros((2, 6, 7, 20), np.uint8)
    target[1:5, 1:5, 2:10] = 2
    target[2:4, 2:4, 3:7] = 1
    pred[1:5, 1:5, 4:12] = 2
    pred[2:4, 2:4, 5:9] = 3
    return pred, target


def test_metrics_of_classes_and_regions():
    pred, target = maps()
    scores = evaluate_case('a', pred, target, BRATS, spacing_mm=(1, 2, 0.5))
    assert list(scores.values) == [
        'iou', 'dice', 'precision', 'recall', 'specificity', 'hd', 'hd95', 'assd', 'masd', 'nsd@1mm', 'nsd@2mm',
        'volume_mm3', 'target_volume_mm3', 'relative_volume_error',
    ]  # fmt: skip
    assert scores.unit == 'mm'
    assert scores.case_id == 'a'
    assert [STATES[s] for s in scores.states] == ['missed', 'valid', 'false_alarm', 'valid', 'valid', 'valid']
    v = {name: dict(zip(BRATS.classes, values, strict=True)) for name, values in scores.values.items()}
    # 4 x 4 x 8 voxels, moved by 2 along the last axis
    assert v['dice']['WT'] == v['recall']['WT'] == v['precision']['WT'] == 0.75
    assert v['iou']['WT'] == pytest.approx(0.6)
    assert v['hd']['WT'] == v['hd']['TC'] == 1  # two voxels of 0.5 mm
    assert v['nsd@1mm']['WT'] == 1
    assert v['volume_mm3']['WT'] == v['target_volume_mm3']['WT'] == 128
    assert v['volume_mm3']['NCR'] == 0
    assert v['target_volume_mm3']['NCR'] == 16
    assert v['relative_volume_error']['NCR'] == -1
    assert math.isnan(v['relative_volume_error']['ET'])
    diagonal = math.hypot(6, 14, 10)
    assert v['hd']['NCR'] == v['hd95']['ET'] == v['assd']['NCR'] == v['masd']['ET'] == diagonal
    assert v['dice']['NCR'] == v['nsd@2mm']['ET'] == v['recall']['NCR'] == v['precision']['ET'] == 0
    assert v['dice']['all'] == 1
    assert v['hd']['all'] == 0
    assert math.isnan(v['specificity']['all'])
    assert v['specificity']['WT'] == pytest.approx(1 - 32 / (6 * 7 * 20 - 128))
    assert scores.counts.tp.tolist()[3] == 96
    assert (scores.counts.tp + scores.counts.fp + scores.counts.fn + scores.counts.tn == 840).all()


def test_regions_are_the_masks_they_name():
    pred, target = maps()
    target[0, 0, :5] = 255
    pred[0, 0, :5] = 1
    scores = evaluate_case('a', pred, target, BRATS)
    for k, labels in enumerate(BRATS.classes.values()):
        inside = [np.isin(m, labels) & (target != 255) for m in (pred, target)]
        alone = evaluate_case('a', *(m.astype(np.uint8) for m in inside), EvaluationOptions(2, {'x': (1,)}))
        for name, values in scores.values.items():
            if name != 'specificity':
                np.testing.assert_equal(values[k], alone.values[name][0], err_msg=f'{name} of {labels}')


def test_masks_that_overlap():
    pred, target = maps()
    options = EvaluationOptions(4, classes_and_regions(4, ('NCR', 'ED', 'ET'), {'WT': (1, 2, 3)}))
    stacked = [np.stack([m == k for k in (1, 2, 3)]).astype(np.uint8) for m in (pred, target)]
    from_maps = evaluate_case('a', pred, target, options, (1, 1, 2))
    from_masks = evaluate_case('a', *map(torch.from_numpy, stacked), options, (1, 1, 2), multilabel=True)
    for name, values in from_maps.values.items():
        np.testing.assert_array_equal(from_masks.values[name], values)
    with pytest.raises(ValueError, match=re.escape('there are 2 masks, but 3 labels without the background')):
        evaluate_case('a', stacked[0][:2], stacked[1][:2], options, multilabel=True)


def test_images_without_spacing_are_measured_in_pixels():
    target = np.zeros((8, 9), np.uint8)
    target[2:5, 3:6] = 1
    scores = evaluate_case('a', np.roll(target, 2, 1), target, EvaluationOptions(2, {'EX': (1,)}, tolerances=(1.5,)))
    assert scores.unit == 'px'
    assert scores.values['hd'] == [2]
    assert scores.values['volume_px'] == scores.values['target_volume_px'] == [9]
    assert 'nsd@1.5px' in scores.values


def test_no_surfaces():
    options = EvaluationOptions(2, {'a': (1,)}, surface=None)
    assert not {'hd', 'hd95', 'assd'} & set(evaluate_case('a', np.zeros(5, int), np.zeros(5, int), options).values)
    assert 'surface' not in options.conventions('mm')


def test_policy_and_pooling_reach_the_metrics():
    pred, target = maps()
    pred[0, :2, 16:] = 2  # some voxels far from the target: more than a twentieth of one surface, fewer of both
    options = EvaluationOptions(4, {'NCR': (1,), 'ED': (2,)}, pooling='pooled', empty='infinite')
    scores = evaluate_case('a', pred, target, options)
    assert scores.values['hd'][0] == math.inf
    assert scores.values['dice'][0] == 0
    other = evaluate_case('a', pred, target, EvaluationOptions(4, {'NCR': (1,), 'ED': (2,)}))
    assert other.values['hd95'][1] != scores.values['hd95'][1]
    surfels = evaluate_case('a', pred, target, EvaluationOptions(4, {'ED': (2,)}, surface='surfel'))
    assert surfels.values['assd'][0] != other.values['assd'][1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'classes': {}}, 'there is no class to evaluate: num_classes counts the background 0, give 2 or more'),
        ({'classes': {'a': (3,)}}, "the class 'a' must have labels in 0..2 (num_classes=3), got 3"),
        ({'classes': {'a': (1, -1)}}, "the class 'a' must have labels in 0..2 (num_classes=3), got 1, -1"),
        ({'classes': {'a': ()}}, "the class 'a' must have labels in 0..2 (num_classes=3), got none"),
        ({'tolerances': (1, -1)}, 'tolerances must be 0 or more, got -1'),
        ({'surface': 'mesh'}, "surface must be one of voxel, surfel or None, got 'mesh'"),
        ({'pooling': 'mean'}, "pooling must be one of max, pooled, got 'mean'"),
        ({'empty': 'none'}, 'empty must be one of strict'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        EvaluationOptions(**{'num_classes': 3, 'classes': {'a': (1,)}, **options})


def test_names_of_classes():
    assert classes_and_regions(3) == {'class_1': (1,), 'class_2': (2,)}
    assert classes_and_regions(3, ('bg', 'a', 'b'), {'ab': [1, 2]}) == {'a': (1,), 'b': (2,), 'ab': (1, 2)}
    with pytest.raises(ValueError, match=re.escape('3 classes need 3 names, or 2 without the background, got 1: a')):
        classes_and_regions(3, ('a',))
    with pytest.raises(ValueError, match='class names must differ, got a, a'):
        classes_and_regions(3, ('a', 'a'))
    with pytest.raises(ValueError, match="the region 'a' has the name of a class"):
        classes_and_regions(3, ('a', 'b'), {'a': (1, 2)})


def test_conventions_in_words():
    lines = BRATS.conventions('mm')
    assert lines['unit'].startswith('millimetres')
    assert BRATS.conventions('px')['unit'] == 'pixels'
    assert lines['hd95'] == 'percentile in each direction, then the larger one'
    assert 'MONAI' in lines['surface']
    assert 'worst value' in lines['empty']
