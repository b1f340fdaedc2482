"""A grid without an image."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from affines import sheared, tilted

from mmseg_medical.geometry import Grid, Volume


def test_of_a_volume():
    volume = Volume(np.zeros((2, 3, 5, 4)), tilted(), '/data/a.nii', has_channels=True)
    grid = volume.grid
    assert (grid.size, grid.rank, grid.spacing_mm, grid.name) == ((2, 3, 5), 3, volume.spacing_mm, '/data/a.nii')
    assert Volume(np.zeros((2, 3)), None).grid == Grid((2, 3), None)


def test_equality_is_of_size_and_affine():
    grid = Grid((2, 3, 5), tilted(), 'a')
    assert grid == Grid([2, 3, 5], tilted(), 'b')
    assert hash(grid) == hash(Grid((2, 3, 5), tilted()))
    assert grid != Grid((2, 3, 5), sheared())
    assert grid != Grid((2, 3, 5), None)
    assert Grid((2, 3, 5), None) != Grid((2, 3, 4), None)
    assert grid != 'grid'


def test_ways_out_and_back():
    for grid in (Grid((2, 3, 5), tilted() / (1, 3, 7, 1)), Grid((2, 3), None)):
        assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid
        assert pickle.loads(pickle.dumps(grid)) == grid  # noqa: S301


def test_nobody_changes_it():
    affine = tilted()
    grid = Grid((2, 3, 5), affine)
    affine[0, 3] = 9
    assert grid.affine[0, 3] == 1
    with pytest.raises(ValueError, match='read-only'):
        grid.affine[0, 3] = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        grid.size = (1, 1, 1)


@pytest.mark.parametrize(
    ('size', 'affine', 'message'),
    [
        ((3,), None, 'expected two or three spatial axes, found size'),
        ((2, 3, 4, 5), None, 'expected two or three spatial axes'),
        ((2, -1), None, 'expected two or three spatial axes'),
        ((2, 3), np.eye(3), r'must have shape \(4, 4\)'),
        ((2, 3), np.diag([1, 0, 1, 1]), 'spacing must be positive'),
    ],
)
def test_unusable(size, affine, message):
    with pytest.raises(ValueError, match=rf'^case: .*{message}'):
        Grid(size, affine, 'case')
