"""Frequency and spectral-dual loss: the definition of the Fourier transform as reference."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from loss_cases import case

from mmseg_medical.models.losses import (
    FrequencyLoss,
    SoftDiceLoss,
    SpectralDualLoss,
    VoxelFocalLoss,
)
from mmseg_medical.models.losses.spectral import spectral_error


@pytest.mark.parametrize('size', [(4, 6), (5, 7), (1, 1), (1, 8), (3, 4, 5), (9,)])
def test_spectral_error_as_discrete_fourier_transform(size):
    """Against the sum of the definition, over half of the last axis' frequencies."""
    difference = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kept = [*map(range, size[:-1]), range(size[-1] // 2 + 1)]
    positions = np.array(list(product(*map(range, size))))
    squares = []
    for frequency in product(*kept):
        phase = positions @ (np.array(frequency) / np.array(size))
        wave = torch.tensor(np.exp(-2j * np.pi * phase))
        coefficient = (difference.flatten(2) * wave).sum(2) / math.sqrt(len(positions))
        squares.append(coefficient.real**2 + coefficient.imag**2)
    torch.testing.assert_close(spectral_error(difference), torch.stack(squares).mean(0))


def test_frequency_of_a_constant_error():
    """All of the error lies in one of H (W / 2 + 1) coefficients: mean square times 2 W / (W + 2)."""
    logits = torch.zeros(1, 2, 6, 8, dtype=torch.float64)
    logits[:, 0] = math.log(3)
    labels = torch.zeros(1, 6, 8, dtype=torch.long)
    assert FrequencyLoss()(logits, labels).item() == pytest.approx(0.25**2 * 8 / 5)
    assert FrequencyLoss(class_weight=(3, 1))(logits, labels).item() == pytest.approx(0.25**2 * 8 / 5)


def test_frequency_of_released_loss_compares_ids_and_has_no_gradient():
    logits, labels = case((5, 6), classes=4)
    logits.requires_grad_()
    with_term, without = SpectralDualLoss(), SpectralDualLoss(frequency_weight=0)
    term = with_term(logits, labels) - without(logits, labels)
    spectrum = np.fft.rfft2((logits.detach().argmax(1) - labels).double().numpy(), norm='ortho')
    assert term.item() == pytest.approx(0.1 * np.mean(np.abs(spectrum) ** 2), rel=1e-4)
    (gradient,) = torch.autograd.grad(with_term(logits, labels), logits)
    (expected,) = torch.autograd.grad(without(logits, labels), logits)
    assert torch.equal(gradient, expected)


def test_frequency_of_fixed_loss_is_learnt():
    logits, labels = case((5, 6), classes=4)
    logits = logits.double().requires_grad_()
    parts = SpectralDualLoss(frequency_weight=0)(logits, labels) + 0.1 * FrequencyLoss()(logits, labels)
    ours = SpectralDualLoss(frequency_mode='fixed')(logits, labels)
    torch.testing.assert_close(ours, parts)
    (gradient,) = torch.autograd.grad(FrequencyLoss()(logits, labels), logits)
    assert gradient.abs().max() > 1e-4
    assert torch.autograd.gradcheck(lambda x: FrequencyLoss()(x, labels), logits)


def test_dice_and_focal_of_spectral_dual_loss():
    logits, labels = case((5, 6))
    labels[1, 2] = 255
    weight = (0.5, 2.0, 1.0)
    ours = SpectralDualLoss(frequency_weight=0, class_weight=weight, gamma=1.5)
    dice = SoftDiceLoss(pooled=False, include_background=True, class_weight=weight)
    torch.testing.assert_close(ours(logits, labels), dice(logits, labels) + VoxelFocalLoss(gamma=1.5)(logits, labels))


def test_frequency_ignores():
    """Only the first sample's first row counts: a mean over its voxels, whatever stands elsewhere."""
    logits, labels = case((4, 6))
    labels[:, 1:] = 255
    changed = logits.clone()
    changed[:, :, 1:] = 50
    for loss in (FrequencyLoss(), SpectralDualLoss()):
        torch.testing.assert_close(loss(changed, labels), loss(logits, labels))
    rows = torch.zeros(1, 2, 4, 8)
    rows[:, 0] = math.log(3)
    truth = torch.zeros(1, 4, 8, dtype=torch.long)
    whole = FrequencyLoss()(rows, truth)
    truth[:, 1:] = 255
    part = FrequencyLoss()(rows, truth)
    torch.testing.assert_close(part, whole)
