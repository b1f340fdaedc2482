import itertools
import math

import numpy as np
import pytest

from mmseg_medical.evaluation.functional.surface.surfel_table import surfel_areas

SPACINGS = [(1, 1, 1), (1, 1, 5), (3, 1, 1), (1, 7, 1), (0.7, 0.7, 2.5), (2, 3, 5), (1e-2, 40.0, 1.3)]
SPACINGS_2D = [(1, 1), (2, 3), (7, 0.3)]
A, B, C = 2.0, 3.0, 5.0
TRIANGLE = math.hypot(B * C, A * C, A * B) / 8


def code(*corners):
    """Code of the cell with these corners inside, each given as a number of 0s and 1s."""
    return sum(1 << int(corner, 2) for corner in corners)


# one of each of the classes of cells under symmetry and complement, spacing (A, B, C)
CASES = {
    'nothing': ((), 0.0),
    'corner': (('000',), TRIANGLE),
    'edge along 2': (('000', '001'), C * math.hypot(A, B) / 2),
    'edge along 1': (('100', '110'), B * math.hypot(A, C) / 2),
    'edge along 0': (('011', '111'), A * math.hypot(B, C) / 2),
    'two corners across a face': (('001', '010'), 2 * TRIANGLE),
    'two corners across the cell': (('011', '100'), 2 * TRIANGLE),
    'three of a face, normal 0': (('000', '001', '010'), B * C / 2 + 3 * TRIANGLE),
    'three of a face, normal 1': (('000', '001', '100'), A * C / 2 + 3 * TRIANGLE),
    'three of a face, normal 2': (('010', '000', '100'), A * B / 2 + 3 * TRIANGLE),
    'three across faces': (('001', '010', '100'), 3 * TRIANGLE),
    'an edge and a corner': (('000', '001', '110'), C * math.hypot(A, B) / 2 + TRIANGLE),
    'face, normal 0': (('000', '001', '010', '011'), B * C),
    'face, normal 1': (('010', '011', '110', '111'), A * C),
    'face, normal 2': (('001', '011', '101', '111'), A * B),
    'corner and its neighbours': (('000', '001', '010', '100'), 6 * TRIANGLE),
    'path, middle along 2': (
        ('100', '000', '001', '011'),
        4 * TRIANGLE + A * math.hypot(B, C) / 4 + B * math.hypot(A, C) / 4,
    ),
    'path, middle along 0': (
        ('010', '000', '100', '101'),
        4 * TRIANGLE + B * math.hypot(A, C) / 4 + C * math.hypot(A, B) / 4,
    ),
    'three of a face and a corner': (('000', '001', '010', '111'), B * C / 2 + 4 * TRIANGLE),
    'two edges': (('010', '011', '100', '101'), C * math.hypot(A, B)),
    'four across faces': (('000', '011', '101', '110'), 4 * TRIANGLE),
}


@pytest.mark.parametrize('name', CASES)
def test_closed_forms(name):
    corners, area = CASES[name]
    areas = surfel_areas((A, B, C))
    assert areas[code(*corners)] == pytest.approx(area, rel=1e-14, abs=0)
    assert areas[255 - code(*corners)] == pytest.approx(area, rel=1e-14, abs=0)


def test_closed_forms_for_two_axes():
    half = math.hypot(2, 3) / 2
    # the codes in their order: bit 0 is the corner (0, 0), bit 1 (0, 1), bit 2 (1, 0), bit 3 (1, 1)
    expected = [0, half, half, 3, half, 2, 2 * half, half, half, 2 * half, 2, half, 3, half, half, 0]
    np.testing.assert_allclose(surfel_areas((2, 3)), expected, rtol=1e-14)


@pytest.mark.parametrize('spacing', [*SPACINGS, *SPACINGS_2D])
def test_inside_and_outside_are_alike(spacing):
    areas = surfel_areas(spacing)
    assert areas.shape == (2**2 ** len(spacing),)
    assert areas.dtype == np.float64
    np.testing.assert_allclose(areas, areas[::-1], rtol=1e-14)
    assert areas[0] == areas[-1] == 0
    assert areas[1:-1].min() > 0


@pytest.mark.parametrize('spacing', [*SPACINGS, *SPACINGS_2D])
def test_exchanged_axes_and_mirrors(spacing):
    axes = len(spacing)
    corners = list(itertools.product((0, 1), repeat=axes))
    for order, mirror in itertools.product(itertools.permutations(range(axes)), corners):
        moved = [corners.index(tuple(corner[a] ^ m for a, m in zip(order, mirror, strict=True))) for corner in corners]
        codes = [sum(1 << moved[bit] for bit in range(len(corners)) if c >> bit & 1) for c in range(1 << len(corners))]
        permuted = surfel_areas(tuple(spacing[a] for a in order))
        np.testing.assert_allclose(permuted[codes], surfel_areas(spacing), rtol=1e-12)


def cell_codes(mask):
    """Code of each cell of a mask, the cells around it included, straight from the definition."""
    mask = np.pad(mask, 1).astype(int)
    codes = np.zeros([n - 1 for n in mask.shape], int)
    for bit, corner in enumerate(itertools.product((0, 1), repeat=mask.ndim)):
        codes += mask[tuple(slice(o, o + n) for o, n in zip(corner, codes.shape, strict=True))] << bit
    return codes


def test_area_of_a_box():
    """The faces shrink by half a voxel on each side; edges and corners are cut off obliquely."""
    i, j, k = 3, 4, 6
    total = surfel_areas((A, B, C))[cell_codes(np.ones((i, j, k)))].sum()
    faces = 2 * ((j - 1) * (k - 1) * B * C + (i - 1) * (k - 1) * A * C + (i - 1) * (j - 1) * A * B)
    edges = 4 / 2 * ((i - 1) * A * math.hypot(B, C) + (j - 1) * B * math.hypot(A, C) + (k - 1) * C * math.hypot(A, B))
    assert total == pytest.approx(faces + edges + 8 * TRIANGLE, rel=1e-12)


def test_area_of_a_plate():
    total = surfel_areas((A, B, C))[cell_codes(np.ones((1, 5, 7)))].sum()
    rim = 4 * math.hypot(B / 2, A / 2) * 6 * C + 4 * math.hypot(C / 2, A / 2) * 4 * B
    assert total == pytest.approx(2 * 4 * 6 * B * C + rim + 8 * TRIANGLE, rel=1e-12)


def test_length_of_a_rectangle():
    total = surfel_areas((2, 3))[cell_codes(np.ones((4, 6)))].sum()
    assert total == pytest.approx(2 * (3 * 2 + 5 * 3) + 2 * math.hypot(2, 3), rel=1e-12)


def test_area_of_a_sphere():
    """Marching cubes at the middles of edges overestimates curved surfaces by about a tenth, at any resolution."""
    grid = np.indices((43, 43, 43)) - 21
    total = surfel_areas((1, 1, 1))[cell_codes((grid**2).sum(0) <= 18**2)].sum()
    assert 1.05 < total / (4 * math.pi * 18**2) < 1.12


def test_scaling():
    np.testing.assert_allclose(surfel_areas((4, 6, 10)), 4 * surfel_areas((2, 3, 5)), rtol=1e-14)
    np.testing.assert_allclose(surfel_areas((4, 6)), 2 * surfel_areas((2, 3)), rtol=1e-14)


def test_one_table_for_one_spacing():
    areas = surfel_areas((1, 2, 3))
    assert surfel_areas([1.0, 2.0, 3.0]) is areas
    with pytest.raises(ValueError, match='read-only'):
        areas[1] = 0


@pytest.mark.parametrize('spacing', [(), (1,), (1, 1, 1, 1)])
def test_number_of_axes(spacing):
    with pytest.raises(ValueError, match=r'spacing_mm of surfels must have 2 or 3 numbers, got \('):
        surfel_areas(spacing)


@pytest.mark.parametrize('wrong', [0, -1, math.nan, math.inf])
def test_spacing_must_be_positive(wrong):
    with pytest.raises(ValueError, match='spacing_mm must'):
        surfel_areas((1, wrong, 1))


def test_equal_to_the_surface_distance_package():
    tables = pytest.importorskip('surface_distance').metrics.lookup_tables
    # The package numbers the corners the other way round.
    order = [int(f'{c:08b}'[::-1], 2) for c in range(256)]
    for spacing in SPACINGS:
        expected = tables.create_table_neighbour_code_to_surface_area(spacing)[order]
        np.testing.assert_allclose(surfel_areas(spacing), expected, rtol=1e-14, atol=1e-12)
    order = [int(f'{c:04b}'[::-1], 2) for c in range(16)]
    for spacing in SPACINGS_2D:
        expected = tables.create_table_neighbour_code_to_contour_length(spacing)[order]
        np.testing.assert_allclose(surfel_areas(spacing), expected, rtol=1e-14, atol=1e-12)
