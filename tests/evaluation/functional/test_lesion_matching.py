import itertools
import math
import re
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mmseg_medical.evaluation.functional.components import connected_components
from mmseg_medical.evaluation.functional.lesions import (
    LesionCounts,
    lesion_f1,
    lesion_precision,
    lesion_sensitivity,
    match_instances,
    match_lesions,
)

NAN = math.nan


def row(text: str) -> np.ndarray:
    return np.array([int(c) for c in text if c != ' '])


def numbers(match) -> tuple[int, int, int]:
    return match.tp, match.fp, match.fn


# two maps of instances, which may be made of several parts
two_maps = array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6).flatmap(
    lambda shape: st.tuples(*[arrays(np.uint8, shape, elements=st.integers(0, 4))] * 2)
)
two_masks = array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7).flatmap(
    lambda shape: st.tuples(*[arrays(bool, shape)] * 2)
)


def reference(pred, target, criterion, threshold, min_size=0):
    """Counts and sum of IoU of instance maps by loops over all instances, pairs and matchings."""
    p_masks = [pred == i for i in np.unique(pred) if i]
    p_masks = [p for p in p_masks if p.sum() >= min_size]
    t_all = [target == i for i in np.unique(target) if i]
    t_masks = [t for t in t_all if t.sum() >= min_size]
    ignored = [t for t in t_all if t.sum() < min_size]
    iou = {(i, j): (t & p).sum() / (t | p).sum() for i, t in enumerate(t_masks) for j, p in enumerate(p_masks)}

    def touches(p, masks):
        return any((p & m).any() for m in masks)

    if criterion == 'overlap':
        union = np.any(p_masks, axis=0) if p_masks else np.zeros(pred.shape, bool)
        shares = [(t & union).sum() / t.sum() for t in t_masks]
        tp = sum(share > 0 and share >= threshold for share in shares)
        fp = sum(not touches(p, t_masks) and not touches(p, ignored) for p in p_masks)
        return int(tp), int(fp), len(t_masks) - int(tp), 0.0

    best = (0.0, ())
    edges = [pair for pair, value in iou.items() if value > threshold]
    for size in range(1, min(len(t_masks), len(p_masks)) + 1):
        for chosen in itertools.combinations(edges, size):
            if all(len({pair[k] for pair in chosen}) == size for k in (0, 1)):
                best = max(best, (sum(iou[pair] for pair in chosen), chosen))
    used = {j for _, j in best[1]}
    fp = sum(j not in used and not (touches(p, ignored) and not touches(p, t_masks)) for j, p in enumerate(p_masks))
    return len(best[1]), fp, len(t_masks) - len(best[1]), best[0]


@pytest.mark.parametrize('criterion', ['overlap', 'iou'])
@pytest.mark.parametrize('threshold', [0.0, 0.2, 0.5])
@pytest.mark.parametrize('min_size', [0, 3])
@settings(max_examples=15, deadline=None)
@given(maps=two_maps)
def test_agrees_with_loops(criterion, threshold, min_size, maps):
    match = match_instances(*maps, criterion, threshold, min_volume_mm3=min_size)
    *counts, iou_sum = reference(*maps, criterion, threshold, min_size)
    if criterion == 'overlap' or threshold == 0.5:
        assert numbers(match) == tuple(counts)
    else:  # of two matchings of the same sum either may be found
        assert match.tp + match.fn == counts[0] + counts[2]
    assert match.counts.iou_sum == pytest.approx(iou_sum, abs=1e-12)


def test_one_common_pixel_is_a_hit():
    match = match_lesions(row('0110 0100 10 00'), row('1100 0001 10 01'))
    assert numbers(match) == (2, 1, 1)
    assert (match.criterion, match.threshold) == ('overlap', 0)
    assert (match.num_target, match.num_pred) == (3, 3)
    assert match.target_ids.tolist() == match.pred_ids.tolist() == [1, 2, 3]
    assert match.target_detected.tolist() == [True, True, False]
    assert match.pred_false.tolist() == [False, True, False]
    assert not match.target_ignored.any()
    assert not match.pred_ignored.any()
    assert match.target_volumes_mm3.tolist() == [2, 2, 1]
    assert match.pred_volumes_mm3.tolist() == [2, 1, 1]
    assert match.pairs.tolist() == [[1, 1], [2, 3]]
    assert match.ious.tolist() == [1 / 3, 1 / 2]
    assert match.dices.tolist() == [1 / 2, 2 / 3]
    assert match.counts == LesionCounts(2, 1, 1, 0.0)


def test_covered_share():
    target = row('0111111111 0 110 0')
    pred = row('0111000000 0 000 1')
    assert numbers(match_lesions(pred, target, threshold=3 / 9)) == (1, 1, 1)
    assert numbers(match_lesions(pred, target, threshold=0.34)) == (0, 1, 2)
    pred = row('1101001101 0 010 0')
    match = match_lesions(pred, target, threshold=5 / 9)
    assert numbers(match) == (1, 0, 1)
    assert match.target_detected.tolist() == [True, False]
    assert match.pairs.tolist() == [[1, 1], [1, 2], [1, 3], [1, 4], [2, 5]]
    assert match.num_pred == 5
    assert numbers(match_lesions(pred, target, threshold=0.5)) == (2, 0, 0)
    assert numbers(match_lesions(pred, target, threshold=1.0)) == (0, 0, 2)
    assert numbers(match_lesions(target, target, threshold=1.0)) == (2, 0, 0)


def test_share_at_the_threshold_counts_whatever_the_rounding():
    target, pred = np.ones(100, int), np.zeros(100, int)
    pred[:7] = 1
    assert 0.07 * 100 > 7
    assert match_lesions(pred, target, threshold=0.07).tp == 1


def test_pieces_and_bridges():
    pieces, whole = row('1101 1101'), row('1111 1111')
    assert numbers(match_lesions(pieces, whole)) == (1, 0, 0)
    assert numbers(match_lesions(whole, pieces)) == (3, 0, 0)
    match = match_lesions(pieces, whole, 'iou', 0.0)
    assert numbers(match) == (1, 2, 0)
    assert match.pairs.tolist() == [[1, 2]]
    assert match.ious.tolist() == [3 / 8]
    assert numbers(match_lesions(whole, pieces, 'iou', 0.0)) == (1, 0, 2)
    assert numbers(match_lesions(pieces, whole, 'iou')) == (0, 3, 1)


def test_iou_must_exceed_the_threshold():
    pred, target = row('0110 1110'), row('0100 1111')  # IoU 1/2 and 3/4
    match = match_lesions(pred, target, 'iou')
    assert match.threshold == 0.5
    assert numbers(match) == (1, 1, 1)
    assert match.pairs.tolist() == [[2, 2]]
    assert match.ious.tolist() == [0.75]
    assert match.dices.tolist() == [6 / 7]
    assert match.target_detected.tolist() == [False, True]
    assert match.pred_false.tolist() == [True, False]
    assert match.counts == LesionCounts(1, 1, 1, 0.75)
    assert numbers(match_lesions(pred, target, 'iou', 0.49)) == (2, 0, 0)
    assert numbers(match_lesions(pred, target, 'iou', 0.75)) == (0, 2, 2)


def test_matching_with_the_largest_sum():
    # target 1 overlaps predictions 1 and 2, target 2 prediction 2 only: the greedy choice (1, 2) would lose a match
    target = row('1111 1111 11 22 22')
    pred = row('1111 2222 22 22 20')
    greedy = match_instances(pred, target, threshold=0.2)
    assert greedy.pairs.tolist() == [[1, 1], [2, 2]]
    assert greedy.ious.tolist() == [0.4, 3 / 10]
    assert greedy.counts.iou_sum == pytest.approx(0.7)
    # with a threshold above 0.3, (1, 2) of 6/13 is better than (1, 1) of 0.4
    assert match_instances(pred, target, threshold=0.35).pairs.tolist() == [[1, 2]]


def test_blocks_are_matched_by_themselves():
    target = row('1111 1111 11 22 22')
    pred = row('1111 2222 22 22 20')
    many_target = np.concatenate([target + 2 * i * (target > 0) for i in range(40)])
    many_pred = np.concatenate([pred + 2 * i * (pred > 0) for i in range(40)])
    match = match_instances(many_pred, many_target, threshold=0.2)
    assert match.pairs.tolist() == [[i, i] for i in range(1, 81)]
    assert numbers(match) == (80, 0, 0)
    shuffled = np.concatenate(([0], 1 + np.random.default_rng(0).permutation(80)))
    again = match_instances(shuffled[many_pred], many_target, threshold=0.2)
    assert again.pairs.tolist() == [[i, shuffled[i]] for i in range(1, 81)]


def test_small_targets_are_ignored_and_small_predictions_removed():
    # predictions of 2, 2, 1 and 3 pixels on targets of 3, 1 and 2 pixels, and on none
    target = row('1110 0100 0110 0000')
    pred = row('0110 0110 0100 0111')
    for criterion, threshold in (('overlap', 0.0), ('iou', 0.3)):
        match = match_lesions(pred, target, criterion, threshold, min_volume_mm3=2)
        assert numbers(match) == (1, 1, 1)
        assert (match.num_target, match.num_pred) == (2, 2)
        assert match.target_ignored.tolist() == [False, True, False]
        assert match.target_detected.tolist() == [True, False, False]
        assert match.pred_ignored.tolist() == [False, True, True, False]
        assert match.pred_false.tolist() == [False, False, False, True]
        assert match.pairs.tolist() == [[1, 1]]
        assert match.target_volumes_mm3.tolist() == [3, 1, 2]
        assert match.pred_volumes_mm3.tolist() == [2, 2, 1, 3]
        scaled = match_lesions(
            pred, target, criterion, threshold, spacing_mm=(0.5,), min_volume_mm3=1.0, connectivity='face'
        )
        assert numbers(scaled) == (1, 1, 1)
        assert scaled.target_volumes_mm3.tolist() == [1.5, 0.5, 1]
        assert numbers(match_lesions(pred, target, criterion, threshold)) == (3, 1, 0)


def test_a_prediction_on_ignored_and_counted_targets():
    target, pred = row('1 0 1111 0 11'), row('1 1 1000 0 01')
    match = match_lesions(pred, target, min_volume_mm3=2)
    assert numbers(match) == (1, 0, 1)  # the single predicted pixel at the end is removed
    assert match.pred_ignored.tolist() == [False, True]
    match = match_lesions(pred, target, 'iou', min_volume_mm3=2)
    assert numbers(match) == (0, 1, 2)
    assert match.pred_ignored.tolist() == [False, True]
    assert match.num_pred == 1


def test_connectivity_and_instances():
    target = np.array([[1, 0], [0, 1]])
    assert match_lesions(target, target).tp == 1
    assert match_lesions(target, target, connectivity='face').tp == 2
    apart = row('30 00 00 33')
    match = match_instances(apart, 5 * (apart > 0))
    assert numbers(match) == (1, 0, 0)
    assert match.criterion == 'iou'
    assert match.threshold == 0.5
    assert match.pairs.tolist() == [[5, 3]]
    assert match.target_ids.tolist() == [5]
    assert match.pred_ids.tolist() == [3]
    assert match_instances(apart, apart, 'overlap').ious.tolist() == [1]


@pytest.mark.parametrize('shape', [(5,), (3, 7), (2, 1, 5), (0, 4)])
def test_empty_masks(shape):
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    some = int(full.any())
    for criterion in ('overlap', 'iou'):
        assert numbers(match_lesions(empty, empty, criterion)) == (0, 0, 0)
        assert numbers(match_lesions(full, empty, criterion)) == (0, some, 0)
        assert numbers(match_lesions(empty, full, criterion)) == (0, 0, some)
        match = match_lesions(full, full, criterion)
        assert numbers(match) == (some, 0, 0)
        assert match.pairs.shape == (some, 2)


def test_kinds_of_arrays():
    pred, target = row('0110 0100 11').reshape(2, 5), row('1100 0001 10').reshape(2, 5)
    expected = numbers(match_lesions(pred, target))
    for convert in (
        torch.tensor,
        lambda a: torch.tensor(a, dtype=torch.float16),
        np.asfortranarray,
        lambda a: a.astype(bool)[:, ::-1].copy()[:, ::-1],
    ):
        assert numbers(match_lesions(convert(pred), convert(target))) == expected
    assert numbers(match_instances(torch.tensor(pred), target.astype(np.float32), 'overlap')) != (0, 0, 0)


@settings(max_examples=25, deadline=None)
@given(two_masks, st.data())
def test_invariances(masks, data):
    pred, target = masks
    spacing = tuple(data.draw(st.sampled_from([0.5, 1.0, 3.0])) for _ in range(pred.ndim))
    axes = data.draw(st.permutations(range(pred.ndim)))
    criterion, threshold = data.draw(st.sampled_from([('overlap', 0.0), ('overlap', 0.5), ('iou', 0.5)]))
    limit = data.draw(st.sampled_from([0.0, 2.0, 6.0]))

    def run(p, t, s):
        return match_lesions(p, t, criterion, threshold, spacing_mm=s, min_volume_mm3=limit).counts

    counts = run(pred, target, spacing)
    turned = run(pred.transpose(axes), target.transpose(axes), tuple(spacing[a] for a in axes))
    padded = run(*(np.pad(m, [(2, 1)] * m.ndim) for m in masks), spacing)
    flipped = run(*(np.flip(m) for m in masks), spacing)
    for other in (turned, padded, flipped):
        assert (other.tp, other.fp, other.fn) == (counts.tp, counts.fp, counts.fn)
        assert other.iou_sum == pytest.approx(counts.iou_sum)


@settings(max_examples=25, deadline=None)
@given(two_maps, st.permutations(range(1, 5)))
def test_ids_do_not_matter(maps, ids):
    pred, target = maps
    lookup = np.array([0, *(7 * i for i in ids)])
    for threshold in (0.1, 0.5):
        one, other = (
            match_instances(pred, target, threshold=threshold),
            match_instances(lookup[pred], target, threshold=threshold),
        )
        assert other.counts.iou_sum == pytest.approx(one.counts.iou_sum)
        back = match_instances(target, pred, threshold=threshold)
        assert back.counts.iou_sum == pytest.approx(one.counts.iou_sum)
    assert (other.tp, other.fp, other.fn) == (one.tp, one.fp, one.fn)
    assert (back.tp, back.fp, back.fn) == (one.tp, one.fn, one.fp)
    np.testing.assert_array_equal(back.pairs[np.lexsort(back.pairs[:, ::-1].T[::-1])][:, ::-1], one.pairs)


@settings(max_examples=25, deadline=None)
@given(two_masks)
def test_numbers_are_those_of_the_components(masks):
    pred, target = masks
    match = match_lesions(pred, target, 'overlap')
    p, t = connected_components(pred).labels, connected_components(target).labels
    for i, detected in zip(match.target_ids, match.target_detected, strict=True):
        assert detected == pred[t == i].any()
    for j, false in zip(match.pred_ids, match.pred_false, strict=True):
        assert false == (not target[p == j].any())
    for (i, j), iou, dice in zip(match.pairs, match.ious, match.dices, strict=True):
        both, either = ((t == i) & (p == j)).sum(), ((t == i) | (p == j)).sum()
        assert iou == both / either
        assert dice == 2 * both / (either + both)


def test_scores():
    tp, fp, fn = [3, 0, 0, 0, 0], [1, 2, 0, 4, 0], [2, 3, 5, 0, 0]
    np.testing.assert_allclose(lesion_sensitivity(tp, fp, fn), [0.6, 0, 0, 0, NAN])
    np.testing.assert_allclose(lesion_precision(tp, fp, fn), [0.75, 0, 0, 0, NAN])
    np.testing.assert_allclose(lesion_f1(tp, fp, fn), [2 / 3, 0, 0, 0, NAN])
    for score in (lesion_sensitivity, lesion_precision, lesion_f1):
        assert score(0, 0, 0, 'perfect') == 1
        np.testing.assert_array_equal(score(tp, fp, fn, 'exclude')[1:], [0, NAN, NAN, NAN])
    with pytest.raises(ValueError, match='fn must not be negative'):
        lesion_sensitivity(1, 1, -1)


def test_counts_add_up():
    cases = [LesionCounts(1, 2, 3, 0.75), LesionCounts(2, 0, 1, 1.5)]
    assert sum(cases, LesionCounts()) == LesionCounts(3, 2, 4, 2.25)
    assert LesionCounts() == LesionCounts(0, 0, 0, 0.0)
    classes = LesionCounts(np.array([1, 2]), np.array([0, 3]), np.array([4, 0]), np.array([0.5, 1.25]))
    assert (classes + classes).pooled() == LesionCounts(6, 6, 8, 3.5)
    assert LesionCounts(1, 2, 3, 0.5).pooled() == LesionCounts(1, 2, 3, 0.5)


def test_a_missed_case_never_improves_a_score():
    found = match_lesions(row('0110'), row('0110')).counts
    missed = match_lesions(row('0000'), row('0110')).counts
    both = found + missed
    assert lesion_sensitivity(both.tp, both.fp, both.fn) == 0.5
    assert lesion_f1(both.tp, both.fp, both.fn) == pytest.approx(2 / 3)


def test_thousands_of_tiny_lesions_are_no_loop():
    rng = np.random.default_rng(0)
    target = np.zeros((2848, 4288), bool)
    places = rng.integers(0, (2840, 4280), (5000, 2))
    for y, x in places:
        target[y : y + 4, x : x + 3] = True
    pred = np.roll(target, (1, 1), (0, 1))
    for criterion, threshold in (('overlap', 0.0), ('iou', 0.1)):
        start = time.perf_counter()
        match = match_lesions(pred, target, criterion, threshold)
        assert time.perf_counter() - start < 5  # a loop over lesions takes minutes
        assert match.num_target > 4500
        assert match.tp + match.fn == match.num_target


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'criterion': 'dice'}, "criterion must be one of overlap, iou, got 'dice'"),
        ({'threshold': -0.1}, "threshold of the criterion 'overlap' must be in 0..1, got -0.1"),
        ({'threshold': 1.1}, "threshold of the criterion 'overlap' must be in 0..1, got 1.1"),
        ({'threshold': NAN}, "threshold of the criterion 'overlap' must be in 0..1, got nan"),
        (
            {'criterion': 'iou', 'threshold': 1},
            "threshold of the criterion 'iou' must be in 0 to below 1, since an IoU must exceed it, got 1",
        ),
        ({'min_volume_mm3': -1}, 'min_volume_mm3 must be 0 or more and finite, got -1'),
        ({'spacing_mm': (1, 1)}, 'spacing_mm must have one number for each of the 1 axes'),
        ({'connectivity': 4}, 'connectivity must be one of full, face, got 4'),
        ({'pred': row('01')}, 'pred and target must have one shape, got (2,) and (4,)'),
        ({'pred': row('0120')}, 'pred must hold 0 and 1 only, got values in 0..2'),
        ({'target': row('0130')}, 'target must hold 0 and 1 only, got values in 0..3'),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match='^' + re.escape(message)):
        match_lesions(**{'pred': row('0110'), 'target': row('0110'), **options})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'pred': row('01')}, 'pred and target must have one shape, got (2,) and (4,)'),
        ({'pred': -row('0120')}, 'pred must hold ids of instances, 0 or more, got -2'),
        ({'target': -row('0120')}, 'target must hold ids of instances, 0 or more, got -2'),
        ({'threshold': 1}, "threshold of the criterion 'iou' must be in 0 to below 1"),
        ({'min_volume_mm3': NAN}, 'min_volume_mm3 must be 0 or more and finite, got nan'),
        ({'spacing_mm': (0,)}, 'spacing_mm must be positive'),
    ],
)
def test_wrong_instances(options, message):
    with pytest.raises(ValueError, match='^' + re.escape(message)):
        match_instances(**{'pred': row('0110'), 'target': row('0110'), **options})


def test_members_of_a_block_may_stay_without_a_partner():
    target = np.array([[1] * 10 + [2] * 2])
    pred = np.array([[1] * 8 + [0, 2, 1, 0]])
    match = match_instances(pred, target, 'iou', 0.0)
    # 8/11 for the pair of the first ones, more than the sum of 1/10 and 1/10 for the crosswise pairs
    assert match.pairs.tolist() == [[1, 1]]
    assert match.ious.tolist() == pytest.approx([8 / 11])
