import math
import warnings

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric

from mmseg_medical.evaluation.functional import pieces
from mmseg_medical.evaluation.functional.calibration import (
    CalibrationHistogram,
    expected_calibration_error,
    top_label,
)


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def softmax(num_classes: int, *shape: int) -> np.ndarray:
    powers = np.exp(2 * np.random.default_rng(0).normal(size=(num_classes, *shape)))
    return powers / powers.sum(axis=0)


def labels(num_classes: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, num_classes, shape)


def reference(confidence: np.ndarray, correct: np.ndarray, num_bins: int, norm: str) -> float:
    """By the definition, bin by bin."""
    gaps, shares = [], []
    for b in range(num_bins):
        inside = (confidence > b / num_bins) & (confidence <= (b + 1) / num_bins)
        if b == 0:
            inside |= confidence == 0
        if inside.any():
            gaps.append(abs(confidence[inside].mean() - correct[inside].mean()))
            shares.append(inside.mean())
    return max(gaps) if norm == 'max' else float(np.dot(gaps, shares))


def test_masks_by_hand() -> None:
    probabilities, target = np.array([[0.2, 0.4, 0.9, 0.7]]), np.array([[0, 1, 1, 0]])
    # bins (0, 0.5] and (0.5, 1]: 0.3 against 0.5, 0.8 against 0.5
    l1 = expected_calibration_error(probabilities, target, 2)
    assert l1.shape == (1,)
    assert l1.tolist() == pytest.approx([0.25], abs=3e-8)
    assert expected_calibration_error(probabilities, target, 2, 'max').tolist() == pytest.approx([0.3], abs=3e-8)
    # one bin: 0.55 against 0.5
    assert expected_calibration_error(probabilities, target, 1).tolist() == pytest.approx([0.05], abs=3e-8)


def test_label_map_by_hand() -> None:
    probabilities = np.array([[0.7, 0.1, 0.3], [0.2, 0.3, 0.3], [0.1, 0.6, 0.4]])
    # confidences 0.7, 0.6, 0.4; right, wrong, right
    result = expected_calibration_error(probabilities, np.array([0, 1, 2]), 10)
    assert result.shape == ()
    assert float(result) == pytest.approx((0.3 + 0.6 + 0.6) / 3, abs=3e-8)
    largest = expected_calibration_error(probabilities, np.array([0, 1, 2]), num_bins=10, norm='max')
    assert float(largest) == pytest.approx(0.6, abs=3e-8)


def test_defaults() -> None:
    probabilities, target = softmax(3, 31), labels(3, 31)
    result = expected_calibration_error(probabilities, target)
    assert result == expected_calibration_error(probabilities, target, 15, 'l1', 255)
    assert result != expected_calibration_error(probabilities, target, norm='max')
    assert CalibrationHistogram().count.shape == (1, 15)
    largest = [expected_calibration_error(probabilities, target, bins, 'max') for bins in (7, 15, 30)]
    assert expected_calibration_error(probabilities, target, norm='max') == largest[1]
    assert len({float(error) for error in largest}) == 3


@pytest.mark.parametrize('norm', ['l1', 'max'])
@pytest.mark.parametrize('num_bins', [1, 7, 15])
def test_against_the_definition(num_bins: int, norm: str) -> None:
    probabilities, target = softmax(3, 13, 11), labels(3, 13, 11)
    expected = reference(probabilities.max(0), probabilities.argmax(0) == target, num_bins, norm)
    assert float(expected_calibration_error(probabilities, target, num_bins, norm)) == pytest.approx(expected, abs=3e-8)
    masks = target == np.arange(3)[:, None, None]
    expected_masks = [reference(p, m, num_bins, norm) for p, m in zip(probabilities, masks, strict=True)]
    ours = expected_calibration_error(probabilities, masks, num_bins, norm)
    assert ours.tolist() == pytest.approx(expected_masks, abs=3e-8)


@pytest.mark.parametrize(('norm', 'name'), [('l1', 'expected'), ('max', 'maximum')])
def test_against_monai(norm: str, name: str) -> None:
    probabilities = torch.from_numpy(softmax(3, 8, 9, 5)).float()
    masks = torch.from_numpy(labels(3, 8, 9, 5)) == torch.arange(3)[:, None, None, None]
    metric = CalibrationErrorMetric(
        num_bins=15, include_background=True, calibration_reduction=name, metric_reduction='none'
    )
    metric(probabilities[None], masks[None].float())
    expected = metric.aggregate()[0]
    ours = expected_calibration_error(probabilities, masks, norm=norm)
    assert ours.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_bins_hold_their_right_edge() -> None:
    histogram = CalibrationHistogram(num_bins=100)
    edges = np.arange(101) / 100
    histogram.update(edges[None], np.zeros((1, 101), int))
    # 0 falls into the first bin; no product with the number of bins, which is off by rounding at 0.07 * 100
    assert histogram.reliability(0).count.tolist() == [2] + [1] * 99
    above = CalibrationHistogram(num_bins=100)
    above.update(np.nextafter(edges[:-1], 1)[None], np.zeros((1, 100), int))
    assert above.reliability(0).count.tolist() == [1] * 100


def test_reliability_by_hand() -> None:
    histogram = CalibrationHistogram(num_classes=2, num_bins=4)
    histogram.update(np.array([[0.75, 0.625, 1.0, 0.0], [0.5] * 4]), np.array([[1, 0, 1, 0], [1, 1, 0, 1]]))
    table = histogram.reliability(0)
    assert table.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert table.count.tolist() == [1, 0, 2, 1]
    assert table.count.dtype == np.int64
    assert np.array_equal(table.confidence, [0, math.nan, 0.6875, 1], equal_nan=True)
    assert np.array_equal(table.accuracy, [0, math.nan, 0.5, 1], equal_nan=True)
    second = histogram.reliability(1)
    assert second.count.tolist() == [0, 4, 0, 0]
    assert second.accuracy[1] == 0.75
    assert histogram.compute().tolist() == [2 * 0.1875 / 4, 0.25]
    assert histogram.compute('max').tolist() == [0.1875, 0.25]
    assert (histogram.num_classes, histogram.num_bins) == (2, 4)


def test_table_is_a_copy() -> None:
    histogram = CalibrationHistogram(num_bins=2)
    table = histogram.reliability(0)
    histogram.update(np.array([[0.5]]), np.array([[1]]))
    assert table.count.tolist() == [0, 0]
    assert np.isnan(table.confidence).all()


@pytest.mark.parametrize('size', [1, 6, 64, 1000])
def test_pieces_order_and_processes_change_no_bit(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    confidence = np.random.default_rng(0).random((2, 61)).astype(np.float32)
    correct = np.random.default_rng(1).integers(0, 2, (2, 61))
    correct[0, 17] = 255
    whole = CalibrationHistogram(2)
    whole.update(confidence, correct)
    monkeypatch.setattr(pieces, '_CHUNK_CPU', size)
    parts = [CalibrationHistogram(2) for _ in range(3)]
    for rank, part in enumerate(parts):
        for i in range(rank, 61, 3):
            part.update(confidence[:, i], correct[:, i])
    total = CalibrationHistogram(2)
    for part in reversed(parts):
        total += part
    again = CalibrationHistogram(2)
    again.update(confidence[:, ::-1], correct[:, ::-1])
    for other in (total, again):
        for name in ('count', 'correct', 'confidence'):
            assert torch.equal(getattr(other, name), getattr(whole, name))
        assert other.compute().tolist() == whole.compute().tolist()
    assert whole.count.sum(dim=1).tolist() == [60, 61]


def test_sums_are_rounded_by_less_than_they_say() -> None:
    confidence = np.random.default_rng(3).random((1, 997))
    histogram = CalibrationHistogram(num_bins=1)
    histogram.update(confidence, np.zeros((1, 997), bool))
    assert histogram.confidence.dtype == torch.int64
    assert abs(histogram.compute()[0] - confidence.mean()) < 3e-8
    one = CalibrationHistogram(num_bins=1)
    one.update(np.array([[1.0, 2.0**-24, 0.4 * 2.0**-24, 0.6 * 2.0**-24]]), np.zeros((1, 4), int))
    assert one.confidence.tolist() == [[(1 << 24) + 1 + 0 + 1]]


def test_reset_and_no_pixels() -> None:
    histogram = CalibrationHistogram(2, 3)
    assert np.isnan(histogram.compute()).tolist() == [True, True]
    histogram.update(np.full((2, 4), 0.5), np.array([[1, 1, 1, 1], [255] * 4]))
    assert histogram.compute()[0] == 0.5
    assert math.isnan(histogram.compute('max')[1])
    histogram.reset()
    assert np.isnan(histogram.compute()).all()
    assert [int(t.sum()) for t in (histogram.count, histogram.correct, histogram.confidence)] == [0, 0, 0]
    histogram.update(np.zeros((2, 0)), np.zeros((2, 0), int))
    assert np.isnan(histogram.compute()).all()


def test_top_label() -> None:
    probabilities = np.array([[0.7, 0.1, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5], [0.1, 0.6, 0.2, 0.0]], np.float32)
    confidence, correct = top_label(probabilities, np.array([0, 1, 0, 255]))
    assert confidence.tolist() == [pytest.approx([0.7, 0.6, 0.4, 0.5])]
    assert confidence.dtype == torch.float32
    assert correct.tolist() == [[1, 0, 1, 255]]
    assert correct.dtype == torch.uint8
    assert top_label(probabilities, np.array([2, 2, 1, 2]), ignore_index=2)[1].tolist() == [[255, 255, 0, 255]]
    assert top_label(probabilities, np.array([2, 2, 1, 0]), ignore_index=None)[1].tolist() == [[0, 1, 0, 1]]


def test_ignored_pixels() -> None:
    probabilities = np.array([[0.75, 0.0], [0.25, 0.0]])  # padding has no probabilities
    for ignored in (255, 7):
        result = expected_calibration_error(probabilities, np.array([0, ignored]), ignore_index=ignored)
        assert float(result) == 0.25
        masks = np.array([[1, ignored], [1, 0]])
        result = expected_calibration_error(probabilities, masks, ignore_index=ignored)
        assert result.tolist() == [0.25, 0.375]
    assert math.isnan(expected_calibration_error(probabilities, np.array([255, 255])))
    with pytest.raises(ValueError, match=r'^target holds labels outside 0..1: 255'):
        expected_calibration_error(probabilities, np.array([0, 255]), ignore_index=None)
    histogram = CalibrationHistogram()
    histogram.update(np.array([[0.5, 0.5]]), np.array([[1, 7]]), 7)
    assert histogram.compute().tolist() == [0.5]


def test_leaves_its_input_alone() -> None:
    probabilities, target = torch.from_numpy(softmax(3, 6)), torch.tensor([0, 1, 2, 255, 1, 0])
    before = probabilities.clone(), target.clone()
    expected_calibration_error(probabilities, target)
    assert torch.equal(probabilities, before[0])
    assert torch.equal(target, before[1])


def test_errors_of_the_functions() -> None:
    good, target = np.full((2, 3), 0.5), np.zeros(3, int)
    with pytest.raises(ValueError, match=r"^norm must be 'l1' or 'max', got 'l2'$"):
        expected_calibration_error(good, target, norm='l2')
    with pytest.raises(ValueError, match=r'^num_bins must be at least 1, got 0$'):
        expected_calibration_error(good, target, 0)
    with pytest.raises(ValueError, match=r'must sum to 1, got sums in 0.8..0.8;'):
        expected_calibration_error(good - 0.1, target)
    with pytest.raises(ValueError, match=r'^probabilities must be probabilities in 0..1, got NaN$'):
        expected_calibration_error(good * np.nan, target)
    with pytest.raises(ValueError, match=r'^target must have the shape'):
        expected_calibration_error(good, np.zeros(2))
    with pytest.raises(ValueError, match=r'^labels must be a label map of shape \(3,\), got \(2, 3\)$'):
        top_label(good, np.zeros((2, 3)))


def test_errors_of_the_histogram() -> None:
    with pytest.raises(ValueError, match=r'^num_classes must be at least 1, got 0$'):
        CalibrationHistogram(0)
    with pytest.raises(ValueError, match=r'^num_bins must be at least 1, got 0$'):
        CalibrationHistogram(1, 0)
    histogram = CalibrationHistogram(2)
    for first, second in [((2, 3), (2, 4)), ((1, 3), (1, 3)), ((), ())]:
        with pytest.raises(
            ValueError, match=r'^confidence and correct must have one shape \(C, \*S\) with C = 2, got'
        ) as e:
            histogram.update(np.zeros(first), np.zeros(second))
        assert str(e.value).endswith(f'got {first} and {second}')
    with pytest.raises(ValueError, match=r'^correct holds labels outside 0..1: 2 \(1 px\)'):
        histogram.update(np.full((2, 1), 0.5), np.array([[1], [2]]))
    with pytest.raises(ValueError, match=r'^confidence must be probabilities in 0..1, got values in 1.5..1.5$'):
        histogram.update(np.full((2, 1), 1.5), np.ones((2, 1)))
    assert int(histogram.count.sum()) == 0  # nothing was added by halves
    with pytest.raises(ValueError, match='do not add up') as error:
        histogram += CalibrationHistogram(2, 10)
    assert str(error.value) == 'histograms of 2 classes in 15 bins and of 2 in 10 do not add up'
    with pytest.raises(ValueError, match=r'of 2 classes in 15 bins and of 3 in 15'):
        histogram += CalibrationHistogram(3)
