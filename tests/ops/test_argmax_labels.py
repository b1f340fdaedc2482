import pytest
import torch

from mmseg_medical.ops import argmax_labels


@pytest.mark.parametrize('shape', [(1, 5), (2, 3, 1), (14, 5, 7, 3), (300, 11), (3, 0)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float64])
def test_equals_argmax(shape, dtype):
    scores = torch.randn(shape, dtype=dtype)
    labels = argmax_labels(scores)
    assert labels.dtype == (torch.uint8 if shape[0] <= 256 else torch.int64)
    assert torch.equal(labels.long(), scores.argmax(0, keepdim=True))


def test_the_first_of_equal_scores():
    scores = torch.randint(0, 3, (6, 500)).float()
    assert torch.equal(argmax_labels(scores)[0].long(), scores.argmax(0))


def test_infinite_scores_and_views():
    scores = torch.randn(7, 4, 5)[:, ::2, 1::2].clone().transpose(1, 2)
    scores[3:] = -torch.inf
    scores[5, 0] = torch.inf
    before = scores.clone()
    assert torch.equal(argmax_labels(scores).long(), scores.argmax(0, keepdim=True))
    assert torch.equal(scores, before)
