import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss

from mmseg_medical.evaluation.functional import pieces
from mmseg_medical.evaluation.functional.brier import brier_score


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


def test_masks_by_hand() -> None:
    probabilities = np.array([[0.9, 0.4], [0.5, 1.0]])
    result = brier_score(probabilities, np.array([[1, 0], [0, 0]]))
    assert result.tolist() == pytest.approx([(0.01 + 0.16) / 2, (0.25 + 1) / 2])
    assert result.dtype == np.float64


def test_label_map_by_hand() -> None:
    probabilities = np.array([[0.7, 0.1], [0.2, 0.3], [0.1, 0.6]])
    target = np.array([0, 1])
    expected = (0.09 + 0.04 + 0.01 + 0.01 + 0.49 + 0.36) / 2
    assert brier_score(probabilities, target).shape == ()
    assert float(brier_score(probabilities, target)) == pytest.approx(expected)
    assert float(brier_score(probabilities, target, 'sum')) == pytest.approx(expected)
    assert float(brier_score(probabilities, target, over_classes='mean')) == pytest.approx(expected / 3)


def test_range() -> None:
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert float(brier_score(certain, np.array([0, 1]))) == 0
    assert float(brier_score(certain, np.array([1, 0]))) == 2
    assert float(brier_score(np.ones((1, 3)), np.zeros(3, int))) == 0
    assert brier_score(np.zeros((1, 3)), np.ones((1, 3), bool)).tolist() == [1]


@pytest.mark.parametrize('shape', [(1,), (7, 5), (3, 1, 11)])
def test_against_scikit_learn(shape: tuple[int, ...]) -> None:
    probabilities, target = softmax(4, *shape), labels(4, *shape)
    ours = float(brier_score(probabilities, target))
    flat = probabilities.reshape(4, -1).T
    reference = brier_score_loss(target.ravel(), flat, labels=[0, 1, 2, 3], scale_by_half=False)
    assert ours == pytest.approx(reference)
    masks = target == np.arange(4).reshape(4, *[1] * len(shape))
    per_class = brier_score(probabilities, masks)
    expected = [np.mean((p - m) ** 2) for p, m in zip(probabilities, masks, strict=True)]
    assert per_class.tolist() == pytest.approx(expected)
    assert per_class.sum() == pytest.approx(ours)


@pytest.mark.parametrize('size', [1, 5, 12, 35])
def test_pieces_change_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, target = softmax(3, 5, 7), labels(3, 5, 7)
    target[2, 3] = target[0, :] = 255
    whole = brier_score(probabilities, target)
    masks = np.where(target == 255, 255, target == np.arange(3)[:, None, None])
    whole_masks = brier_score(probabilities, masks)
    monkeypatch.setattr(pieces, '_CHUNK_CPU', size)
    assert float(brier_score(probabilities, target)) == pytest.approx(float(whole))
    assert brier_score(probabilities, masks).tolist() == pytest.approx(whole_masks.tolist())
    assert whole_masks.sum() == pytest.approx(float(whole))


def test_ignored_pixels() -> None:
    probabilities = np.array([[0.7, 0.0], [0.3, 0.0]])  # padding has no probabilities
    assert float(brier_score(probabilities, np.array([0, 255]))) == pytest.approx(0.18)
    assert float(brier_score(probabilities, np.array([0, 9]), ignore_index=9)) == pytest.approx(0.18)
    assert brier_score(probabilities, np.array([[1, 255], [1, 1]])).tolist() == pytest.approx([0.09, (0.49 + 1) / 2])
    assert np.isnan(brier_score(probabilities, np.array([255, 255])))
    assert np.isnan(brier_score(probabilities, np.full((2, 2), 255))).all()
    assert np.isnan(brier_score(np.zeros((2, 0)), np.zeros(0, int)))
    with pytest.raises(ValueError, match=r'^target holds labels outside 0..1: 255 \(1 px\)'):
        brier_score(np.full((2, 2), 0.5), np.array([0, 255]), ignore_index=None)


@pytest.mark.parametrize('label_type', [np.uint8, np.float32, np.int64])
def test_types_and_strides(label_type: type) -> None:
    probabilities, target = softmax(3, 8, 5).astype(np.float32), labels(3, 8, 5)
    expected = float(brier_score(probabilities[:, ::-2], target[::-2]))
    assert float(brier_score(probabilities[:, ::-2].copy(), target[::-2].astype(label_type))) == expected
    tensor = torch.from_numpy(probabilities)[:, [7, 5, 3, 1]]
    assert float(brier_score(tensor, torch.from_numpy(target[::-2].copy()))) == pytest.approx(expected)
    half = brier_score(probabilities[:, ::-2].astype(np.float16), target[::-2])
    assert float(half) == pytest.approx(expected, abs=1e-3)


def test_leaves_its_input_alone() -> None:
    probabilities, target = softmax(3, 6), labels(3, 6)
    before = probabilities.copy(), target.copy()
    brier_score(probabilities, target)
    brier_score(probabilities, target, ignore_index=None)
    assert np.array_equal(probabilities, before[0])
    assert np.array_equal(target, before[1])


def test_probabilities_of_a_label_map_sum_to_one() -> None:
    target = np.array([0, 1])
    for sums in ([1.0, 0.989], [1.011, 1.0]):
        probabilities = np.array([[0.5, 0.5], [s - 0.5 for s in sums]])
        with pytest.raises(ValueError, match='must sum to 1') as error:
            brier_score(probabilities, target)
        assert str(error.value) == (
            'the probabilities of the 2 classes of a label map must sum to 1, got sums in '
            f'{min(sums):g}..{max(sums):g}; give masks of shape (C, *S) as the target of independent classes'
        )
    for total in (0.991, 1.009):
        brier_score(np.array([[0.5, 0.5], [0.5, total - 0.5]]), target)
    hundred = np.full((300, 4), 1 / 300, np.float16)
    assert float(brier_score(hundred, np.zeros(4))) == pytest.approx(1 - 1 / 300, abs=1e-3)


def test_errors() -> None:
    good = np.full((2, 3, 5), 0.5)
    with pytest.raises(ValueError, match=r"^over_classes must be 'sum' or 'mean', got 'max'$"):
        brier_score(good, np.zeros((3, 5)), 'max')
    for shape in [(5, 3), (3,), (3, 3, 5), (1, 3, 5)]:
        with pytest.raises(ValueError, match='target must have the shape') as error:
            brier_score(good, np.zeros(shape))
        assert str(error.value) == (
            'target must have the shape (C, *S) of the probabilities (masks) or (*S) without their first axis (label '
            f'map), got probabilities (2, 3, 5) and target {shape}'
        )
    with pytest.raises(ValueError, match=r'got probabilities \(\) and target \(\)$'):
        brier_score(np.array(0.5), np.array(1))
    with pytest.raises(ValueError, match=r'^probabilities must be probabilities in 0..1, got NaN$'):
        brier_score(np.full((2, 3), np.nan), np.zeros(3))
    with pytest.raises(ValueError, match=r'^probabilities must be probabilities in 0..1, got values in 0..2$'):
        brier_score(np.array([[0.0, 2.0]]), np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r'^target holds labels outside 0..1: 2 \(3 px\); num_classes=2'):
        brier_score(np.full((2, 3), 0.5), np.full(3, 2))
    with pytest.raises(ValueError, match=r'^target holds labels outside 0..1: -1 \(1 px\)'):
        brier_score(np.full((3, 2), 0.5), np.array([[1, 0], [0, 1], [0, -1]]))
    with pytest.raises(ValueError, match=r'^target must hold integer labels'):
        brier_score(np.full((2, 3), 0.5), np.full(3, 0.5))
    with pytest.raises(TypeError, match=r'^probabilities must be probabilities of a float type'):
        brier_score(np.zeros((2, 3), int), np.zeros(3))


def test_size_of_the_pieces() -> None:
    assert (pieces._CHUNK_CPU, pieces._CHUNK_CUDA) == (1 << 18, 1 << 24)
