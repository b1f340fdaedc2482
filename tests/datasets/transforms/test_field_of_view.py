import numpy as np
import pytest
from scipy import ndimage

from mmseg_medical.datasets import DataError
from mmseg_medical.datasets.phantoms import fundus_phantom
from mmseg_medical.datasets.transforms import FieldOfView
from mmseg_medical.datasets.transforms.field_of_view import apply_field_of_view, enhance_contrast, field_of_view_box


def test_box_by_hand():
    image = np.full((9, 11, 3), 7, np.uint8)
    image[2:5, 3:8] = 8
    assert field_of_view_box(image) == (2, 3, 5, 8)
    image[:] = 7
    image[4, 6] = 200
    assert field_of_view_box(image) == (4, 6, 5, 7)


def test_box_touching_the_border():
    assert field_of_view_box(np.full((3, 5, 3), 255, np.uint8)) == (0, 0, 3, 5)


def test_box_of_a_phantom():
    phantom = fundus_phantom((96, 160), seed=2)
    y0, x0, y1, x1 = field_of_view_box(phantom.image)
    rows, columns = np.nonzero(phantom.field_of_view)
    assert abs(np.array([y0, x0, y1, x1]) - [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]).max() <= 3


def test_black_image():
    with pytest.raises(DataError, match='no field of view'):
        field_of_view_box(np.zeros((4, 4, 3), np.uint8))


def test_enhancement_against_scipy():
    image = fundus_phantom((64, 96), seed=1).image
    slow = ndimage.gaussian_filter(image.astype(float), (15, 15, 0), mode='mirror', truncate=3)
    expected = np.clip(4.0 * image - 4 * slow + 128, 0, 255)
    assert np.abs(enhance_contrast(image) - expected).max() <= 4  # four times the rounding of the blur


def test_enhancement_of_a_flat_picture():
    assert (enhance_contrast(np.full((20, 30, 3), 90, np.uint8)) == 128).all()


def test_modes():
    image = fundus_phantom((64, 96)).image
    plain, box = apply_field_of_view(image, 'none', (32, 32))
    assert plain is image
    assert box is None
    cut, box = apply_field_of_view(image, 'crop_resize', (40, 32))
    assert cut.shape == (32, 40, 3)
    enhanced, same = apply_field_of_view(image, 'crop_resize_enhance', (40, 32))
    assert same == box
    np.testing.assert_array_equal(enhanced, enhance_contrast(cut))


def test_transform_records_the_box():
    image = fundus_phantom((64, 96)).image
    results = FieldOfView('crop_resize', (40, 32))(dict(img=image, ori_shape=(64, 96), img_shape=(64, 96)))
    y0, x0, y1, x1 = results['crop_box']
    assert results['img_shape'] == results['pad_shape'] == (32, 40)
    assert results['scale_factor'] == (40 / (x1 - x0), 32 / (y1 - y0))
    assert 'crop_box' not in FieldOfView()(dict(img=image, ori_shape=(64, 96)))


def test_not_at_native_size():
    with pytest.raises(RuntimeError, match='behind LoadFundusImage'):
        FieldOfView('crop_resize')(dict(img=np.zeros((5, 5, 3), np.uint8), ori_shape=(10, 10)))


def test_unknown_mode():
    with pytest.raises(ValueError, match="found 'crop'"):
        FieldOfView('crop')
