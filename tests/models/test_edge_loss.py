"""Cross entropy at edges: edges as scipy finds them, losses by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_cases import case
from scipy import ndimage
from torch.nn import functional

from mmseg_medical.models.losses import (
    EdgeCrossEntropyLoss,
    VoxelCrossEntropyLoss,
)
from mmseg_medical.models.losses.edge import label_edges


def sobel_of_scipy(labels: np.ndarray) -> np.ndarray:
    gradients = [ndimage.sobel(labels.astype(float), axis, mode='nearest') for axis in range(labels.ndim)]
    return np.sqrt(sum(gradient**2 for gradient in gradients)) > 1e-3


@pytest.mark.parametrize('size', [(7,), (1,), (9, 8), (1, 5), (1, 1), (13, 2), (3, 5, 4), (1, 7, 1)])
@pytest.mark.parametrize('classes', [2, 5])
def test_edges_as_scipy(size, classes):
    labels = case(size, classes, batch=3)[1]
    expected = np.stack([sobel_of_scipy(sample) for sample in labels.numpy()])
    np.testing.assert_array_equal(label_edges(labels).numpy(), expected)


def test_edges_of_a_square():
    labels = torch.zeros(1, 7, 8, dtype=torch.long)
    labels[0, 2:5, 0:4] = 3
    expected = torch.zeros(7, 8, dtype=torch.bool)
    expected[1:6, 0:5] = True
    expected[3, 0:3] = False  # inside, up to the border of the image
    assert torch.equal(label_edges(labels)[0], expected)
    assert not label_edges(torch.full((2, 4, 5), 7)).any()
    assert torch.equal(label_edges(labels.transpose(1, 2))[0], expected.T)


def test_edges_beside_a_thin_line():
    labels = torch.tensor([[0, 0, 1, 0, 0]])
    assert label_edges(labels)[0].tolist() == [False, True, False, True, False]


def test_fixed_edge_loss_by_hand():
    """Prediction: class 1 in the last column; truth: in the last two. Columns 2 to 4 are edges of one of them."""
    labels = torch.tensor([[[0, 0, 0, 1, 1]] * 3])
    logits = torch.zeros(1, 2, 3, 5, dtype=torch.float64)
    logits[:, 0, :, :4], logits[:, 1, :, 4] = 1, 1
    right, wrong = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    by_hand = (right + right + 2 * right + 2 * wrong + 2 * right) / 5
    assert EdgeCrossEntropyLoss()(logits, labels).item() == pytest.approx(by_hand)
    even = (right + right + right + wrong + right) / 5
    assert EdgeCrossEntropyLoss(edge_mode='code')(logits, labels).item() == pytest.approx(2 * even)
    assert EdgeCrossEntropyLoss()(logits, labels) < EdgeCrossEntropyLoss(edge_mode='code')(logits, labels)


def test_prediction_edges_count_and_have_no_gradient_of_their_own():
    logits, labels = case((6, 7), batch=1)
    flat = torch.zeros_like(labels)
    logits.requires_grad_()
    entropy = functional.cross_entropy(logits, flat, reduction='none')
    factor = 1 + torch.tensor(sobel_of_scipy(logits.detach().argmax(1)[0].numpy()))
    assert factor.max() == 2
    expected = (entropy * factor).mean()
    ours = EdgeCrossEntropyLoss()(logits, flat)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(expected, logits))


@pytest.mark.parametrize('ignore_index', [255, -100])
def test_ignored_voxels_make_no_edges(ignore_index):
    """The prediction is flat; what is ignored, and the voxels beside it, are no edge of the target."""
    labels = torch.ones(1, 9, 9, dtype=torch.long)
    labels[0, 3:5, 3:5] = ignore_index
    labels[0, 5, 3] = 2
    logits = torch.zeros(1, 3, 9, 9)
    logits[:, 1] = 1
    given = dict(ignore_index=ignore_index, reduction_override='none')
    factor = EdgeCrossEntropyLoss()(logits, labels, **given) / VoxelCrossEntropyLoss()(logits, labels, **given)
    expected = torch.ones(9, 9)
    expected[3:5, 3:5] = torch.nan  # 0 / 0
    expected[6, 2:5] = 2
    torch.testing.assert_close(factor[0], expected, equal_nan=True)


def test_edge_loss_takes_voxel_weights_and_class_weights():
    logits, labels = case((5, 6))
    weight = torch.rand(labels.shape)
    entropy = functional.cross_entropy(logits, labels, torch.tensor([1.0, 3.0, 0.5]), reduction='none')
    loss = EdgeCrossEntropyLoss(edge_mode='code', class_weight=(1, 3, 0.5), loss_weight=0.5)
    torch.testing.assert_close(loss(logits, labels, weight), (entropy * weight).mean())
    torch.testing.assert_close(loss(logits, labels, avg_factor=11.0), entropy.sum() / 11)
