"""Surface metrics against MONAI (``voxel``) and DeepMind's surface-distance library (``surfel``).

Known defects of the references that the cases stay clear of:

- MONAI rounds distances to float32, so they are kept below 8 mm, where that is 2.4e-7 mm. It also rounds the rank of a
  percentile to float32, which moves the value between two neighbouring distances: its reduction is compared in float64
  as well. It has no answer to one empty mask (NaN), reads a percentile of 0 as the maximum, and refuses percentiles of
  more than 2^24 surface voxels.
- surface-distance fails on one empty mask with NumPy 2, which has no ``np.Inf``, and calls namespaces of SciPy that
  warn of their removal. Where a share of the area meets the percentile exactly, rounding decides which of two distances
  it returns; the order of its sums is ours.
"""

import functools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.evaluation.functional.surface import assd, hausdorff, masd, nsd, surface_distances

TOLERANCE_MM = 1e-6
ROUNDED_RANK_MM = 1e-5
PERCENTILES = (1.0, 50.0, 90.0, 95.0, 99.9)
NSD_TOLERANCES_MM = (0.0, 0.37, 0.51, 1.03, 2.51)


def blobs(shape, num_classes, seed):
    """Two label maps of blobs that resemble each other, all classes in both."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    base = rng.standard_normal((num_classes, *shape))
    maps = [
        np.argmax([ndimage.gaussian_filter(field, 1.3) for field in base + 0.6 * rng.standard_normal(base.shape)], 0)
        for _ in range(2)
    ]
    corner = (0,) * (len(shape) - 1)
    for labels in maps:
        labels[corner][:num_classes] = range(num_classes)
    return [labels.astype(np.uint8) for labels in maps]


def boxes(shape, pred, target):
    """Two masks, each of one box given by its slices."""
    masks = np.zeros((2, *shape), np.uint8)
    masks[0][pred], masks[1][target] = 1, 1
    return masks


def checkerboard(shape):
    masks = np.indices(shape).sum(0) % 2
    return masks.astype(np.uint8), (1 - masks).astype(np.uint8)


def noise(shape, share, seed):
    rng = np.random.default_rng(seed)
    masks = (rng.random((2, *shape)) < share).astype(np.uint8)
    masks.reshape(2, -1)[:, -1] = 1
    return masks


ALL = np.s_[:]
CASES = {
    # name: (prediction and target, spacing in mm)
    'blobs': (blobs((14, 17, 11), 2, 0), (0.25, 0.25, 0.25)),
    'blobs, anisotropic': (blobs((13, 8, 19), 2, 1), (0.4, 0.17, 0.23)),
    'blobs of five classes': (blobs((11, 13, 17), 5, 2), (0.2, 0.3, 0.25)),
    'blobs with thick slices': (blobs((5, 23, 19), 4, 3), (1.1, 0.15, 0.15)),
    'noise': (noise((7, 9, 8), 0.3, 4), (0.3, 0.5, 0.4)),
    'dense noise': (noise((9, 6, 7), 0.8, 5), (0.5, 0.3, 0.4)),
    'checkerboard and its complement': (checkerboard((5, 6, 7)), (0.5, 0.3, 0.7)),
    'two voxels': (boxes((5, 6, 7), (1, 2, 1), (3, 5, 6)), (0.5, 0.3, 0.7)),
    'voxels in opposite corners': (boxes((4, 5, 3), (0, 0, 0), (3, 4, 2)), (1.1, 0.7, 0.9)),
    'one voxel and all': (boxes((6, 5, 7), (2, 3, 3), ALL), (0.5, 0.6, 0.7)),
    'both full': (boxes((6, 5, 7), ALL, ALL), (0.5, 0.6, 0.7)),
    'parallel plates': (boxes((9, 7, 8), np.s_[2], np.s_[6]), (0.5, 0.6, 0.7)),
    'crossing plates': (boxes((9, 7, 8), np.s_[4], np.s_[:, 3]), (0.5, 0.6, 0.7)),
    'plates at the border': (boxes((9, 7, 8), np.s_[0], np.s_[:, :, -1]), (0.5, 0.6, 0.7)),
    'one inside the other': (boxes((12, 11, 13), np.s_[4:7, 4:6, 5:8], np.s_[1:11, 2:10, 1:12]), (0.4, 0.3, 0.3)),
    'one axis of length 1': (noise((1, 9, 11), 0.4, 6), (0.4, 0.3, 0.3)),
    'two axes of length 1': (noise((1, 11, 1), 0.5, 7), (0.4, 0.3, 0.3)),
    'one voxel in a grid of one': (boxes((1, 1, 1), ALL, ALL), (0.4, 0.3, 0.3)),
    'image': (blobs((23, 31), 2, 8), (0.2, 0.2)),
    'image of four classes': (blobs((29, 19), 4, 9), (0.1, 0.3)),
    'noisy image': (noise((17, 13), 0.4, 10), (0.5, 0.25)),
    'checkerboard image': (checkerboard((7, 5)), (0.5, 0.3)),
    'two pixels': (boxes((7, 9), (1, 8), (5, 0)), (0.5, 0.3)),
    'line and border': (boxes((7, 9), np.s_[3], np.s_[:, 0]), (0.5, 0.6)),
    'image of one row': (noise((1, 13), 0.5, 11), (0.5, 0.25)),
}


def measured(pred, target, spacing_mm, surface):
    num_classes = int(max(pred.max(), target.max())) + 1
    return surface_distances(pred, target, num_classes=num_classes, spacing_mm=spacing_mm, surface=surface)


def assert_equal_to_monai(pred, target, spacing_mm):
    metrics = pytest.importorskip('monai.metrics')
    for label, distances in measured(pred, target, spacing_mm, 'voxel').items():
        masks = [torch.from_numpy(labels == label) for labels in (pred, target)]
        _, directions, _ = metrics.utils.get_edge_surface_distance(*masks, spacing=spacing_mm, symmetric=True)
        for mm, expected in zip((distances.pred_to_target_mm, distances.target_to_pred_mm), directions, strict=True):
            np.testing.assert_allclose(np.sort(mm), np.sort(expected.numpy()), atol=TOLERANCE_MM, rtol=0)
        # batch and channel, as MONAI takes them
        masks = [mask[None, None] for mask in masks]
        options = {'include_background': True, 'spacing': spacing_mm}
        distance = functools.partial(metrics.compute_hausdorff_distance, *masks, **options)
        assert hausdorff(distances) == pytest.approx(float(distance()), abs=TOLERANCE_MM)
        for percentile in PERCENTILES:
            ours = hausdorff(distances, percentile=percentile)
            assert ours == pytest.approx(float(distance(percentile=percentile)), abs=ROUNDED_RANK_MM)
            exact = max(float(torch.quantile(mm.double(), percentile / 100)) for mm in directions)
            assert ours == pytest.approx(exact, abs=TOLERANCE_MM)
        distance = functools.partial(metrics.compute_average_surface_distance, *masks, **options)
        assert assd(distances) == pytest.approx(float(distance(symmetric=True)), abs=TOLERANCE_MM)
        back = metrics.compute_average_surface_distance(*masks[::-1], **options)
        assert masd(distances) == pytest.approx((float(distance()) + float(back)) / 2, abs=TOLERANCE_MM)
        for tolerance in NSD_TOLERANCES_MM:
            expected = float(metrics.compute_surface_dice(*masks, class_thresholds=[tolerance], **options))
            assert nsd(distances, tolerance) == pytest.approx(expected, abs=1e-6)


def assert_equal_to_surface_distance(pred, target, spacing_mm):
    reference = pytest.importorskip('surface_distance')
    for label, distances in measured(pred, target, spacing_mm, 'surfel').items():
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', DeprecationWarning)
            expected = reference.compute_surface_distances(target == label, pred == label, spacing_mm)
        for mm, areas, of, to in (
            (distances.pred_to_target_mm, distances.pred_areas, 'pred', 'gt'),
            (distances.target_to_pred_mm, distances.target_areas, 'gt', 'pred'),
        ):
            order = np.lexsort((areas, mm.round(9)))
            np.testing.assert_allclose(mm[order], expected[f'distances_{of}_to_{to}'], atol=TOLERANCE_MM, rtol=0)
            np.testing.assert_allclose(np.sum(areas), np.sum(expected[f'surfel_areas_{of}']), rtol=1e-12)
        for percentile in (*PERCENTILES, 0.0, 100.0):
            value = reference.compute_robust_hausdorff(expected, percentile)
            assert hausdorff(distances, percentile=percentile) == pytest.approx(value, abs=TOLERANCE_MM)
        directed = reference.compute_average_surface_distance(expected)
        assert masd(distances) == pytest.approx(sum(directed) / 2, abs=TOLERANCE_MM)
        sizes = [np.sum(expected[f'surfel_areas_{side}']) for side in ('gt', 'pred')]
        assert assd(distances) == pytest.approx(np.average(directed, weights=sizes), abs=TOLERANCE_MM)
        for tolerance in NSD_TOLERANCES_MM:
            value = reference.compute_surface_dice_at_tolerance(expected, tolerance)
            assert nsd(distances, tolerance) == pytest.approx(value, abs=1e-9)


@pytest.mark.filterwarnings('ignore::FutureWarning:monai')
@pytest.mark.parametrize('name', CASES)
def test_voxel_is_monai(name):
    (pred, target), spacing_mm = CASES[name]
    assert_equal_to_monai(pred, target, spacing_mm)


@pytest.mark.parametrize('name', CASES)
def test_surfel_is_surface_distance(name):
    (pred, target), spacing_mm = CASES[name]
    assert_equal_to_surface_distance(pred, target, spacing_mm)


@st.composite
def masks_and_spacing(draw):
    """Two masks, neither empty, on a grid of two or three axes below 8 mm across."""
    shape = draw(st.lists(st.integers(1, 6), min_size=2, max_size=3))
    # Sums of spacings that meet a tolerance by chance would be a matter of rounding.
    spacing = draw(st.lists(st.sampled_from([0.211, 0.313, 0.617]), min_size=len(shape), max_size=len(shape)))
    return noise(tuple(shape), draw(st.sampled_from([0.05, 0.3, 0.6, 0.95])), draw(st.integers(0, 999))), tuple(spacing)


@pytest.mark.filterwarnings('ignore::FutureWarning:monai')
@settings(max_examples=30, deadline=None, derandomize=True)
@given(masks_and_spacing())
def test_any_masks(case):
    (pred, target), spacing_mm = case
    assert_equal_to_monai(pred, target, spacing_mm)
    assert_equal_to_surface_distance(pred, target, spacing_mm)
