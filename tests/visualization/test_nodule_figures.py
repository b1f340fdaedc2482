"""Figures of nodules: which slice, what lies where, nothing that needs a display."""

from __future__ import annotations

import io
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_medical.datasets.phantoms import write_luna16
from mmseg_medical.geometry import Volume
from mmseg_medical.visualization.canvas import png
from mmseg_medical.visualization.nodule_figures import montage_figure, projection_figure, slice_figure, write_figure

# as ITK's axes: x to the left and y to the back in the file, which is LPS
AFFINE = np.diag([-2.0, -1.0, 3.0, 1.0])
SIZE = (12, 20, 7)


def scan():
    return Volume(np.full(SIZE, -1000, np.int16), AFFINE, 'scan.mhd')


def box(*ranges):
    array = np.zeros(SIZE, np.uint8)
    for a in ranges:
        array[tuple(slice(low, stop) for low, stop in a)] = 1
    return Volume(array, AFFINE, 'mask.mhd')


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(png(figure))).convert('RGB')).astype(int)


def drawn(figure, number):
    """Pictures and outlines of a panel, as arrays (rows, columns) and in mm."""
    axes = figure.axes[number]
    return [np.ma.getdata(image.get_array()) for image in axes.images], axes


def test_the_slice_with_the_largest_area_is_drawn():
    mask = box(((2, 4), (3, 5), (1, 2)), ((2, 8), (3, 9), (5, 6)))
    figure = slice_figure(scan(), mask, title='case')
    assert figure.axes[0].get_title() == 'slice 5 of 7'
    assert len(drawn(figure, 0)[0]) == 1
    plain, over = drawn(figure, 1)[0]
    assert plain.shape == over.shape == (20, 12)  # rows are y, columns x
    np.testing.assert_array_equal(over, mask.array[..., 5].T)
    assert slice_figure(scan(), mask, index=1).axes[0].get_title() == 'slice 1 of 7'
    truth_only = slice_figure(scan(), box(), box(((1, 2), (1, 2), (6, 7))))
    assert truth_only.axes[0].get_title() == 'slice 6 of 7'
    assert slice_figure(scan(), box()).axes[0].get_title() == 'slice 3 of 7'


def test_background_is_transparent_and_the_window_fixed():
    image = scan()
    image.array[:6] = 400
    image.array[0, 0] = 3000
    figure = slice_figure(image, box(((8, 10), (4, 8), (3, 4))), index=3)
    found = {tuple(color) for color in pixels(figure).reshape(-1, 3).tolist()}
    assert (0, 0, 0) in found
    assert (255, 255, 255) in found
    image, over = drawn(figure, 1)[1].images
    assert image.get_clim() == (-1000, 400)
    assert over.get_alpha() == 0.5
    assert np.ma.getmaskarray(over.get_array()).sum() == 20 * 12 - 8


def test_proportions_and_directions():
    turned = Volume(scan().array[::-1], AFFINE @ np.array([[-1, 0, 0, 11], *np.eye(4)[1:]]), 'turned.mhd')
    mask = Volume(box(((0, 2), (0, 3), (2, 3))).array[::-1], turned.affine)
    figure = slice_figure(turned, mask)
    over = drawn(figure, 1)[0][1]
    assert over[:3, :2].all()  # the patient's right is on the left of the picture, the front above
    assert over.sum() == 6
    axes = figure.axes[1]
    assert axes.get_xlim() == (0, 24)  # mm
    assert axes.get_ylim() == (20, 0)


def test_outlines_close_at_the_border_and_of_single_voxels():
    for truth in (box(((0, 12), (0, 20), (3, 4))), box(((5, 6), (5, 6), (3, 4)))):
        figure = slice_figure(scan(), box(), truth)
        (outline,) = [path for c in figure.axes[1].collections for path in c.get_paths()]
        np.testing.assert_allclose(outline.vertices[0], outline.vertices[-1])
    x, y = outline.vertices.T  # the voxel lies at 10..12 mm and 5..6 mm
    assert 9.9 <= x.min() < 11 < x.max() <= 12.1
    assert 4.9 <= y.min() < 5.5 < y.max() <= 6.1


def test_thin_volumes():
    image = Volume(np.zeros((1, 5, 1), np.int16), AFFINE)
    mask = Volume(np.ones((1, 5, 1), np.uint8), AFFINE)
    pixels(slice_figure(image, mask, mask))
    pixels(projection_figure(image, mask, mask))
    pixels(slice_figure(Volume(image.array, None), Volume(mask.array, None)))


def test_all_nodules_side_by_side():
    nodules = np.array([[-2.0 * 3, -4.0, 6.0, 4.0], [-2.0 * 9, -15.0, 18.0, 8.5]])
    mask = box(((2, 5), (3, 6), (2, 3)), ((8, 11), (14, 17), (6, 7)))
    figure = montage_figure(scan(), mask, nodules, mask)
    assert [axes.get_title() for axes in figure.axes] == ['1: 4.0 mm', '2: 8.5 mm']
    for number in range(2):
        assert drawn(figure, number)[0][1].sum() == 9
    assert not montage_figure(scan(), mask, np.zeros((0, 4))).axes[0].images
    many = montage_figure(scan(), mask, np.repeat(nodules, 30, axis=0))
    assert len(many.axes) == 48
    assert '12 more nodules' in many.get_suptitle()
    with pytest.raises(ValueError, match='has no affine'):
        montage_figure(Volume(scan().array, None), Volume(mask.array, None), nodules)


def test_projections():
    image = scan()
    image.array[3, 15, 2] = 200
    image.array[0, 0, 0] = 900
    mask = box(((3, 4), (15, 16), (2, 3)))
    figure = projection_figure(image, mask, title='case')
    assert [axes.get_title() for axes in figure.axes] == ['axial', 'coronal', 'sagittal']
    for number, place in enumerate([(15, 3), (2, 3), (2, 15)]):
        plane, over = drawn(figure, number)[0]
        assert plane[place] == 200
        assert over[place] == 1
        assert over.sum() == 1
        assert plane.max() == 900
    coronal = figure.axes[1]
    assert coronal.get_ylim() == (0, 21)  # upwards
    lungs = box(((2, 6), (10, 20), (0, 7)))
    assert drawn(projection_figure(image, mask, within=lungs), 0)[0][0].max() == 200


def test_other_grids_are_refused():
    other = Volume(box().array, np.eye(4))
    for draw in (slice_figure, projection_figure):
        with pytest.raises(ValueError, match='expected the grid of'):
            draw(scan(), other)
    with pytest.raises(ValueError, match='there is no 7'):
        slice_figure(scan(), box(), index=7)


def test_the_file_is_whole(tmp_path):
    write_figure(slice_figure(scan(), box()), tmp_path / 'deep' / 'figure.png')
    assert Image.open(tmp_path / 'deep' / 'figure.png').size[0] > 500


def test_the_command_line(tmp_path, monkeypatch, capsys):
    root = write_luna16(tmp_path / 'luna', 1, num_subsets=1, size=(32, 30, 20), diameter_mm=(3, 6))
    path = next((root / 'subset0').glob('*.mhd'))
    mask, lungs = root / 'masks' / path.name, root / 'seg-lungs' / path.name
    tool = 'tools/analysis_tools/draw_nodules.py'
    arguments = [path, mask, tmp_path / 'out', '--truth', mask, '--lungs', lungs]
    arguments += ['--annotations', root / 'annotations.csv']
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(tool, run_name='__main__')
    names = {file.name.removeprefix(path.stem) for file in (tmp_path / 'out').iterdir()}
    assert names == {'_slice.png', '_nodules.png', '_projections.png'}
    assert capsys.readouterr().out.count('written: ') == 3
