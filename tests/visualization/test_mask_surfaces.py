"""Surfaces of masks: volumes of closed forms, closedness, the same smoothing for all."""

from __future__ import annotations

import numpy as np
import pytest

from mmseg_medical.visualization.pictures.surface_nets import Mesh, surface_nets
from mmseg_medical.visualization.pictures.surfaces import Smoothing, block_size, box_around, surface_of, taubin


def ball(radius: float, size: tuple[int, int, int] = (29, 31, 37)) -> np.ndarray:
    middle = np.array(size)[:, None, None, None] // 2
    return ((np.indices(size) - middle) ** 2).sum(0) <= radius**2


def edges(mesh: Mesh) -> dict[tuple[int, int], int]:
    pairs = np.concatenate([mesh.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return dict(zip(map(tuple, found.tolist()), counts.tolist(), strict=True))


def test_nets_of_a_linear_field_lie_on_the_plane():
    field = np.zeros((9, 8, 7))
    field[2:6, 1:-1, 1:-1] = (0.9 - 0.1 * np.arange(2, 6))[:, None, None]
    mesh = surface_nets(field, 0.45)
    inner = mesh.vertices[(mesh.vertices[:, 0] > 3.5) & np.all(abs(mesh.vertices[:, 1:] - [3.5, 3]) < 1.6, axis=1)]
    assert len(inner) > 3
    np.testing.assert_allclose(inner[:, 0], 4.5)


@pytest.mark.parametrize('affine', [np.diag([1, 1, 1, 1.0]), np.diag([2, 0.5, 3, 1.0]), np.diag([-1, 1, 2, 1.0])])
def test_the_volume_of_a_ball_in_mm(affine):
    mask = ball(12)
    mesh = surface_of(mask, affine)
    assert mesh.volume == pytest.approx(mask.sum() * abs(np.linalg.det(affine)), rel=0.02)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 12**3 * abs(np.linalg.det(affine)), rel=0.03)
    centre = affine[:3, :3] @ (np.array(mask.shape) // 2)
    np.testing.assert_allclose((mesh.vertices.min(0) + mesh.vertices.max(0)) / 2, centre, atol=1e-6)


@pytest.mark.parametrize('shape', [(1, 1, 1), (1, 5, 7), (2, 3, 1), (11, 7, 5)])
def test_closed_and_facing_outwards(shape):
    mask = np.random.default_rng(1).random(shape) < 0.6
    mask.flat[0] = True
    mesh = surface_of(mask, None)
    found = edges(mesh)
    # as often in one direction as in the other, also where voxels touch at an edge alone
    assert all(found.get((b, a)) == count for (a, b), count in found.items())
    assert mesh.volume > 0


def test_a_single_voxel_is_not_smoothed_away():
    mask = ball(9)
    mask[0, 0, 0] = True
    together, alone = surface_of(mask, None), surface_of(ball(9), None)
    assert len(together.vertices) == len(alone.vertices) + 8
    assert together.vertices.min() < 0.5
    assert surface_of(np.ones((1, 1, 1), bool), None).volume > 5e-3


def test_the_same_mask_has_the_same_surface_wherever_it_stands():
    mask = ball(6, (15, 16, 17))
    first, second = surface_of(mask, np.eye(4)), surface_of(mask.copy(order='F'), np.eye(4))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.faces, second.faces)
    moved = surface_of(np.pad(mask, ((3, 0), (0, 5), (1, 1))), np.eye(4))
    np.testing.assert_allclose(moved.vertices - [3, 0, 1], first.vertices, atol=1e-9)


def test_smoothing_smooths():
    mesh = surface_of(ball(8), None, Smoothing(0, 0))
    middle = np.array([14, 15, 18])

    def roughness(points):
        return np.std(np.linalg.norm(points - middle, axis=1))

    assert roughness(taubin(mesh, 30)) < 0.75 * roughness(mesh.vertices)
    assert roughness(surface_of(ball(8), None).vertices) < 0.75 * roughness(mesh.vertices)


def test_blocks_keep_place_and_volume():
    mask = ball(12)
    smoothing = Smoothing(most_voxels=4000)
    block = block_size(box_around([mask]), smoothing)
    assert block == 2
    coarse = surface_of(mask, np.eye(4), smoothing, block)
    assert coarse.volume == pytest.approx(mask.sum(), rel=0.05)
    np.testing.assert_allclose(coarse.vertices.mean(0), [14, 15, 18], atol=0.3)
    assert len(coarse.faces) < len(surface_of(mask, np.eye(4)).faces) / 3


def test_nothing_and_nonsense():
    assert surface_of(np.zeros((3, 4, 5), bool), None) is None
    assert box_around([np.zeros((3, 4, 5), bool)]) is None
    with pytest.raises(ValueError, match='border'):
        surface_nets(np.ones((3, 3, 3)))
    with pytest.raises(ValueError, match='negative'):
        Smoothing(-1)


@pytest.mark.parametrize('wrong', [dict(sigma_voxels=-1), dict(sigma_voxels=float('nan')), dict(sigma_voxels=1e6)])
def test_how_much_may_be_smoothed(wrong):
    with pytest.raises(ValueError, match='sigma must be 0 to 8 voxels'):
        Smoothing(**wrong)
