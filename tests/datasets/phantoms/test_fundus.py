import numpy as np
import pytest
from scipy import ndimage

from mmseg_medical.datasets.lesions import LESIONS
from mmseg_medical.datasets.phantoms import fundus_phantom


def _same(first, second):
    return np.array_equal(first.image, second.image) and all(
        np.array_equal(first.masks[code], second.masks[code]) for code in LESIONS
    )


def test_deterministic_by_seed():
    assert _same(fundus_phantom((61, 83), 4), fundus_phantom((61, 83), 4))
    assert not _same(fundus_phantom((61, 83), 4), fundus_phantom((61, 83), 5))


@pytest.mark.parametrize('shape', [(16, 16), (16, 97), (97, 16), (61, 83), (96, 128)])
def test_every_lesion_is_there_inside_the_field(shape):
    for seed in range(5):
        phantom = fundus_phantom(shape, seed)
        assert (phantom.image.shape, phantom.image.dtype) == ((*shape, 3), np.uint8)
        for code in LESIONS:
            assert phantom.masks[code].shape == shape
            assert phantom.masks[code].any(), (code, seed)
            assert not (phantom.masks[code] & ~phantom.field_of_view).any()


def test_absent_lesions_change_nothing_else():
    whole, part = fundus_phantom((96, 128), 3), fundus_phantom((96, 128), 3, ['EX', 'MA'])
    assert not part.masks['SE'].any()
    assert not part.masks['HE'].any()
    np.testing.assert_array_equal(whole.masks['EX'], part.masks['EX'])
    changed = (whole.image != part.image).any(axis=2)
    near = ndimage.binary_dilation(whole.masks['SE'] | whole.masks['HE'], iterations=4)
    assert not (changed & ~near).any()


def test_realistic_sizes_and_colours():
    overlaps = 0
    for seed in range(6):
        image, masks, field = fundus_phantom((356, 536), seed)
        around = field & ~np.any(list(masks.values()), axis=0)
        components, number = ndimage.label(masks['MA'])
        areas = np.bincount(components.reshape(-1))[1:]
        assert number >= 5
        assert 1 <= np.median(areas) <= 25  # microaneurysms are a few pixels
        green = {code: image[..., 1][masks[code]].mean() for code in LESIONS}
        background = image[..., 1][around].mean()
        assert min(green['EX'], green['SE']) > background + 30
        assert max(green['MA'], green['HE']) < background - 15
        share = np.any(list(masks.values()), axis=0).mean()
        assert 0.002 < share < 0.06
        overlaps += (np.sum(list(masks.values()), axis=0) > 1).any()
        assert image[~field].max() < 8
    assert overlaps >= 3


def test_vessels_and_disc_show():
    image, _, field = fundus_phantom((356, 536), 1, [])
    green = image[..., 1].astype(float)
    fine = green - ndimage.gaussian_filter(green, 6)
    inside = ndimage.binary_erosion(field, iterations=20)
    assert 0.03 < (fine < -6)[inside].mean() < 0.3  # vessels are thin and darker than what is around them
    bright = ndimage.gaussian_filter(green, 5) > np.percentile(green[inside], 97)
    _, number = ndimage.label(bright & inside)
    assert number <= 3  # one disc


@pytest.mark.parametrize('kwargs', [dict(size=(15, 80)), dict(lesions=['XX'])])
def test_wrong_arguments(kwargs):
    with pytest.raises(ValueError, match='a fundus phantom needs'):
        fundus_phantom(**kwargs)
