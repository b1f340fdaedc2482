"""Losses of HDC-HRNet learn, and name options that are wrong."""

from __future__ import annotations

import pytest
import torch
from loss_cases import case

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses import (
    DeepSupervisionLoss,
    EdgeCrossEntropyLoss,
    EnergyGatedLoss,
    EyeOpeningLoss,
    FrequencyLoss,
    HDCHRNetLoss,
    SpectralDualLoss,
)

WEIGHT = (0.1, 1.5)


@pytest.mark.parametrize(
    'name', ['HDCHRNetLoss', 'EdgeCrossEntropyLoss', 'SpectralDualLoss', 'DistanceErrorLoss', 'EnergyGatedLoss']
)
def test_learns(name):
    from mmseg_medical.registry import MODELS

    loss = MODELS.build(dict(type=name))
    labels = case((6, 6), batch=1)[1]
    logits = torch.zeros(1, 3, 6, 6, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(40):
        optimizer.zero_grad()
        loss(logits, labels).backward()
        optimizer.step()
    assert (logits.argmax(1) == labels).all()


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: EdgeCrossEntropyLoss(edge_mode='paper'), "edge_mode must be one of .*'code'.*'paper'"),
        (lambda: EdgeCrossEntropyLoss(use_sigmoid=True), 'have none'),
        (lambda: HDCHRNetLoss(edge_mode='sobel'), 'edge_mode must be one of'),
        (lambda: HDCHRNetLoss(warmup_epochs=-1), 'warmup_epochs of HDCHRNetLoss must not be negative, got -1'),
        (lambda: HDCHRNetLoss(edge_weight=-1), 'edge_weight of HDCHRNetLoss'),
        (lambda: HDCHRNetLoss(focal_weight=-1), 'focal_weight of HDCHRNetLoss'),
        (lambda: HDCHRNetLoss(gamma=-1), 'gamma of HDCHRNetLoss'),
        (lambda: SpectralDualLoss(frequency_mode='paper'), 'frequency_mode must be one of'),
        (lambda: SpectralDualLoss(frequency_weight=-1), 'must not be negative, got -1'),
        (lambda: FrequencyLoss(use_sigmoid=True), 'knows no use_sigmoid'),
        (lambda: EyeOpeningLoss(slope=-1), 'must not be negative, got 5, -1 and 0.1'),
        (lambda: EnergyGatedLoss(kl_mean='batchmean'), "kl_mean must be one of .*'batchmean'"),
        (lambda: EnergyGatedLoss(kl_weight=-1), 'not negative'),
        (lambda: DeepSupervisionLoss(dict(type='DiceCELoss'), ()), 'weights of DeepSupervisionLoss'),
        (lambda: DeepSupervisionLoss(dict(type='DiceCELoss'), (0, 1)), 'the first not 0'),
        (lambda: DeepSupervisionLoss(dict(type='DiceCELoss'), (1, -1)), 'must not be negative'),
        (lambda: DeepSupervisionLoss(dict(type='DiceCELoss'), target_resize='cubic'), 'target_resize must be one of'),
    ],
)
def test_wrong_options(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_what_else_does_not_belong_together():
    logits, labels = case((3, 4))
    with pytest.raises(ValueError, match='2 class weights for logits of 3 channels'):
        HDCHRNetLoss(class_weight=WEIGHT)(logits, labels)
    with pytest.raises(ValueError, match='2 class weights for logits of 3 channels'):
        SpectralDualLoss(class_weight=WEIGHT)(logits, labels)
    with pytest.raises(ValueError, match='HDCHRNetLoss has no term a voxel'):
        HDCHRNetLoss()(logits, labels, weight=torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match="must start with 'loss_'"):
        DeepSupervisionLoss(dict(type='DiceCELoss'), loss_name='all')
