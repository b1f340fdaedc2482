"""The weight of a loss moves from one value to another, and only that loss's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import nn

from mmseg_medical.engine import LossWeightHook
from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses import DiceCELoss, VoxelBoundaryLoss


def runner(losses, iteration=0):
    head = SimpleNamespace(loss_decode=losses)
    return SimpleNamespace(model=SimpleNamespace(decode_head=head), iter=iteration)


@pytest.mark.parametrize(('iteration', 'weight'), [(0, 0.1), (10, 0.1), (15, 0.3), (20, 0.5), (99, 0.5)])
def test_weight_of_an_iteration(iteration, weight):
    losses = nn.ModuleList([DiceCELoss(), VoxelBoundaryLoss(loss_weight=7.0)])
    hook = LossWeightHook('loss_boundary', start=0.1, stop=0.5, begin=10, end=20)
    hook.before_train(runner(losses))
    hook.before_train_iter(runner(losses, iteration), 0)
    assert losses[1].loss_weight == pytest.approx(weight)
    assert losses[0].loss_weight == 1.0


def test_a_single_loss_is_no_list():
    loss = VoxelBoundaryLoss()
    LossWeightHook('loss_boundary', start=0.0, stop=1.0, end=4).before_train_iter(runner(loss, 1), 0)
    assert loss.loss_weight == 0.25


def test_what_cannot_move():
    with pytest.raises(ConfigError, match='begin < end'):
        LossWeightHook('loss_boundary', start=0.0, stop=1.0, end=0)
    with pytest.raises(ConfigError, match=r"no loss 'loss_boundry'.*it has loss_boundary"):
        LossWeightHook('loss_boundry', start=0.0, stop=1.0, end=4).before_train(runner(VoxelBoundaryLoss()))
