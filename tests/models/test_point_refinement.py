"""Which pixels are classified anew, and that no others are."""

import pytest
import torch
from hrnet_cases import CE, WIDTHS, streams

from mmseg_medical.models.decode_heads import PointRendHead
from mmseg_medical.models.layers.point_refinement import PointRefinement, other_pixels


def points(num_points=16, **options):
    return PointRefinement(sum(WIDTHS), 4, num_points, hidden_channels=8, **options)


def test_points_are_distinct_and_three_quarters_uncertain():
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 20, 11)
    index = points().choose(logits)
    assert index.shape == (3, 16)
    assert all(len(set(row.tolist())) == 16 for row in index)
    certainty = logits.softmax(1).amax(1).flatten(1)
    for row, sure in zip(index, certainty, strict=True):
        assert set(row[:12].tolist()) == set(sure.argsort()[:12].tolist())


def test_points_may_repeat_as_released():
    torch.manual_seed(0)
    index = points(repeat_points=True).choose(torch.randn(1, 4, 4, 5))
    assert index.shape == (1, 16)
    assert any(len(set(points(repeat_points=True).choose(torch.randn(1, 4, 4, 5))[0].tolist())) < 16 for _ in range(9))


@pytest.mark.parametrize(('size', 'train', 'test'), [((1, 1), 1, 0), ((1, 3), 3, 0), ((2, 2), 4, 1), ((9, 1), 9, 2)])
def test_maps_smaller_than_the_number_of_points(size, train, test):
    refinement = points()
    logits = torch.randn(2, 4, *size)
    assert refinement.choose(logits).shape == (2, train)
    assert refinement(logits, streams()).shape == logits.shape
    refinement.eval()
    assert refinement.choose(logits).shape == (2, test)
    assert torch.isfinite(refinement(logits, streams())).all()


def test_only_the_points_change_and_the_input_does_not():
    torch.manual_seed(0)
    refinement = points().eval()
    logits = torch.randn(2, 4, 12, 11)
    before = logits.clone()
    refined = refinement(logits, streams())
    assert torch.equal(logits, before)
    changed = (refined != logits).any(1).flatten(1)
    for row, index in zip(changed, refinement.choose(logits), strict=True):
        assert set(row.nonzero()[:, 0].tolist()) == set(index.tolist())


def test_drawn_pixels_are_others():
    torch.manual_seed(0)
    chosen = torch.tensor([[0, 1, 2], [5, 6, 7]])
    drawn = other_pixels(chosen, 8, 5)
    assert [sorted(row) for row in drawn.tolist()] == [[3, 4, 5, 6, 7], [0, 1, 2, 3, 4]]


def test_points_under_autocast():
    head = PointRendHead(WIDTHS, loss_decode=CE)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        logits = head(streams(), (30, 22))
    logits.float().sum().backward()
    assert torch.isfinite(head.points.mlp[0].weight.grad).all()
