"""Sheets of slices: what is chosen, and that all of it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from picture_cases import STRUCTURES, Cases, photograph_case, volume_case

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.visualization.canvas import png
from mmseg_medical.visualization.pictures.case import DARK_SERIES, PictureCase, Structures
from mmseg_medical.visualization.pictures.choosing import densest_choice, random_choices, spread_slices
from mmseg_medical.visualization.pictures.detail import detail_figure, facts
from mmseg_medical.visualization.pictures.multiplanar import equalised, multiplanar_figure
from mmseg_medical.visualization.pictures.planes import cut
from mmseg_medical.visualization.pictures.sheets import grid_figure, overview_figure, triplet_figure
from mmseg_medical.visualization.pictures.sources import chosen_ids


def size(figure) -> tuple[int, int]:
    written = png(figure)
    assert written.startswith(b'\x89PNG')
    return int.from_bytes(written[16:20], 'big'), int.from_bytes(written[20:24], 'big')


def test_colours():
    assert Structures.of(('background', 'a', 'b')).colors == (None, *DARK_SERIES[:2])
    assert Structures.of(('background', 'a'), [(0, 0, 0), (1, 2, 3)]).colors == (None, (1, 2, 3))


def test_slices_with_foreground_the_same_for_the_same_seed():
    cases = Cases(*(volume_case(name) for name in 'abc'))
    first, second, other = (random_choices(cases, cases.case_ids, 7, seed, 2) for seed in (0, 0, 1))
    names = [[choice.name(2) for choice in choices] for choices in (first, second, other)]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 7
    assert {choice.case.case_id for choice in first} == set('abc')
    assert all(2 <= choice.index < 8 for choice in first)
    assert names[0][0].startswith('a · axial ')
    assert len(random_choices(cases, ['b'], 50, 0, 0)) == 6  # there are no more


def test_no_foreground_anywhere():
    case = volume_case()
    empty = PictureCase('e', case.image, STRUCTURES, np.zeros_like(case.truth))
    with pytest.raises(DataError, match='background everywhere'):
        random_choices(Cases(empty), ['e'], 3, 0, 2)
    with pytest.raises(DataError, match='background everywhere'):
        densest_choice(empty, 2)
    with pytest.raises(DataError, match='background everywhere'):
        multiplanar_figure(empty)
    with pytest.raises(DataError, match='a prediction to draw'):
        densest_choice(empty, 2, 'pred')


def test_unknown_case():
    with pytest.raises(DataError, match=r'Did you mean case_1\? Correct'):
        chosen_ids(Cases(volume_case('case_1')), ['case1'])


@pytest.mark.parametrize(('count', 'expected'), [(1, [4]), (3, [2, 4, 6]), (9, [2, 3, 4, 5, 6, 7])])
def test_spread(count, expected):
    mask = np.zeros((9, 2, 3), bool)
    mask[2:8, 0, 1] = True
    assert spread_slices(mask, 0, count) == expected
    assert spread_slices(mask.transpose(1, 0, 2), 1, count) == expected


def test_planes_have_true_proportions():
    plane = cut(densest_choice(volume_case(), 0), 0, 100)
    # 13 voxels of 2 mm to the front, 11 of 3 mm upwards
    assert plane.picture.shape[:2] == (100, round(26 / 33 * 100))
    assert plane.extent_mm == (26, 33)
    front = STRUCTURES.mask(plane.truth, 1)
    assert np.flatnonzero(front.any(0))[0] == pytest.approx(3 / 13 * 79, abs=1)


@pytest.mark.parametrize('make', [volume_case, photograph_case, lambda: volume_case(affine=False)])
def test_every_sheet(make):
    case = make()
    choices = random_choices(Cases(case), [case.case_id], 4, 0, 2)
    width, height = size(grid_figure(choices, 2, columns=2))
    assert width == pytest.approx(144 * 4.3 * min(2, len(choices)), abs=1)
    assert height > 100
    assert size(overview_figure(choices, 2, 'pred', columns=2))[0] == pytest.approx(
        144 * 2.35 * min(2, len(choices)), abs=1
    )
    assert size(triplet_figure(choices[:1], 2))[0] == pytest.approx(144 * 7.2, abs=1)
    assert size(detail_figure(choices[0], 2))[0] == pytest.approx(144 * 9.2, abs=1)


def test_every_structure_is_in_the_picture():
    case = photograph_case()
    plane = cut(densest_choice(case, 2), 2, 40)
    assert plane.picture.shape == (29, 40, 3)
    mask = plane.mask(case.truth)
    for color in case.structures.colors:
        assert (mask == color).all(-1).any()  # one pixel of 61 x 83 too


def test_numbers_of_the_detail():
    case = volume_case()
    choice = densest_choice(case, 2)
    rows = dict(facts(choice, cut(choice, 2, 50), case.truth))
    assert rows['size'] == '17 × 13 × 11 voxels'
    assert rows['spacing'] == '1 × 2 × 3 mm'
    assert rows['front'] == f'144 voxels, {14400 / (17 * 13 * 11):.3g} %'


def test_multiplanar():
    assert size(multiplanar_figure(volume_case()))[0] == pytest.approx(3 * 3.2 * 144, abs=1)
    assert size(multiplanar_figure(volume_case(affine=False), {2: [0, 10]}, count=1))[0] == pytest.approx(
        2 * 3.2 * 144, abs=1
    )
    with pytest.raises(ValueError, match=r'axial slices 0 to 10, not 40.*--slice, --axial'):
        multiplanar_figure(volume_case(), {2: [40]})
    with pytest.raises(ConfigError, match='two axes'):
        multiplanar_figure(photograph_case())
    assert equalised(np.zeros((1, 3, 3), np.uint8)).shape == (1, 3, 3)
