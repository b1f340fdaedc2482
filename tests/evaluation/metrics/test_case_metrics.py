"""Accumulators that score case by case: images and volumes, slices of volumes, several scales."""

import json
import math
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

from mmseg_medical.evaluation.cases import evaluate_case
from mmseg_medical.evaluation.options import EvaluationOptions
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.registry import METRICS

CLASSES = ('background', 'RV', 'MYO', 'LV')
SPACING = (8.0, 1.5, 1.25)


def volume(index, shape=(5, 11, 13)):
    """Prediction and target of one volume, the same for one index."""
    generator = np.random.default_rng(index)
    target = generator.integers(0, 4, tuple(-(-n // 3) for n in shape)).repeat(3, 0).repeat(3, 1).repeat(3, 2)
    target = target[tuple(slice(n) for n in shape)]
    pred = np.where(generator.random(shape) < 0.1, 0, target)
    target[0, 0, :3] = 255
    return torch.from_numpy(pred)[None], torch.from_numpy(target)[None]


def sample(index, **changes):
    pred, target = volume(index)
    entry = {
        'case_id': f'patient{index}',
        'spacing_mm': SPACING,
        'pred_sem_seg': {'data': pred},
        'gt_sem_seg': {'data': target},
    }
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def slices(index, order=None, **changes):
    pred, target = volume(index)
    return [
        {
            'img_path': f'patient{index}_{i}.png',
            'volume_id': f'patient{index}',
            'slice_index': i,
            'num_slices': 5,
            'spacing_mm': SPACING,
            'pred_sem_seg': {'data': pred[:, i]},
            'gt_sem_seg': {'data': target[:, i]},
            **changes,
        }
        for i in order or range(5)
    ]


def metric(name='CaseSegMetric', classes=CLASSES, **options):
    built = METRICS.build({'type': name, **options})
    built.dataset_meta = {'classes': classes}
    return built


def evaluate(samples, name='CaseSegMetric', classes=CLASSES, **options):
    built = metric(name, classes, **options)
    for entry in samples:
        built.process(None, [entry])
    return built.evaluate(len(samples)), built


def expected_table(indices, **options):
    options = EvaluationOptions(4, {'RV': (1,), 'MYO': (2,), 'LV': (3,)}, **options)
    cases = [evaluate_case(f'patient{i}', *(m[0] for m in volume(i)), options, SPACING) for i in indices]
    return CaseTable.from_cases(cases, options)


def test_means_of_volumes():
    found, built = evaluate([sample(0), sample(1), sample(2)])
    table = expected_table(range(3))
    np.testing.assert_array_equal(built.table.values, table.values)
    assert found['hd95.MYO'] == pytest.approx(table.column('MYO', 'hd95').mean())
    assert found['dice'] == pytest.approx(np.mean([found[f'dice.{c}'] for c in CLASSES[1:]]))
    assert built.logged_names() == list(found)
    assert built.results == []


def test_images_of_two_axes_without_spacing():
    pred, target = (m[:, 1] for m in volume(0))
    found, _ = evaluate([sample(0, pred_sem_seg={'data': pred}, gt_sem_seg={'data': target}, spacing_mm=None)])
    assert 'nsd@1px.LV' in found
    assert found['volume_px.LV'] == float((pred == 3).sum() - ((pred == 3) & (target == 255)).sum())


def test_regions_replace_classes_in_means():
    regions = {'heart': ['RV', 2, 'LV'], 'left': ['MYO', 'LV']}
    found, built = evaluate([sample(0)], regions=regions, tolerances=(3,), prefix='val')
    assert built.table.classes == ('RV', 'MYO', 'LV', 'heart', 'left')
    assert found['val/dice'] == pytest.approx((found['val/dice.heart'] + found['val/dice.left']) / 2)
    pred, target = (m[0].clone() for m in volume(0))
    pred[target == 255], target[target == 255] = 0, 0
    alone = evaluate_case('', pred > 0, target > 0, EvaluationOptions(2, {'heart': (1,)}), SPACING)
    assert found['val/hd.heart'] == alone.values['hd'][0]


def test_masks_that_overlap():
    pred, target = volume(0)
    masks = [torch.cat([(m == 2) | (m == 3), m == 3]).to(torch.uint8) for m in (pred, target)]
    found, _ = evaluate(
        [sample(0, pred_sem_seg={'data': masks[0]}, gt_sem_seg={'data': masks[1]})], classes=('epicardium', 'LV')
    )
    whole = evaluate_case('', masks[0][0], masks[1][0], EvaluationOptions(2, {'x': (1,)}), SPACING)
    assert found['hd95.epicardium'] == whole.values['hd95'][0]
    with pytest.raises(ValueError, match=re.escape("the first of the 2 classes of the data set is 'background'")):
        evaluate(
            [sample(0, pred_sem_seg={'data': masks[0]}, gt_sem_seg={'data': masks[1]})], classes=('background', 'LV')
        )


def test_files(tmp_path):
    evaluate([sample(0)], output_dir=str(tmp_path))
    table = CaseTable.load(tmp_path / 'metrics.json')
    np.testing.assert_array_equal(table.values, expected_table([0]).values)
    assert (tmp_path / 'cases.csv').read_text().startswith('case,class,state,iou,dice')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'surface': 'mesh'}, 'surface must be one of voxel'),
        ({'pooling': 'mean'}, 'pooling must be one of max'),
        ({'empty': 'none'}, 'empty must be one of strict'),
        ({'tolerances': (-1,)}, 'tolerances must be 0 or more'),
    ],
)
def test_wrong_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        metric(**options)


@pytest.mark.parametrize(
    ('regions', 'message'),
    [
        ({'RV': [1]}, "the region 'RV' has the name of a class"),
        ({'x': ['MYOC']}, "the region 'x' names 'MYOC', which is no class of the data set. Did you mean"),
        ({'x': [4]}, "the class 'x' must have labels in 0..3 (num_classes=4), got 4"),
    ],
)
def test_wrong_regions(regions, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric(regions=regions).options()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'gt_sem_seg': None}, 'the sample has no gt_sem_seg'),
        (
            {'gt_sem_seg': {'data': torch.zeros(2, 3, 4)}},
            'gt_sem_seg must have the shape (1, *S) (label map) or (4, *S)',
        ),
        ({'gt_sem_seg': {'data': torch.zeros(1, 3)}}, 'with two or three axes S, got (1, 3)'),
        (
            {'gt_sem_seg': {'data': torch.zeros(1, 3, 4)}},
            'pred_sem_seg has the shape (1, 5, 11, 13), gt_sem_seg (1, 3, 4)',
        ),
        ({'gt_sem_seg': {'data': torch.full((1, 5, 11, 13), 9)}}, 'target holds labels outside 0..3: 9 (715 px)'),
        ({'spacing_mm': (1, 1)}, 'spacing_mm must have one number for each of the 3 axes'),
    ],
)
def test_wrong_samples_are_named(changes, message):
    with pytest.raises(ValueError, match=re.escape("image 'patient7' (no img_path): ") + '.*' + re.escape(message)):
        metric().process(None, [sample(7, **changes)])


def test_cases_of_one_name():
    with pytest.raises(ValueError, match="the image 'patient1' was evaluated twice"):
        evaluate([sample(1), sample(1)])
    with pytest.raises(ValueError, match='the data set names no classes'):
        evaluate([sample(1)], classes=())


def test_slices_make_the_scores_of_their_volumes():
    mixed = [*slices(1, [3, 0]), *slices(0, [4, 2, 0]), *slices(1, [1, 4, 2]), *slices(0, [1, 3])]
    found, built = evaluate(mixed, 'SliceSegMetric')
    whole, _ = evaluate([sample(0), sample(1)])
    assert found == whole
    assert built.table.case_ids == ('patient0', 'patient1')


def test_slices_of_a_measured_volume_are_dropped_and_repeated_ones_count_once():
    built = metric('SliceSegMetric')
    built.process(None, slices(0, [0, 1, 1, 2]))
    assert len(built._volumes['patient0'].pred) == 3
    built.process(None, slices(0, [3, 4]))
    assert built._volumes == {}
    built.process(None, slices(0, [0]))
    assert built._volumes == {}
    assert built.evaluate(5) == evaluate([sample(0)])[0]


def test_missing_slices():
    with pytest.raises(ValueError, match=re.escape("volume 'patient0': 2 of 5 slices were not predicted: 1, 3;")):
        evaluate(slices(0, [0, 2, 4]), 'SliceSegMetric')
    with pytest.raises(ValueError, match='no slice was evaluated'):
        evaluate([], 'SliceSegMetric')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'volume_id': None, 'num_slices': None}, 'a slice needs volume_id, num_slices; add them to meta_keys'),
        ({'slice_index': 5}, 'slice_index must lie in 0..4 (num_slices=5), got 5'),
        ({'slice_index': -1}, 'slice_index must lie in 0..4 (num_slices=5), got -1'),
        ({'num_slices': 6}, "slices of the volume 'patient0' differ: num_slices 5 and 6"),
        ({'gt_sem_seg': {'data': torch.zeros(1, 2, 2)}}, 'gt_sem_seg (1, 2, 2)'),
        (
            {'gt_sem_seg': {'data': torch.zeros(1, 2, 2)}, 'pred_sem_seg': {'data': torch.zeros(1, 2, 2)}},
            'shapes (1, 11, 13) and (1, 2, 2)',
        ),
    ],
)
def test_wrong_slices_are_named(changes, message):
    built = metric('SliceSegMetric')
    built.process(None, slices(0, [0]))
    with pytest.raises(
        ValueError, match=re.escape("image 'patient0_1' (patient0_1.png): ") + '.*' + re.escape(message)
    ):
        built.process(None, slices(0, [1], **changes))


def test_labels_out_of_range_name_the_volume():
    wrong = slices(0)
    wrong[2]['pred_sem_seg'] = {'data': torch.full((1, 11, 13), 4)}
    with pytest.raises(ValueError, match=re.escape("volume 'patient0': pred holds labels outside 0..3: 4 (143 px)")):
        metric('SliceSegMetric').process(None, wrong)


def scales(index, shift=1):
    """Coarse predictions that are the resized truth, but for one voxel."""
    entry = sample(index)
    pred, target = volume(index, (8, 8, 8))
    entry['pred_sem_seg'], entry['gt_sem_seg'] = {'data': pred}, {'data': target}
    for d in (1, 2):
        coarse = target[:, :: 2**d, :: 2**d, :: 2**d].clone()
        coarse[coarse == 255] = 0
        coarse.view(-1)[-1] = (coarse.view(-1)[-1] + shift) % 4
        entry[f'pred_sem_seg_scale{d}'] = {'data': coarse}
    return entry


def test_scales():
    found, _ = evaluate([scales(0), scales(1)], 'MultiScaleSegMetric', num_scales=2)
    assert len(found) == 5 * (3 + 3 * 3 + 2)
    for name in ('dice', 'iou', 'precision', 'recall', 'f1'):
        places = [found[f'{name}_{place}'] for place in ('fullres', 'scale1', 'scale2')]
        assert found[f'{name}_multiscale_avg'] == pytest.approx(np.mean(places[1:]))
        assert found[f'{name}_all_scales_avg'] == pytest.approx(np.mean(places))
        by_class = [found[f'{name}_per_class_scale1.{c}'] for c in CLASSES[1:]]
        assert found[f'{name}_scale1'] == pytest.approx(np.mean(by_class))
        assert 0 < found[f'{name}_scale2'] < 1
    assert found['f1_fullres'] == found['dice_fullres']
    exact, _ = evaluate([scales(0, shift=0)], 'MultiScaleSegMetric', num_scales=2)
    assert exact['dice_multiscale_avg'] == 1


def test_full_resolution_of_scales_is_the_mean_over_cases():
    found, _ = evaluate([scales(0), scales(1)], 'MultiScaleSegMetric', num_scales=1)
    whole, _ = evaluate([{k: v for k, v in scales(i).items() if 'scale' not in k} for i in (0, 1)])
    assert found['dice_fullres'] == pytest.approx(whole['dice'])
    assert found['recall_per_class_fullres.LV'] == pytest.approx(whole['recall.LV'])


def test_truth_of_a_scale_may_be_given():
    entry = scales(0, shift=0)
    entry['gt_sem_seg_scale1'] = {'data': torch.zeros_like(entry['pred_sem_seg_scale1']['data'])}
    found, _ = evaluate([entry], 'MultiScaleSegMetric', num_scales=2)
    assert found['dice_scale1'] == 0
    assert found['dice_scale2'] == 1


def test_wrong_scales():
    with pytest.raises(ValueError, match='num_scales must be at least 1, got 0'):
        metric('MultiScaleSegMetric', num_scales=0)
    with pytest.raises(
        ValueError, match=re.escape("image 'patient0' (no img_path): the sample has no pred_sem_seg_scale3")
    ):
        metric('MultiScaleSegMetric').process(None, [scales(0)])
    with pytest.raises(ValueError, match='the data set names no classes'):
        evaluate([scales(1)], 'MultiScaleSegMetric', classes=(), num_scales=2)


def test_nearest_neighbours_of_a_ramp():
    from mmseg_medical.evaluation.metrics.multi_scale_seg_metric import _resized

    ramp = torch.arange(16)[None, None]
    assert _resized(ramp, (1, 8)).tolist() == [[[0, 2, 4, 6, 8, 10, 12, 14]]]
    assert _resized(ramp, (1, 2)).tolist() == [[[0, 8]]]


# Samples of each metric for 5 volumes, in the order of a data set.
BUILDS = {
    'CaseSegMetric': lambda: [sample(i) for i in range(5)],
    'SliceSegMetric': lambda: [entry for i in range(5) for entry in slices(i)],
    'MultiScaleSegMetric': lambda: [scales(i) for i in range(5)],
}


def _options(name):
    return {'num_scales': 2} if name == 'MultiScaleSegMetric' else {}


def _rank(rank, world, port, folder):
    from mmengine.dataset import DefaultSampler

    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world)
    results = {}
    for name, build in BUILDS.items():
        samples, built = build(), metric(name, **_options(name))
        for index in DefaultSampler(samples, shuffle=False):
            built.process(None, [samples[index]])
        results[name] = built.evaluate(len(samples))
    Path(folder, f'rank{rank}.json').write_text(json.dumps(results))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two_processes')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_rank, (2, port, str(folder)), nprocs=2)
    return folder


@pytest.mark.parametrize('name', BUILDS)
def test_two_processes_give_what_one_gives(name, two_processes):
    ranks = [json.loads((two_processes / f'rank{r}.json').read_text())[name] for r in range(2)]
    alone, _ = evaluate(BUILDS[name](), name, **_options(name))
    assert all(not math.isnan(value) for value in alone.values())
    assert ranks[0] == ranks[1] == alone
