import numpy as np
import pytest

from mmseg_medical.visualization import class_colors, draw_segmentation, shrink_image, side_by_side
from mmseg_medical.visualization.overlay import class_masks, shrink_mask

CLASSES = ('background', 'EX', 'MA', 'SE', 'HE')
COLORS = class_colors(CLASSES)


def test_colours_of_the_paper() -> None:
    assert COLORS == [None, (255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 0, 255)]
    assert class_colors(('bg', 'vessel'), [[0, 0, 0], [1, 2, 3]]) == [None, (1, 2, 3)]
    others = class_colors(('a', 'b', 'c'), [[0, 0, 0]])
    assert None not in others
    assert len(set(others)) == 3


@pytest.mark.parametrize('shape', [(2848, 4288), (101, 7), (1, 97), (33, 33)])
@pytest.mark.parametrize('size', [(30, 45), (1, 1), (13, 7)])
def test_no_single_pixel_is_lost_when_shrinking(shape: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = np.zeros(shape, bool)
        y, x = (int(rng.integers(n)) for n in shape)
        mask[y, x] = True
        small = shrink_mask(mask, size)
        assert small.shape == size
        assert small.any()
        rows, columns = np.nonzero(small)
        assert abs((rows.mean() + 0.5) / size[0] - (y + 0.5) / shape[0]) <= 1 / min(size[0], shape[0])
        assert abs((columns.mean() + 0.5) / size[1] - (x + 0.5) / shape[1]) <= 1 / min(size[1], shape[1])


def test_shrinking_is_a_maximum() -> None:
    mask = np.random.default_rng(0).random((24, 36)) < 0.05
    expected = mask.reshape(6, 4, 6, 6).any(axis=(1, 3))
    assert np.array_equal(shrink_mask(mask, (6, 6)), expected)
    assert np.array_equal(shrink_mask(mask, mask.shape), mask)
    assert np.array_equal(shrink_mask(mask, (48, 72)), mask.repeat(2, 0).repeat(2, 1))


def test_one_pixel_lesion_is_visible_in_a_small_picture() -> None:
    labels = np.zeros((1, 2848, 4288), np.uint8)
    labels[0, 1000, 2000] = 2
    picture = draw_segmentation(np.zeros((285, 429, 3), np.uint8), labels, COLORS)
    assert (picture == (255, 255, 0)).all(axis=-1).sum() == 8
    assert picture.any(axis=-1).sum() == 9


def test_tint_and_outline() -> None:
    image = np.full((20, 20, 3), 100, np.uint8)
    labels = np.zeros((20, 20), np.uint8)
    labels[5:15, 5:15] = 1
    labels[0] = 255
    picture = draw_segmentation(image, labels, COLORS, alpha=0.5)
    assert picture[10, 10].tolist() == [178, 50, 50]
    assert picture[4, 10].tolist() == [255, 0, 0]
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert (image == 100).all()
    assert np.array_equal(draw_segmentation(image, labels, COLORS, alpha=0, contour=0), image)


def test_overlapping_masks() -> None:
    masks = np.zeros((4, 9, 9), np.uint8)
    masks[0, 2:7, 2:7] = 1
    masks[1, 4, 4] = 1
    picture = draw_segmentation(np.zeros((9, 9, 3), np.uint8), masks, COLORS[1:])
    assert picture[3, 4].tolist() == [255, 255, 0]
    assert len(class_masks(masks, 4)) == 4
    with pytest.raises(ValueError, match='expected a label map'):
        class_masks(masks, 3)
    with pytest.raises(ValueError, match='alpha'):
        draw_segmentation(np.zeros((9, 9, 3), np.uint8), masks, COLORS[1:], alpha=2)


@pytest.mark.parametrize('size', [(60, 90), (91, 37), (1, 1), (400, 1)])
def test_sheet_of_two_panels(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, size).astype(np.uint8)
    image = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
    panels = {'Prediction': labels, 'Ground truth': labels}
    sheet = side_by_side(image, panels, CLASSES, COLORS, max_side=50, title='IDRiD_55 <é>')
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] > 2 * min(size[1], 50 * size[1] // max(size))
    assert np.array_equal(shrink_image(image, 10_000), image)
