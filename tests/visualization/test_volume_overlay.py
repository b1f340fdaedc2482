"""Pictures of volumes with their segmentation."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmseg_medical.geometry import Volume
from mmseg_medical.visualization.palette import class_colors
from mmseg_medical.visualization.volume_overlay import overlay_picture, write_overlay


def volume(size=(11, 7, 5), affine=True) -> Volume:
    array = np.random.default_rng(0).random(size).astype(np.float32)
    return Volume(array, np.diag([-1.0, 2.0, 3.0, 1.0])[: 4 if affine else 0] if affine else None)


@pytest.mark.parametrize('affine', [True, False])
def test_the_structure_is_coloured_in_each_panel(affine, tmp_path):
    image = volume(affine=affine)
    mask = np.zeros(image.size, bool)
    mask[2:5, 3:5, 1:3] = True
    picture = overlay_picture(image, {'core': mask}, 'case')
    color = np.array(class_colors(['core'])[0])
    outline = np.flatnonzero((picture == color).all(-1).any(0))
    assert np.count_nonzero(np.diff(outline) > 12) >= 2  # three places along the sheet
    write_overlay(image, {'core': mask}, tmp_path / 'x.png', 'case')
    with Image.open(tmp_path / 'x.png') as written:
        np.testing.assert_array_equal(np.asarray(written), picture)


@pytest.mark.parametrize('size', [(1, 9, 4), (3, 1, 1), (1, 1, 1)])
def test_thin_and_empty_images(size):
    image = volume(size)
    picture = overlay_picture(image, {'a': np.zeros(size, bool), 'b': np.ones(size, bool)})
    assert picture.dtype == np.uint8
    assert picture.ndim == 3


def test_planes_and_photographs():
    plane = Volume(np.random.default_rng(0).random((9, 7)).astype(np.float32), None)
    assert overlay_picture(plane, {'a': plane.array > 0.5}).ndim == 3
    photograph = Volume(np.full((60, 80, 3), 90, np.uint8), None, has_channels=True)
    picture = overlay_picture(photograph, {'a': np.zeros((60, 80), bool)})
    assert (picture == 90).all(-1).sum() >= 60 * 80


def test_another_size_is_refused():
    with pytest.raises(ValueError, match='size'):
        overlay_picture(volume(), {'a': np.zeros((2, 2, 2), bool)})
