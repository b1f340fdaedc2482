"""Errors times distances: plates and lines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_cases import case
from torch.nn import functional

from mmseg_medical.models.losses import (
    DistanceErrorLoss,
)
from mmseg_medical.models.losses.distance_error import border_distance


def test_distance_to_the_other_side():
    mask = np.zeros((7, 5), bool)
    mask[2:5] = True
    assert border_distance(mask)[:, 0].tolist() == [2, 1, 1, 2, 1, 1, 2]
    assert border_distance(mask, (2.0, 3.0))[:, 0].tolist() == [4, 2, 2, 4, 2, 2, 4]
    assert not border_distance(np.ones((3, 3), bool)).any()
    assert not border_distance(np.zeros((3, 3), bool)).any()


def test_distance_error_by_hand():
    """Probabilities of class 1: 1/2, 3/4, 1/2, 1/2, 1/2; distances 2, 1, 1, 1, 1."""
    labels = torch.tensor([[0, 0, 1, 1, 0]])
    logits = torch.stack((torch.zeros(1, 5), torch.log(torch.tensor([[1.0, 3.0, 1.0, 1.0, 1.0]]))), 1)
    assert DistanceErrorLoss()(logits, labels).item() == pytest.approx((1 + 0.75 + 0.5 + 0.5 + 0.5) / 5)
    assert DistanceErrorLoss(spacing=(2.0,))(logits, labels).item() == pytest.approx(2 * 3.25 / 5)
    # a third class, which is absent, counts 0
    three = torch.cat((logits, torch.full((1, 1, 5), -50.0)), 1)
    assert DistanceErrorLoss()(three, labels).item() == pytest.approx(3.25 / 10)
    labels[0, 0] = 255
    assert DistanceErrorLoss()(logits, labels).item() == pytest.approx(2.25 / 4)


def test_distance_error_of_a_perfect_prediction():
    labels = case((6, 5))[1]
    sure = 200.0 * functional.one_hot(labels, 3).movedim(-1, 1)
    assert DistanceErrorLoss()(sure, labels) == 0
    with pytest.raises(ValueError, match='does not fit logits with 2 axes'):
        DistanceErrorLoss(spacing=(1, 1, 1))(sure, labels)
