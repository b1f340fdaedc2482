import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import confusion_matrix as reference_matrix

from mmseg_medical.evaluation.functional import ConfusionCounts, confusion_counts, confusion_matrix, pieces


def test_counts_by_hand() -> None:
    pred = np.array([[0, 1, 1], [2, 2, 0]])
    target = np.array([[0, 1, 2], [2, 1, 255]])
    matrix = confusion_matrix(pred, target, 3)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    counts = confusion_counts(pred, target, 3)
    assert counts.tp.tolist() == [1, 1, 1]
    assert counts.fp.tolist() == [0, 1, 1]
    assert counts.fn.tolist() == [0, 1, 1]
    assert counts.tn.tolist() == [4, 2, 2]


def test_multilabel_by_hand() -> None:
    pred = np.array([[1, 1, 0, 0], [0, 0, 0, 1]], dtype=np.uint8)
    target = np.array([[1, 0, 1, 255], [0, 0, 0, 0]], dtype=np.uint8)
    counts = confusion_counts(pred, target, multilabel=True)
    assert counts.tp.tolist() == [1, 0]
    assert counts.fp.tolist() == [1, 1]
    assert counts.fn.tolist() == [1, 0]
    assert counts.tn.tolist() == [0, 3]


@pytest.mark.parametrize('shape', [(), (1,), (0,), (7, 13), (1, 1, 1), (3, 1, 5, 2)])
@pytest.mark.parametrize('dtype', [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_agrees_with_scikit_learn(shape: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(0)
    pred, target = (rng.integers(0, 4, shape).astype(dtype) for _ in range(2))
    ours = confusion_matrix(pred, target, 4)
    theirs = reference_matrix(target.ravel(), pred.ravel(), labels=range(4)) if pred.size else np.zeros((4, 4))
    assert np.array_equal(ours, theirs)
    assert np.array_equal(confusion_matrix(torch.from_numpy(pred.astype(np.int64)), target, 4), theirs)


def test_any_memory_layout_and_foreign_byte_order() -> None:
    rng = np.random.default_rng(1)
    pred, target = rng.integers(0, 3, (2, 11, 17)).astype(np.int32)
    expected = confusion_matrix(pred.copy(), target.copy(), 3)
    assert np.array_equal(confusion_matrix(pred[::-1, ::-1], target[::-1, ::-1], 3), expected)
    assert np.array_equal(confusion_matrix(np.asfortranarray(pred), target.astype('>i4'), 3), expected)
    assert np.array_equal(confusion_matrix(torch.from_numpy(pred).T, torch.from_numpy(target).T, 3), expected)
    frozen = pred.copy()
    frozen.flags.writeable = False
    assert np.array_equal(confusion_matrix(frozen, target, 3), expected)


def test_bool_masks() -> None:
    pred, target = np.array([True, True, False]), np.array([True, False, False])
    assert confusion_matrix(pred, target, 2).tolist() == [[1, 1], [0, 1]]


def test_more_than_2_to_the_24_pixels_are_counted_exactly() -> None:
    pixels = 2**24 + 101
    pred = torch.zeros(1, dtype=torch.uint8).expand(pixels)
    target = torch.zeros(1, dtype=torch.uint8).expand(pixels)
    assert confusion_matrix(pred, target, 2)[0, 0] == pixels


@pytest.mark.parametrize('large', [16, 200, 255])
def test_many_classes_do_not_overflow_eight_bits(large: int) -> None:
    labels = np.full(5, large - 1, np.uint8)
    assert confusion_matrix(labels, labels, large, ignore_index=None)[large - 1, large - 1] == 5


def test_labels_outside_the_range_are_named() -> None:
    target = np.array([0, 1, 7, 7, -3])
    with pytest.raises(ValueError, match=r'target holds labels outside 0\.\.1: -3 \(1 px\), 7 \(2 px\)'):
        confusion_matrix(np.zeros(5, int), target, 2)
    with pytest.raises(ValueError, match=r'pred holds labels outside 0\.\.1: 9 \(1 px\)'):
        confusion_matrix(np.array([9]), np.array([0]), 2)
    with pytest.raises(ValueError, match=r'mask 1 of the multi-label masks: target .* 255'):
        confusion_counts(np.zeros((2, 1), int), np.array([[0], [255]]), multilabel=True, ignore_index=None)


def test_a_whole_volume_of_one_class_is_counted_exactly() -> None:
    target = np.ones((512, 512, 400), np.uint8)
    pred = target.copy()
    pred[0, 0, :3] = 0
    counts = confusion_counts(pred, target, 2)
    assert counts.tp.tolist() == [0, 512 * 512 * 400 - 3]
    assert counts.fn.tolist() == [0, 3]
    assert counts.fp.tolist() == [3, 0]


def test_number_of_masks() -> None:
    masks = np.array([[1, 1, 0], [0, 1, 0]])
    assert confusion_counts(masks, masks, 2, multilabel=True).tp.tolist() == [2, 1]
    with pytest.raises(ValueError, match=r'shape \(C, \*S\) with C = number of classes, got \(\)'):
        confusion_counts(np.array(1), np.array(1), multilabel=True)


def test_pieces_of_ignored_pixels_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, '_CHUNK_CPU', 2)
    assert confusion_matrix(np.array([1, 9, 1]), np.array([255, 255, 1]), 2).tolist() == [[0, 0], [0, 1]]


def test_predictions_at_ignored_pixels_do_not_matter() -> None:
    assert confusion_matrix(np.array([99, 1]), np.array([255, 1]), 2).tolist() == [[0, 0], [0, 1]]


def test_wrong_shapes_and_types() -> None:
    with pytest.raises(ValueError, match='one shape'):
        confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    with pytest.raises(
        ValueError, match=r'pred must hold integer labels, got torch\.float32 with 1 values such as 0\.5'
    ):
        confusion_matrix(np.array([0.5, 1], np.float32), np.zeros(2, int), 2)
    with pytest.raises(TypeError, match=r'target must hold integer labels, got torch\.complex64'):
        confusion_matrix(np.zeros(2, int), np.zeros(2, np.complex64), 2)
    with pytest.raises(ValueError, match='num_classes is needed'):
        confusion_counts(np.zeros(2, int), np.zeros(2, int))
    with pytest.raises(ValueError, match='C = 3'):
        confusion_counts(np.zeros((2, 4), int), np.zeros((2, 4), int), 3, multilabel=True)
    with pytest.raises(ValueError, match='at least 1'):
        confusion_matrix(np.zeros(1, int), np.zeros(1, int), 0)
    with pytest.raises(ValueError, match='int64'):
        confusion_matrix(np.array([2**63], np.uint64), np.array([0]), 2)


labels = hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, max_side=9), elements=st.integers(0, 3))


@settings(max_examples=40, deadline=None)
@given(labels, st.integers(0, 2**31), st.integers(1, 7))
def test_order_and_chunks_do_not_matter(target: np.ndarray, seed: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    pred = rng.integers(0, 4, target.shape)
    whole = confusion_matrix(pred, target, 4)
    assert whole.sum() == target.size
    order = rng.permutation(target.size)
    assert np.array_equal(confusion_matrix(pred.ravel()[order], target.ravel()[order], 4), whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, '_CHUNK_CPU', chunk)
        assert np.array_equal(confusion_matrix(pred, target, 4), whole)
    assert np.array_equal(confusion_matrix(target, pred, 4), whole.T)


def test_counts_add_up() -> None:
    one = ConfusionCounts.from_matrix(np.array([[1, 2], [3, 4]]))
    both = one + one
    assert both.tp.tolist() == [2, 8]
    assert (both.tp + both.fp + both.fn + both.tn).tolist() == [20, 20]
