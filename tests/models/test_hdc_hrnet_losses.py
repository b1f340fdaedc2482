"""Losses of HDC-HRNet: the specification's examples, and their terms."""

from __future__ import annotations

import math

import pytest
import torch
from loss_cases import LABELS, LOGITS, case
from torch import Tensor
from torch.nn import functional

from mmseg_medical.models.losses import (
    DeepSupervisionLoss,
    DiceCELoss,
    EdgeCrossEntropyLoss,
    EnergyGatedLoss,
    EyeOpeningLoss,
    HDCHRNetLoss,
    SoftDiceLoss,
    SpectralDualLoss,
    VoxelCrossEntropyLoss,
    VoxelFocalLoss,
)
from mmseg_medical.models.losses.deep_supervision import deep_supervision
from mmseg_medical.models.losses.energy_gated import kl_divergence
from mmseg_medical.models.losses.hdc_hrnet import edge_ramp

WEIGHT = (0.1, 1.5)


def at(epoch: int, loss):
    loss.set_epoch(epoch)
    return loss


@pytest.mark.parametrize(
    ('loss', 'expected'),
    [
        (VoxelCrossEntropyLoss(), 0.2954811),
        (SoftDiceLoss(pooled=False, include_background=True), 0.2352403),
        (SoftDiceLoss(pooled=False, include_background=True, class_weight=WEIGHT), 0.2196568),
        (VoxelFocalLoss(), 0.0494644),
        (EdgeCrossEntropyLoss(edge_mode='code'), 0.5909621),
        (SpectralDualLoss(), 0.2847047),
        (at(0, EyeOpeningLoss()), 0),
        (at(6, EyeOpeningLoss()), 0.0119356),
        (at(10, EyeOpeningLoss()), 0.0596782),
        (at(20, EyeOpeningLoss()), 0.0596782),
        (at(10, EnergyGatedLoss()), 0.5903996),
        (at(0, HDCHRNetLoss()), 0.5307214),
        (at(5, HDCHRNetLoss()), 0.5307214),
        (at(10, HDCHRNetLoss()), 0.6784619),
        (at(15, HDCHRNetLoss()), 0.8262024),
        (at(149, HDCHRNetLoss()), 0.8262024),
        (at(0, HDCHRNetLoss(class_weight=WEIGHT)), 0.3758520),
        (at(10, HDCHRNetLoss(class_weight=WEIGHT)), 0.5235925),
        (at(15, HDCHRNetLoss(class_weight=WEIGHT)), 0.6713331),
    ],
)
def test_example(loss, expected):
    assert loss(LOGITS, LABELS).item() == pytest.approx(expected, abs=1e-6)


def test_example_of_deep_supervision():
    options = dict(pooled=False, include_background=True)
    loss = DeepSupervisionLoss(
        dict(type='DiceCELoss', **options), weights=(1, 0.5, 0.25, 0.125), target_resize='nearest'
    )
    assert loss([LOGITS, LOGITS], LABELS).item() == pytest.approx(0.7960820, abs=1e-6)


def test_deep_supervision_of_acdc():
    """Main and four auxiliary outputs: 1 + 0.4 + 0.3 + 0.2 + 0.1 times the loss, if they are equal."""
    loss = DeepSupervisionLoss(dict(type='HDCHRNetLoss', class_weight=WEIGHT))
    loss.loss.set_epoch(10)
    assert loss((LOGITS,) * 5, LABELS).item() == pytest.approx(2 * 0.5235925, abs=2e-6)
    assert loss(LOGITS, LABELS).item() == pytest.approx(0.5235925, abs=1e-6)


def test_true_class_probabilities_of_the_example():
    own = LOGITS.softmax(1).gather(1, LABELS[:, None]).flatten()
    assert own.tolist() == pytest.approx([0.880797, 0.731059, 0.5, 0.952574], abs=1e-6)


@pytest.mark.parametrize(
    ('epoch', 'warmup', 'expected'),
    [
        *((0, 10, 0), (4, 10, 0), (5, 10, 0), (6, 10, 0.1), (10, 10, 0.5), (14, 10, 0.9), (15, 10, 1), (99, 10, 1)),
        *((0, 0, 1), (2, 5, 0), (3, 5, 0.1), (0, 1, 0), (1, 1, 0.5), (2, 1, 1)),
    ],
)
def test_edge_ramp(epoch, warmup, expected):
    assert edge_ramp(epoch, warmup) == pytest.approx(expected)


def test_before_an_epoch_is_told_schedules_have_ended():
    assert HDCHRNetLoss()(LOGITS, LABELS).item() == pytest.approx(0.8262024, abs=1e-6)
    assert EyeOpeningLoss()(LOGITS, LABELS).item() == pytest.approx(0.0596782, abs=1e-6)


# --- the training loss ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('edge_mode', ['code', 'fixed'])
def test_training_loss_is_the_sum_of_its_terms(edge_mode):
    logits, labels = case((6, 5), classes=4)
    labels[0, 2] = 255
    weight = (0.1, 1.5, 1.5, 1.0)
    ours = HDCHRNetLoss(class_weight=weight, edge_mode=edge_mode, focal_weight=0.7, gamma=1.5)
    ours.set_epoch(8)
    parts = DiceCELoss(pooled=False, include_background=True, class_weight=weight, ce_class_weight=weight)
    expected = parts(logits, labels) + 0.7 * VoxelFocalLoss(gamma=1.5)(logits, labels)
    expected = expected + 0.5 * 0.3 * EdgeCrossEntropyLoss(edge_mode=edge_mode)(logits, labels)
    torch.testing.assert_close(ours(logits, labels), expected)


def test_late_released_loss_is_a_heavier_cross_entropy():
    """With the released edges and no class weights L = 2 CE + Dice."""
    logits, labels = case((7, 5))
    parts = DiceCELoss(pooled=False, include_background=True, ce_weight=2)
    torch.testing.assert_close(at(15, HDCHRNetLoss())(logits, labels), parts(logits, labels))


def test_focal_term_of_a_chance_prediction():
    zeros = torch.zeros(1, 4, 3, 3)
    labels = torch.arange(9).reshape(1, 3, 3) % 4
    plain, ours = HDCHRNetLoss(), HDCHRNetLoss(focal_weight=1.0)
    assert (ours(zeros, labels) - plain(zeros, labels)).item() == pytest.approx(0.5625 * math.log(4))


# --- eye opening and the energy-gated loss ----------------------------------------------------------------------------


def test_eye_opening_of_energy():
    energy = torch.tensor([[[0.0, 1.0], [0.5, 2.0]]], dtype=torch.float64)
    largest = torch.tensor([0.731059, 0.5, 0.952574], dtype=torch.float64)
    expected = 0.1 * (4 * largest * (1 - largest) * torch.tensor([1.0, 0.5, 2.0])).sum() / 4
    assert EyeOpeningLoss()(LOGITS, LABELS, energy).item() == pytest.approx(expected.item(), abs=1e-6)
    assert EnergyGatedLoss()(LOGITS, LABELS, energy=torch.zeros_like(energy)).item() == pytest.approx(
        0.5307214, abs=1e-6
    )


def test_eye_opening_of_a_voxel_without_a_majority_makes_it_even():
    logits = torch.tensor([0.3, 0.0, 0.0]).reshape(1, 3, 1).requires_grad_()
    EyeOpeningLoss()(logits, torch.zeros(1, 1, dtype=torch.long)).backward()
    assert logits.grad[0, 0, 0] > 0  # descending lowers the largest
    clear = torch.tensor([3.0, 0.0, 0.0]).reshape(1, 3, 1).requires_grad_()
    EyeOpeningLoss()(clear, torch.zeros(1, 1, dtype=torch.long)).backward()
    assert clear.grad[0, 0, 0] < 0


def test_energy_gated_terms():
    logits, labels = case((4, 5))
    labels[0, 0] = 255
    fine, coarse = case((4, 5), seed=1)[0], case((4, 5), seed=2)[0]
    base = EnergyGatedLoss()(logits, labels)
    fine_term = VoxelCrossEntropyLoss()(fine, labels)
    torch.testing.assert_close(EnergyGatedLoss()(logits, labels, fine=fine), base + fine_term)
    kept = labels != 255
    each = functional.kl_div(coarse.log_softmax(1), fine.softmax(1), reduction='none').sum(1) * kept
    for kl_mean, number in (('batch', 2), ('voxel', kept.sum())):
        loss = EnergyGatedLoss(kl_mean=kl_mean, loss_weight=2.0)
        expected = 2 * (base + fine_term + 0.1 * each.sum() / number)
        torch.testing.assert_close(loss(logits, labels, fine=fine, coarse=coarse), expected)
    assert kl_divergence(fine, fine).abs().max() < 1e-6


def test_coarse_and_fine_belong_together():
    logits, labels = case((4, 5))
    with pytest.raises(ValueError, match=r'coarse logits .* need fine ones of that shape, got None'):
        EnergyGatedLoss()(logits, labels, coarse=logits)
    with pytest.raises(ValueError, match=r'got \(2, 3, 4, 5\)'):
        EnergyGatedLoss()(logits, labels, fine=logits, coarse=logits[..., :3])


# --- deep supervision -------------------------------------------------------------------------------------------------


def test_coarse_outputs_are_enlarged_corner_to_corner():
    coarse = torch.tensor([0.0, 3.0]).reshape(1, 1, 1, 2).repeat(1, 2, 2, 1)
    seen = []

    def record(logits: Tensor, target: Tensor) -> Tensor:
        seen.append(logits[0, 0, 0].tolist())
        return logits.mean()

    target = torch.zeros(1, 2, 4, dtype=torch.long)
    deep_supervision(record, [coarse], target, [1.0], 'keep', align_corners=True)
    deep_supervision(record, [coarse], target, [1.0], 'keep')
    assert seen[0] == pytest.approx([0, 1, 2, 3])
    assert seen[1] == pytest.approx([0, 0.75, 2.25, 3])


def test_deep_supervision_of_maps_of_several_sizes():
    logits, labels = case((8, 6))
    coarse = case((4, 3), seed=3)[0]
    labels[0, :2] = 254
    loss = DeepSupervisionLoss(dict(type='EdgeCrossEntropyLoss'), (1, 0.4))
    wide = functional.interpolate(coarse, (8, 6), mode='bilinear', align_corners=True)
    edges = EdgeCrossEntropyLoss()
    expected = edges(logits, labels, ignore_index=254) + 0.4 * edges(wide, labels, ignore_index=254)
    torch.testing.assert_close(loss([logits, coarse], labels, ignore_index=254), expected)
    assert loss.loss_name == 'loss_edge'
    assert DeepSupervisionLoss(dict(type='DiceCELoss'), (1,), loss_name='loss_all').loss_name == 'loss_all'
    for outputs in ([logits] * 3, []):
        with pytest.raises(ValueError, match=rf'{len(outputs)} outputs for 2 weights'):
            loss(outputs, labels)
