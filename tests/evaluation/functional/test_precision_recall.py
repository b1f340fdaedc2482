import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from mmseg_medical.evaluation.functional import PrecisionRecall, PrecisionRecallHistogram, pieces
from mmseg_medical.evaluation.functional import precision_recall as module

N = 400_000


def curve(scores: np.ndarray, truth: np.ndarray) -> PrecisionRecall:
    histogram = PrecisionRecallHistogram(1)
    histogram.update(scores[None], truth[None])
    return histogram.compute(0)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_by_hand() -> None:
    result = curve(np.array([0.9, 0.8, 0.7, 0.1], np.float32), np.array([1, 0, 1, 0]))
    assert result.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert result.area_trapezoid == pytest.approx(0.5 * 1 + 0.5 * (0.5 + 2 / 3) / 2)
    assert result.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert result.recall.tolist() == [0.5, 0.5, 1, 1]
    assert result.thresholds.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.1], rel=1e-4)
    assert (result.num_positives, result.num_pixels) == (2, 4)


def test_ties_are_one_step() -> None:
    result = curve(np.full(10, 0.3, np.float32), np.array([1] * 2 + [0] * 8))
    assert result.average_precision == pytest.approx(0.2)
    assert result.recall.tolist() == [1]


def test_extremes() -> None:
    assert curve(np.array([1.0, 0.0]), np.array([1, 0])).average_precision == 1
    assert curve(np.array([0.0, 1.0]), np.array([1, 0])).average_precision == 0.5
    nothing = curve(np.array([0.2, 0.4]), np.array([0, 0]))
    assert np.isnan(nothing.average_precision)
    assert np.isnan(nothing.recall).all()
    assert np.isnan(PrecisionRecallHistogram(1).compute(0).average_precision)
    assert curve(np.array([0.2, 0.4]), np.array([1, 1])).average_precision == 1


DISTRIBUTIONS = {
    'smooth': lambda r, y: sigmoid(r.normal(size=N) + 2 * y),
    'uniform': lambda r, y: np.clip(r.random(N) * 0.6 + 0.3 * y, 0, 1),
    'constant': lambda r, y: np.full(N, 0.25),
    'saturated': lambda r, y: np.round(sigmoid(30 * (r.normal(size=N) + y))),
    'nearly saturated': lambda r, y: sigmoid(25 * (r.normal(size=N) + y)),
    'heavy ties': lambda r, y: np.round(sigmoid(r.normal(size=N) + 2 * y), 2),
    'bimodal near 1': lambda r, y: np.where(r.random(N) < 0.5, 1 - 1e-4 * r.random(N) * (2 - y), 0.01 * r.random(N)),
    'near 0': lambda r, y: 1e-6 * sigmoid(r.normal(size=N) + 2 * y),
    'tiny': lambda r, y: sigmoid(r.normal(size=N) * 2 + 4 * y - 30),
    'worse than chance': lambda r, y: sigmoid(r.normal(size=N) - 2 * y),
}


@pytest.mark.parametrize('dtype', [np.float64, np.float32, np.float16])
@pytest.mark.parametrize('name', DISTRIBUTIONS)
def test_error_below_1e_4_against_scikit_learn(name: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(N) < 0.02
    scores = DISTRIBUTIONS[name](rng, truth).astype(dtype)
    exact = average_precision_score(truth, scores.astype(np.float64))
    ours = curve(scores, truth)
    assert abs(ours.average_precision - exact) < 1e-4
    if dtype != np.float64:  # float64 scores are rounded to float32, which may tie what the reference tells apart
        assert ours.lower - 1e-12 <= exact <= ours.upper + 1e-12


def test_scores_squeezed_into_a_sliver_are_off_by_no_more_than_the_bounds() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(N) < 0.02
    scores = (0.5 + 1e-4 * (rng.normal(size=N) + 2 * truth)).astype(np.float32)
    exact, ours = average_precision_score(truth, scores), curve(scores, truth)
    assert ours.lower < ours.average_precision < exact < ours.upper
    assert ours.upper - ours.lower < 0.05


def test_half_precision_is_exact() -> None:
    every = torch.arange(0, 0x3C00 + 1, dtype=torch.int16).view(torch.float16)
    bins = module.score_bins(every)
    assert bins.unique().numel() == every.numel()


def test_prevalence_of_1e_5() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros(N, bool)
    truth[:4] = True
    scores = sigmoid(rng.normal(size=N) + 3 * truth).astype(np.float32)
    assert curve(scores, truth).average_precision == pytest.approx(average_precision_score(truth, scores), abs=1e-4)


def test_trapezoid_as_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(5000) < 0.1
    scores = np.round(sigmoid(rng.normal(size=5000) + 2 * truth), 2).astype(np.float16)
    precision, recall, _ = precision_recall_curve(truth, scores.astype(np.float64), drop_intermediate=False)
    assert curve(scores, truth).area_trapezoid == pytest.approx(auc(recall, precision), abs=1e-9)


def test_bounds_show_what_bins_hide() -> None:
    scores = np.nextafter(np.float32(0.3), np.float32(1), dtype=np.float32)
    result = curve(np.array([scores, 0.3], np.float32), np.array([1, 0]))
    assert result.average_precision == 0.5
    assert (result.lower, result.upper) == (0.5, 1)


def test_ties_at_exactly_0_and_1_hide_nothing() -> None:
    for scores in (np.ones(2), np.zeros(2)):
        result = curve(scores, np.array([1, 0]))
        assert (result.lower, result.average_precision, result.upper) == (0.5, 0.5, 0.5)


def test_curves_of_1000_points_are_not_thinned() -> None:
    for size in (1000, 1001):
        full = curve(np.linspace(0.1, 0.9, size), np.arange(size) % 2)
        assert full.recall.size == size
        assert (full.thinned() is full) == (size == 1000)


def test_more_than_2_to_the_24_pixels() -> None:
    histogram = PrecisionRecallHistogram(1)
    pixels = 2**24 + 101
    histogram.update_class(0, torch.tensor(0.5).expand(pixels), torch.zeros(1, dtype=torch.uint8).expand(pixels))
    assert int(histogram.pixels.sum()) == pixels


def test_bins_are_monotone_and_thresholds_invert_them() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([10.0 ** -rng.uniform(0, 44, 20_000), 1 - 10.0 ** -rng.uniform(0, 8, 20_000), [0, 0.5, 1]])
    scores = np.unique(values.astype(np.float32))
    bins = module.score_bins(torch.from_numpy(scores)).numpy()
    assert (np.diff(bins) >= 0).all()
    assert bins[0] == 0
    assert bins[-1] == module.NUM_BINS - 1
    thresholds = module.bin_thresholds(bins)
    assert (thresholds <= scores).all()
    upper = module.bin_thresholds(np.minimum(bins + 1, module.NUM_BINS - 1))
    assert (upper[:-1] >= scores[:-1]).all()
    distance = np.minimum(scores, 1 - scores).astype(np.float64)
    wide = (scores - thresholds) > 2.0**-9 * distance + 1e-40
    assert not wide.any()


def test_double_precision_keeps_resolution_near_one() -> None:
    scores = 1 - np.array([1e-9, 1e-10, 1e-11])
    assert np.unique(module.score_bins(torch.from_numpy(scores)).numpy()).size == 3


def test_negative_zero_is_zero() -> None:
    assert module.score_bins(torch.tensor([-0.0, 0.0])).tolist() == [0, 0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 200), st.integers(1, 40), st.integers(1, 5))
def test_order_chunks_and_merging_do_not_matter(seed: int, number: int, chunk: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((2, number)).astype(np.float32)
    truth = rng.choice([0, 1, 255], (2, number))
    whole = PrecisionRecallHistogram(2)
    whole.update(scores, truth)
    merged = PrecisionRecallHistogram(2)
    order = rng.permutation(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, '_CHUNK_CPU', chunk)
        for index in np.array_split(order, parts):
            part = PrecisionRecallHistogram(2)
            part.update(scores[:, index], truth[:, index])
            merged += part
    assert torch.equal(whole.positives, merged.positives)
    assert torch.equal(whole.pixels, merged.pixels)
    assert int(whole.pixels.sum()) == (truth != 255).sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 60))
def test_small_sets_agree_with_scikit_learn(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice([0, 0.125, 0.5, 0.75, 1, 0.3, 1e-7], number)
    truth = rng.random(number) < 0.4
    truth[0] = True
    assert curve(scores, truth).average_precision == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


def test_thinned_curve_keeps_its_shape() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(N) < 0.02
    full = curve(sigmoid(rng.normal(size=N) + 2 * truth).astype(np.float32), truth)
    thin = full.thinned(300)
    assert thin.recall.size <= 301 < full.recall.size
    assert thin.average_precision == full.average_precision
    assert (thin.recall[0], thin.recall[-1]) == (full.recall[0], full.recall[-1])
    middle = slice(1000, None)  # the first points jump between 0 and 1
    drawn = np.interp(full.recall[middle], thin.recall, thin.precision)
    assert np.abs(drawn - full.precision[middle]).max() < 0.02
    assert thin.thinned(300) is thin or thin.thinned(300).recall.size <= 301


def test_label_map_as_target_and_other_layouts() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((7, 13)).astype(np.float32)
    labels = rng.choice([0, 1, 2, 255], (7, 13))
    histogram = PrecisionRecallHistogram(1)
    histogram.update_class(0, torch.from_numpy(scores).T, torch.from_numpy(labels).T, positive=2)
    keep = labels != 255
    expected = average_precision_score(labels[keep] == 2, scores[keep])
    assert histogram.compute(0).average_precision == pytest.approx(expected)
    flipped = PrecisionRecallHistogram(1)
    flipped.update(scores[None, ::-1], (labels == 2)[None, ::-1] * 1 + (labels == 255)[None, ::-1] * 255)
    assert torch.equal(flipped.pixels, histogram.pixels)
    histogram.reset()
    assert int(histogram.pixels.sum()) == 0


def test_wrong_input() -> None:
    histogram = PrecisionRecallHistogram(1)
    for bad, message in ((1.5, r'1\.5'), (-0.1, r'-0\.1'), (np.nan, 'NaN'), (np.inf, 'inf')):
        with pytest.raises(ValueError, match=message):
            histogram.update(np.array([[0.5, bad]]), np.array([[0, 1]]))
    with pytest.raises(ValueError, match='C = 1'):
        histogram.update(np.zeros((2, 3)), np.zeros((2, 3), int))
    with pytest.raises(ValueError, match=r'targets must be 0, 1 or 255 \(ignored\), got \[2\]'):
        histogram.update(np.zeros((1, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(TypeError, match='float type'):
        histogram.update(np.zeros((1, 3), int), np.zeros((1, 3), int))
    with pytest.raises(ValueError, match='do not add up'):
        histogram += PrecisionRecallHistogram(2)
    with pytest.raises(ValueError, match='at least 1'):
        PrecisionRecallHistogram(0)
