import math

import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.functional.legacy import (
    LEGACY_PRESETS,
    balanced_score,
    hd95_of_top_edges,
    hd95_to_mask,
    legacy_scores,
    mean_and_deviation,
    nsd_voxel,
    rare_unet_multiscale,
    smoothed_dice,
)

ZEROS = np.zeros((2, 3), np.uint8)


def volume(shape, *boxes, label=1):
    """Label map with boxes, each given by its slices."""
    labels = np.zeros(shape, np.uint8)
    for box in boxes:
        labels[box] = label
    return labels


# --- HDC-HRNet -------------------------------------------------------------------------------------------------------


def test_hdc_hrnet_two_voxels():
    pred, target = volume((4, 4, 6), (0, 0, 0)), volume((4, 4, 6), (0, 0, 3))
    assert hd95_to_mask(pred == 1, target == 1) == 3.0
    scores = legacy_scores('hdc_hrnet', pred, target, num_classes=2)
    assert (scores['dice'], scores['precision'], scores['recall'], scores['hd95']) == (0, 0, 0, 3)
    assert scores['accuracy'] == pytest.approx(94 / 96, abs=1e-7)
    assert scores['balanced'] == pytest.approx(-0.3)


def test_hdc_hrnet_one_slice():
    """Every voxel of a volume of one slice is border: the distances are 18 times 0, 12 times 1 and 4 times sqrt(2)."""
    target = volume((9, 9, 1), np.s_[2:7, 2:7])
    pred = volume((9, 9, 1), np.s_[3:6, 3:6])
    scores = legacy_scores('hdc_hrnet', pred, target, num_classes=2)
    assert scores['hd95'] == pytest.approx(1.414214, abs=1e-6)
    assert scores['dice'] == pytest.approx(0.529412, abs=1e-6)
    assert scores['dice'] == 18 / (34 + 1e-6)
    assert scores['precision'] == 9 / (9 + 1e-6)
    assert scores['recall'] == 9 / (25 + 1e-6)
    assert scores['accuracy'] == 65 / (81 + 1e-6)
    assert scores['balanced'] == pytest.approx(18 / 34 - 0.1 * math.sqrt(2), abs=1e-6)


def test_hdc_hrnet_distance_is_to_the_mask_and_pooled():
    """One voxel and a row of four: 0 and 0, 1, 2, 3, whose percentile is 2.8, and 2.85 without the first 0."""
    pred, target = np.zeros((2, 1, 1, 6), bool)
    pred[0, 0, 0], target[0, 0, :4] = True, True
    assert hd95_to_mask(pred, target) == hd95_to_mask(target, pred) == pytest.approx(2.8)
    inner, outer = np.zeros((2, 7, 7, 7), bool)
    inner[3, 3, 3], outer[1:6, 1:6, 1:6] = True, True
    # The centre lies inside the other mask, at a distance of 0, and 2 from its border.
    grid = np.indices((5, 5, 5)) - 2
    border = np.abs(grid).max(0) == 2
    distances = [0.0, *np.sqrt((grid**2).sum(0))[border]]
    assert hd95_to_mask(inner, outer) == pytest.approx(np.percentile(distances, 95))


def test_hdc_hrnet_empty_masks():
    some, none = volume((3, 4, 5), (1, 1, 1)), volume((3, 4, 5))
    for pred, target, hd95 in ((none, some, 100), (some, none, 100), (none, none, 0)):
        scores = legacy_scores('hdc_hrnet', pred, target, num_classes=2)
        assert scores['hd95'] == hd95
        assert scores['dice'] == scores['precision'] == scores['recall'] == 0
        assert scores['balanced'] == pytest.approx(-0.1 * hd95)
    assert legacy_scores('hdc_hrnet', none, none, num_classes=2)['accuracy'] == pytest.approx(1, abs=1e-7)


def test_hdc_hrnet_means():
    """Over volumes first, then over the classes 1 to K - 1."""
    a, b = volume((2, 2, 3), (0, 0, 0)), volume((2, 2, 3), (0, 0, 2))
    both = a.copy()
    both[1] = 2
    scores = legacy_scores('hdc_hrnet', [a, both], [a, b], num_classes=3)
    assert scores['dice_per_class'] == pytest.approx([0.5, 0], abs=1e-6)
    assert scores['dice'] == pytest.approx(0.25, abs=1e-6)
    assert scores['hd95_per_class'] == [1.0, 50.0]
    assert scores['hd95'] == 25.5
    assert scores['precision_per_class'] == pytest.approx([0.5, 0], abs=1e-6)
    assert scores['recall_per_class'] == pytest.approx([0.5, 0], abs=1e-6)
    assert scores['accuracy_per_class'] == pytest.approx([11 / 12, 9 / 12], abs=1e-6)
    assert scores['balanced'] == pytest.approx(0.25 - 2.55, abs=1e-6)
    assert set(scores) == {
        'balanced',
        *(f'{m}{s}' for m in ('dice', 'precision', 'recall', 'accuracy', 'hd95') for s in ('', '_per_class')),
    }


@pytest.mark.parametrize(
    ('hd95', 'score'),
    [(5, 0.4), (150, -0.1), (50, -4.1), (100, -9.1), (100.5, -0.1), (math.nan, -0.1), (math.inf, -0.1), (0, 0.9)],
)
def test_balanced_score(hd95, score):
    assert balanced_score(0.9, hd95) == pytest.approx(score)


def test_hdc_hrnet_synapse():
    """Class 1 counts where the target has it, class 2 has a mean of 0, class 3 occurs only in the prediction."""
    targets = [np.array([[1, 1, 0, 2]]), np.array([[0, 0, 0, 0]])]
    preds = [np.array([[1, 0, 0, 0]]), np.array([[1, 1, 3, 3]])]
    scores = legacy_scores('hdc_hrnet_synapse', preds, targets, num_classes=4)
    assert set(scores) == {'dice', 'dice_per_class'}
    assert scores['dice_per_class'] == [2 / (3 + 1e-6), 0, 0]
    assert scores['dice'] == 2 / (3 + 1e-6)
    nothing = legacy_scores('hdc_hrnet_synapse', ZEROS, ZEROS, num_classes=3)
    assert nothing == {'dice': 0, 'dice_per_class': [0, 0]}


def test_hdc_hrnet_brats():
    targets = [np.array([[1, 1, 0, 2]]), np.array([[0, 0, 0, 0]])]
    preds = [np.array([[1, 0, 0, 2]]), np.array([[0, 0, 0, 0]])]
    scores = legacy_scores('hdc_hrnet_brats', preds, targets, num_classes=4)
    assert set(scores) == {'dice', 'dice_per_class'}
    assert scores['dice_per_class'] == pytest.approx([1 / 3, 1 / 2, 0], abs=1e-6)
    assert scores['dice'] == pytest.approx(5 / 18, abs=1e-6)


def test_hdc_hrnet_slices():
    pred, target = np.zeros((2, 2, 3, 8, 7), np.uint8)  # two batches of three slices
    pred[0, 0, 2, 1], target[0, 0, 2, 4] = 1, 1  # three pixels apart
    target[0, 1, 3, 3] = 1  # missed
    pred[1, 2, :3, :4], target[1, 2, :3, :3] = 1, 1
    scores = legacy_scores('hdc_hrnet_slices', list(pred), list(target), num_classes=3)
    e = 1e-6
    of_1 = [(e / (3 + e) + (18 + e) / (21 + e)) / 2, (e / (3 + e) + (9 + e) / (12 + e)) / 2, 9 / 13, 9 / 11]
    for metric, value in zip(('dice', 'iou', 'precision', 'recall'), of_1, strict=True):
        of_2 = 1 if metric in ('dice', 'iou') else 0
        assert scores[f'{metric}_per_class'] == pytest.approx([value, of_2])
        assert scores[metric] == pytest.approx((value + of_2) / 2)
    # 3, and 1 for 3 of 10 border pixels of the prediction.
    assert scores['hd95_per_class'] == [pytest.approx(2.0), pytest.approx(math.nan, nan_ok=True)]
    assert scores['hd95'] == pytest.approx(2.0)


def test_hdc_hrnet_slices_percentile_is_the_larger_of_both_directions():
    """One pixel and a row of 21: the pixel is on the row; the row is up to 20 away, 19 at the 95th percentile."""
    pred, target = np.zeros((2, 1, 3, 30), np.uint8)
    pred[0, 1, 2], target[0, 1, 2:23] = 1, 1
    assert legacy_scores('hdc_hrnet_slices', pred, target, num_classes=2)['hd95'] == pytest.approx(19)
    assert legacy_scores('hdc_hrnet_slices', target, pred, num_classes=2)['hd95'] == pytest.approx(19)


def test_hdc_hrnet_blocks():
    """A mask of one column has one top edge, however long it is; slices with an empty mask are skipped."""
    pred, target = np.zeros((2, 3, 9, 8), np.uint8)
    pred[0, 2:9, 1], target[0, 4:6, 1] = 1, 1
    pred[1, 0, 0], target[1, 5:, 5] = 1, 1
    pred[2, 0, 0] = 1
    scores = legacy_scores('hdc_hrnet_blocks', pred, target, num_classes=3)
    assert scores['hd95_per_class'] == [pytest.approx((2 + math.sqrt(50)) / 2), pytest.approx(math.nan, nan_ok=True)]
    assert scores['hd95'] == pytest.approx((2 + math.sqrt(50)) / 2)
    assert set(scores) == {'hd95', 'hd95_per_class'}


def test_hdc_hrnet_top_edges_pool_both_directions():
    """A pixel in the first row, where nothing lies above, and 20 pixels in a row."""
    pred, target = np.zeros((2, 4, 30), bool)
    pred[0, 0], target[0, :20] = True, True
    target[1:3, :20] = True
    assert hd95_of_top_edges(pred, target) == hd95_of_top_edges(target, pred) == pytest.approx(18)
    assert math.isnan(hd95_of_top_edges(pred, np.zeros_like(pred)))
    assert math.isnan(hd95_of_top_edges(np.zeros_like(pred), pred))


@pytest.mark.parametrize('preset', ['hdc_hrnet_slices', 'hdc_hrnet_blocks'])
def test_hdc_hrnet_batches_have_three_axes(preset):
    with pytest.raises(ValueError, match=r'takes batches of slices, shape \(N, H, W\), got \(2, 3\)'):
        legacy_scores(preset, ZEROS, ZEROS, num_classes=2)


# --- hippocampus -----------------------------------------------------------------------------------------------------


@pytest.fixture
def side_by_side():
    """Two 3x3 squares that touch along one edge."""
    return volume((8, 8), np.s_[1:4, 1:4]), volume((8, 8), np.s_[1:4, 4:7])


@pytest.mark.parametrize(('tolerance', 'nsd'), [(1, 0.375), (2, 0.625), (3, 1.0), (0, 0), (0.99, 0), (2.99, 0.625)])
def test_hippocampus_nsd(side_by_side, tolerance, nsd):
    pred, target = (labels == 1 for labels in side_by_side)
    assert nsd_voxel(pred, target, tolerance) == nsd_voxel(target, pred, tolerance) == nsd


def test_hippocampus_scores(side_by_side):
    scores = legacy_scores('hippocampus', *side_by_side, num_classes=3)
    assert scores == {
        'dice': 0.5,
        'dice_per_class': [0, 1],
        'nsd_voxel': 0.8125,
        'nsd_voxel_per_class': [0.625, 1],
    }


def test_hippocampus_empty_masks():
    some, none = np.eye(3, dtype=bool), np.zeros((3, 3), bool)
    assert smoothed_dice(none, none) == nsd_voxel(none, none) == 1
    assert smoothed_dice(some, none) == nsd_voxel(some, none) == 0
    assert smoothed_dice(none, some) == nsd_voxel(none, some) == 0
    assert smoothed_dice(some, some) == 6 / (6 + 1e-8)
    assert nsd_voxel(some, some, 0) == 1


def test_hippocampus_border_is_where_a_neighbour_is_outside_the_mask_or_the_grid():
    full, ring = np.ones((5, 5), bool), np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    assert nsd_voxel(full, ring, 0) == 1
    # The inner 3x3 pixels of a full 5x5 grid are no border; those of the 3x3 square but one are.
    assert nsd_voxel(full, ~ring, 0) == 0
    assert nsd_voxel(full, ~ring, 1) == (12 + 8) / (16 + 8)


def test_hippocampus_means_over_cases(side_by_side):
    pred, target = side_by_side
    scores = legacy_scores('hippocampus', [pred, pred], [pred, target], num_classes=2)
    assert scores['dice'] == pytest.approx(0.5)
    assert scores['nsd_voxel_per_class'] == [(1 + 0.625) / 2]


# --- RARE-UNet -------------------------------------------------------------------------------------------------------


def test_rare_unet_example():
    scores = legacy_scores('rare_unet', np.array([1, 1, 0, 2]), np.array([1, 0, 0, 2]), num_classes=3)
    assert scores['dice_per_class'] == [2 / 3, 1]
    assert scores['iou_per_class'] == [1 / 2, 1]
    assert scores['precision_per_class'] == [1 / 2, 1]
    assert scores['recall_per_class'] == [1, 1]
    assert scores['f1_per_class'] == [pytest.approx(2 / 3), 1]
    assert scores['dice'] == pytest.approx(5 / 6)
    assert set(scores) == {f'{m}{s}' for m in ('dice', 'iou', 'precision', 'recall', 'f1') for s in ('', '_per_class')}


@pytest.mark.parametrize(
    ('pred', 'target', 'expected'),
    [
        ([0, 0], [0, 0], {'dice': 1, 'iou': 1, 'precision': 1, 'recall': 1, 'f1': 1}),
        ([1, 0], [0, 0], {'dice': 0, 'iou': 0, 'precision': 0, 'recall': 1, 'f1': 0}),
        ([0, 0], [0, 1], {'dice': 0, 'iou': 0, 'precision': 1, 'recall': 0, 'f1': 0}),
        ([1, 0], [0, 1], {'dice': 0, 'iou': 0, 'precision': 0, 'recall': 0, 'f1': 1}),
    ],
)
def test_rare_unet_zero_denominators(pred, target, expected):
    scores = legacy_scores('rare_unet', np.array(pred), np.array(target), num_classes=2)
    assert {metric: scores[metric] for metric in expected} == expected


def test_rare_unet_pools_a_batch_and_averages_batches():
    first = np.array([[1, 1, 1, 1], [1, 0, 0, 0]]), np.array([[1, 1, 1, 1], [0, 1, 1, 0]])
    second = np.array([[0, 0, 0, 1]]), np.array([[0, 0, 1, 1]])
    scores = legacy_scores('rare_unet', (first[0], second[0]), (first[1], second[1]), num_classes=2)
    assert scores['dice'] == pytest.approx((8 / 11 + 2 / 3) / 2)
    assert scores['iou'] == pytest.approx((4 / 7 + 1 / 2) / 2)


def test_rare_unet_multiscale():
    scales = [{'dice': v, 'dice_per_class': [v, w]} for v, w in ((0.8, 1.0), (0.6, 0.3), (0.4, 0.3), (0.2, 0.0))]
    scores = rare_unet_multiscale(scales)
    assert scores == {
        'dice_fullres': 0.8,
        'dice_scale1': 0.6,
        'dice_scale2': 0.4,
        'dice_scale3': 0.2,
        'dice_multiscale_avg': pytest.approx(0.4),
        'dice_all_scales_avg': pytest.approx(0.5),
        'dice_per_class_fullres': [0.8, 1.0],
        'dice_per_class_scale1': [0.6, 0.3],
        'dice_per_class_scale2': [0.4, 0.3],
        'dice_per_class_scale3': [0.2, 0.0],
        'dice_per_class_multiscale_avg': pytest.approx([0.4, 0.2]),
        'dice_per_class_all_scales_avg': pytest.approx([0.5, 0.4]),
    }
    assert rare_unet_multiscale(scales[:2])['dice_multiscale_avg'] == 0.6


def test_rare_unet_multiscale_refuses():
    with pytest.raises(ValueError, match='scales must be those of the full resolution and at least one more, got 1'):
        rare_unet_multiscale([{'dice': 0.5}])
    with pytest.raises(ValueError, match=r"all scales must have the same metrics, got \[\['dice'\], \['iou'\]\]"):
        rare_unet_multiscale([{'dice': 0.5}, {'iou': 0.5}])


# rows of the published tables: scales 1, 1/2, 1/4, 1/8, and the average over them
@pytest.mark.parametrize(
    ('scales', 'average', 'deviation'),
    [
        ((0.874, 0.034, 0, 0), 0.227, 0.374),
        ((0.874, 0.848, 0.776, 0.334), 0.708, 0.219),
        ((0.871, 0.213, 0.066, 0), 0.287, 0.345),
        ((0.871, 0.860, 0.822, 0.789), 0.835, 0.032),
        ((0.880, 0.819, 0.529, 0.030), 0.564, 0.336),
        ((0.880, 0.820, 0.597, 0.055), 0.588, 0.325),
        ((0.869, 0.862, 0.835, 0.785), 0.838, 0.033),
        ((0.699, 0.208, 0.176, 0.066), 0.287, 0.244),
        ((0.699, 0.677, 0.620, 0.493), 0.622, 0.080),
        ((0.688, 0.072, 0.033, 0.046), 0.210, 0.277),
        ((0.688, 0.673, 0.627, 0.509), 0.624, 0.070),
        ((0.712, 0.670, 0.583, 0.399), 0.591, 0.120),
        ((0.712, 0.660, 0.595, 0.452), 0.605, 0.097),
        ((0.693, 0.693, 0.652, 0.567), 0.651, 0.052),
    ],
)
def test_rare_unet_average_over_scales(scales, average, deviation):
    assert mean_and_deviation(scales) == pytest.approx((average, deviation), abs=1.1e-3)


def test_rare_unet_table():
    """Mean over the classes of a case, where both empty is 1, then over cases."""
    preds = [np.array([1, 1, 0, 2]), np.array([1, 0, 0, 0])]
    targets = [np.array([1, 0, 0, 2]), np.array([0, 1, 0, 0])]
    scores = legacy_scores('rare_unet_table', preds, targets, num_classes=3)
    assert scores == {
        'dice': pytest.approx(2 / 3),
        'dice_std': pytest.approx(1 / 6),
        'dice_per_case': [pytest.approx(5 / 6), 0.5],
    }


# --- HACDR-Net -------------------------------------------------------------------------------------------------------


def test_hacdr_pools_the_set():
    preds = [np.array([[0, 0, 1, 1]]), np.array([[1], [1]])]
    targets = [np.array([[0, 1, 1, 255]]), np.array([[1], [0]])]
    scores = legacy_scores('hacdr', preds, targets, num_classes=3)
    # Class 0: 1 shared of 2 and 2 pixels; class 1: 2 shared of 3 and 3; class 2 does not occur.
    assert scores['dice_per_class'][:2] == pytest.approx([50, 200 / 3])
    assert scores['iou_per_class'][:2] == pytest.approx([100 / 3, 50])
    assert scores['precision_per_class'][:2] == pytest.approx([50, 200 / 3])
    assert scores['recall_per_class'][:2] == pytest.approx([50, 200 / 3])
    assert scores['fscore_per_class'][:2] == pytest.approx([50, 200 / 3])
    for metric in ('dice', 'iou', 'precision', 'recall', 'fscore'):
        values = scores[f'{metric}_per_class']
        assert math.isnan(values[2])
        assert scores[metric] == pytest.approx((values[0] + values[1]) / 2)
    assert len(scores) == 10


def test_hacdr_ratios_differ():
    """4 pixels predicted, 2 true, 1 shared: recall counts the target, precision the prediction."""
    scores = legacy_scores('hacdr', np.array([1, 1, 1, 1, 0]), np.array([1, 0, 0, 0, 1]), num_classes=2)
    assert scores['precision_per_class'] == [0, 25]
    assert scores['recall_per_class'] == [0, 50]
    assert scores['fscore_per_class'][1] == pytest.approx(100 / 3)
    assert math.isnan(scores['fscore_per_class'][0])
    assert scores['fscore'] == pytest.approx(100 / 3)
    assert scores['dice_per_class'] == [0, pytest.approx(100 / 3)]
    assert scores['iou_per_class'] == [0, 20]


def test_hacdr_without_a_counted_pixel():
    ignored = np.full((2, 2), 255)
    scores = legacy_scores('hacdr', np.zeros((2, 2), int), ignored, num_classes=2)
    assert math.isnan(scores['dice'])
    assert all(math.isnan(value) for value in scores['dice_per_class'])


# --- all -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('preset', LEGACY_PRESETS)
def test_arrays_of_any_kind(preset):
    """Tensors, bool, floats that hold integers, views with negative strides; the input stays as it is."""
    rng = np.random.default_rng(3)
    pred, target = rng.integers(0, 2, (2, 2, 7, 5))
    kept = pred.copy()
    scores = legacy_scores(preset, pred, target, num_classes=2)
    for p, t in (
        (torch.from_numpy(pred), torch.from_numpy(target)),
        (pred.astype(bool), target.astype(bool)),
        (pred.astype(np.float16), target.astype(np.float64)),
        (pred[:, ::-1][:, ::-1], np.asfortranarray(target)),
    ):
        assert legacy_scores(preset, p, t, num_classes=2) == scores
        assert legacy_scores(preset, [p], (t,), num_classes=2) == scores
    np.testing.assert_array_equal(pred, kept)


@pytest.mark.parametrize('preset', LEGACY_PRESETS)
def test_every_preset_says_where_it_departs(preset):
    assert 'Departs from the standard: ' in LEGACY_PRESETS[preset].__doc__


def test_unknown_preset():
    with pytest.raises(ValueError, match=r"preset must be one of hacdr, .*, got 'rareunet'\. Did you mean rare_unet"):
        legacy_scores('rareunet', ZEROS, ZEROS, num_classes=2)


def test_bad_maps():
    with pytest.raises(ValueError, match='num_classes counts the background and must be at least 2, got 1'):
        legacy_scores('rare_unet', ZEROS, ZEROS, num_classes=1)
    with pytest.raises(ValueError, match='must be equally many maps, one or more, got 2 and 1'):
        legacy_scores('rare_unet', [ZEROS, ZEROS], [ZEROS], num_classes=2)
    with pytest.raises(ValueError, match='must be equally many maps, one or more, got 1 and 2'):
        legacy_scores('rare_unet', [ZEROS], [ZEROS, ZEROS], num_classes=2)
    with pytest.raises(ValueError, match='must be equally many maps, one or more, got 0 and 0'):
        legacy_scores('rare_unet', [], [], num_classes=2)
    with pytest.raises(ValueError, match=r'pred and target must have one shape, got \(2, 3\) and \(3, 2\)'):
        legacy_scores('rare_unet', ZEROS, ZEROS.T, num_classes=2)
    with pytest.raises(ValueError, match=r'pred holds labels outside 0..1: 2 \(6 px\)'):
        legacy_scores('rare_unet', ZEROS + 2, ZEROS, num_classes=2)
    with pytest.raises(ValueError, match=r'target holds labels outside 0..1: 255 \(6 px\); num_classes=2, ignore_ind'):
        legacy_scores('rare_unet', ZEROS, ZEROS + 255, num_classes=2)
    with pytest.raises(ValueError, match=r'pred holds labels outside 0..1: 255 .*ignore_index=255'):
        legacy_scores('hacdr', ZEROS + 255, ZEROS, num_classes=2)
    with pytest.raises(ValueError, match='pred must hold integer labels'):
        legacy_scores('hacdr', ZEROS + 0.5, ZEROS, num_classes=2)
    with pytest.raises(ValueError, match='target must hold integer labels'):
        legacy_scores('hacdr', ZEROS, ZEROS + 0.5, num_classes=2)
