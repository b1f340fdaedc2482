"""Coordinates of what a network sees in a view are those of the same place in the case that is seen so."""

import numpy as np
import pytest
import torch

from mmseg_medical.geometry import Frame
from mmseg_medical.models.segmentors.averaging import averaged, views_of

CASE, START, SIZE = (7, 9, 5), (1, 2, 1), (4, 5, 3)


def coordinates(frame: Frame, size) -> torch.Tensor:
    """Shape (1, axes, *size)."""
    axes = [f + s * np.arange(n) for f, s, n in zip(frame.first, frame.step, size, strict=True)]
    return torch.from_numpy(np.stack(np.meshgrid(*axes, indexing='ij')))[None]


@pytest.mark.parametrize('view', views_of((0, 1, 2), True, 3), ids=str)
def test_a_patch_of_the_view_is_the_view_of_the_patch(view):
    case = torch.arange(float(np.prod(CASE))).reshape(1, 1, *CASE)
    seen = view.see(case)
    whole = coordinates(Frame.whole(seen.shape[2:]), seen.shape[2:])
    patch = case[(..., *(slice(i, i + n) for i, n in zip(START, SIZE, strict=True)))]
    seen_patch = view.see(patch)
    place = tuple(int(i[0]) for i in torch.where(seen[0, 0] == seen_patch[0, 0, 0, 0, 0]))
    wanted = whole[(..., *(slice(i, i + n) for i, n in zip(place, seen_patch.shape[2:], strict=True)))]
    [[frame]] = view.frames([[Frame.whole(CASE).at(START)]], SIZE)
    torch.testing.assert_close(coordinates(frame, seen_patch.shape[2:]), wanted)


def test_a_network_of_coordinates_alone_averages_over_the_views():
    def network(x, frames):
        return coordinates(frames[0], x.shape[2:])

    views = views_of((1,), True, 2)
    mean = averaged([network], lambda scores, axis: scores, views)(torch.zeros(1, 1, 4, 6), [Frame.whole((4, 6))])
    # each place is seen at four rows and columns that cancel out
    torch.testing.assert_close(mean, torch.zeros(1, 2, 4, 6, dtype=torch.float64))
