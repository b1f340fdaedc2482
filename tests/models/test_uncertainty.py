"""Sums over members and the maps made of them, against numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from allocations import Allocations
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.segmentors.deciding import activate
from mmseg_medical.models.segmentors.uncertainty import (
    MemberSums,
    entropy,
    foreground,
    switch_on_dropout,
)


def maps_of(members, multi_label=False):
    """Maps of members given as logits (K, *S)."""
    sums = MemberSums(multi_label)
    for logits in members:
        given = activate(logits, multi_label)
        kept = given.clone()
        sums.add(given)
        assert torch.equal(given, kept)
    expected = torch.stack([activate(logits, multi_label) for logits in members]).mean(0)
    torch.testing.assert_close(sums.probabilities(), expected)
    return sums.maps()


def logits_of(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()[:, None]


def binary(p):
    return -(p * math.log(p) + (1 - p) * math.log(1 - p))


def test_two_members_that_disagree():
    maps = maps_of([logits_of(0.9, 0.1), logits_of(0.1, 0.9)])
    assert {name: tuple(one.shape) for name, one in maps.items()} == dict.fromkeys(
        ('foreground', 'variance', 'entropy', 'mutual_information'), (1,)
    )
    assert maps['foreground'].item() == pytest.approx(0.5)
    assert maps['variance'].item() == pytest.approx(0.16)
    assert maps['entropy'].item() == pytest.approx(math.log(2))
    assert maps['mutual_information'].item() == pytest.approx(math.log(2) - binary(0.1))


def test_members_that_agree_are_unsure_without_disagreeing():
    maps = maps_of([logits_of(0.25, 0.5, 0.25)] * 3)
    assert maps['foreground'].item() == pytest.approx(0.75)
    assert maps['entropy'].item() == pytest.approx(1.5 * math.log(2))
    assert maps['variance'].item() == pytest.approx(0, abs=1e-15)
    assert maps['mutual_information'].item() == pytest.approx(0, abs=1e-15)


def test_foreground_that_swaps_its_class_disagrees_without_variance():
    maps = maps_of([logits_of(0.2, 0.7, 0.1), logits_of(0.2, 0.1, 0.7)])
    assert maps['variance'].item() == pytest.approx(0, abs=1e-15)
    assert maps['mutual_information'].item() > 0.2


def test_masks_that_overlap():
    p = torch.tensor([0.5, 0.2], dtype=torch.float64)[:, None]
    assert entropy(p, True).item() == pytest.approx(binary(0.5) + binary(0.2))
    assert foreground(p, True).item() == pytest.approx(1 - 0.5 * 0.8)
    maps = maps_of([torch.logit(p), torch.logit(1 - p)], multi_label=True)  # (0.5, 0.2) and (0.5, 0.8)
    assert maps['entropy'].item() == pytest.approx(2 * math.log(2))
    assert maps['mutual_information'].item() == pytest.approx(math.log(2) - binary(0.2))
    assert maps['foreground'].item() == pytest.approx((0.6 + 0.9) / 2)
    assert maps['variance'].item() == pytest.approx(0.15**2)


def test_one_sigmoid_is_two_classes():
    p = torch.tensor([[0.3]], dtype=torch.float64)
    two = torch.tensor([[0.7], [0.3]], dtype=torch.float64)
    assert entropy(p, False).item() == pytest.approx(entropy(two, False).item())
    assert foreground(p, False).item() == pytest.approx(foreground(two, False).item())


def test_certain_ones_have_no_entropy():
    assert entropy(torch.tensor([[1.0], [0.0]]), False).item() == 0
    assert entropy(torch.tensor([[1.0], [0.0]]), True).item() == 0


def test_against_many_members_in_numpy():
    rng = np.random.default_rng(0)
    p = rng.dirichlet((0.3, 0.3, 0.3), (7, 5)).transpose(0, 2, 1)
    maps = maps_of([torch.from_numpy(one).clamp_min(1e-300).log() for one in p])
    mean, f = p.mean(0), 1 - p[:, 0]
    own = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1)
    total = -(mean * np.log(mean)).sum(0)
    np.testing.assert_allclose(maps['entropy'], total, atol=1e-9)
    np.testing.assert_allclose(maps['mutual_information'], total - own.mean(0), atol=1e-9)
    np.testing.assert_allclose(maps['variance'], f.var(0), atol=1e-12)


@pytest.mark.parametrize('apart', [0.0, 1e-5, 1e-3])
def test_small_variance_is_not_lost_in_rounding(apart):
    """In float32 the mean of squares less the square of the mean would be 1e-7, whatever the members say."""
    sums = MemberSums(False)
    for k in range(20):
        sums.add(torch.tensor([[0.01 + apart * (k % 2)], [0.99 - apart * (k % 2)]]))
    assert sums.maps()['variance'].item() == pytest.approx(apart**2 / 4, rel=0.02, abs=0)


@pytest.mark.parametrize('multi_label', [False, True])
def test_no_second_array_of_all_classes(multi_label):
    p = torch.rand(12, 5, 7)
    with Allocations() as allocations:
        entropy(p, multi_label)
        foreground(p, multi_label)
    assert allocations.peak <= 4 * 5 * 7 * (12 + 4)


def test_dropout_alone_is_switched_on():
    model = nn.Sequential(nn.Dropout3d(0.3), nn.BatchNorm3d(2), nn.Dropout(0.0), nn.Dropout2d(0.1)).eval()
    assert switch_on_dropout(model) == 2
    assert [layer.training for layer in model] == [True, False, False, True]
    for without in (nn.Sequential(nn.Dropout(0.0)), nn.ReLU()):
        with pytest.raises(ConfigError, match=r'no dropout layer.*drop_rate'):
            switch_on_dropout(without.eval())
    with pytest.raises(ConfigError, match='at least one network'):
        MemberSums(False).maps()
