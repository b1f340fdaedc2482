"""Acceptance facts of HDC-HRNet's specification, sections 1.9, 3 and 10: heads and optional layers."""

import pytest
import torch
from golden import fill, wave
from torch import nn

from mmseg_medical.models.backbones import HRNetDCN
from mmseg_medical.models.decode_heads import AggregateHead
from mmseg_medical.models.layers.constellation import ConstellationLayer, prototypes
from mmseg_medical.models.layers.difference_of_gaussians import DifferenceOfGaussians, RetinalLayer
from mmseg_medical.models.layers.fixed_filters import gaussian_kernel
from mmseg_medical.models.layers.gabor import EnergyGatedGaborHead, GaborHead
from mmseg_medical.models.layers.monogenic import MonogenicEnergy
from mmseg_medical.models.layers.shearlet import ShearletBasis, ShearletHead
from mmseg_medical.models.layers.spectral_mask import SpectralMask


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(('channels', 'parameters'), [(32, 520_204), (48, 643_084), (64, 765_964)])
def test_parameters_of_the_shearlet_head(channels, parameters):
    assert count(ShearletHead(15 * channels, 4)) == parameters
    streams = [channels * 2**i for i in range(4)]
    with_head = AggregateHead(streams, implicit=dict(type='ShearletHead'))
    assert count(with_head) == count(AggregateHead(streams)) + parameters + 1


def test_names_of_the_shearlet_head_are_those_of_the_release():
    """A checkpoint is converted by a prefix alone."""
    layers = {'controller.net.0', 'controller.net.2', 'controller.net.4', 'coord_encoder.0', 'coord_encoder.2',
             'decoder.0', 'decoder.2', 'decoder.4'}  # fmt: skip
    expected = {f'{name}.{kind}' for name in layers for kind in ('weight', 'bias')}
    assert set(ShearletHead(480, 4).state_dict()) == expected | {'freq_scales', 'shearlet_basis.base_angles'}


def test_parameters_of_the_others():
    assert count(ConstellationLayer(64, 4)) == 18_563
    assert count(ConstellationLayer(720, 4)) == 2_334_243
    assert count(GaborHead(64, 4)) == 248_644
    assert count(GaborHead(64, 4).decoder) == 231_492
    assert count(EnergyGatedGaborHead(64, 4)) == 577_862
    assert count(SpectralMask(64, (56, 56))) == 207_872
    assert count(RetinalLayer(1, scales=((1, 2), (2, 4)))) == 15


def test_prototype_distances():
    for classes, distance in ((4, 2**0.5), (14, 0.445042)):
        points = prototypes(classes)
        assert torch.dist(points[0], points[1]).item() == pytest.approx(distance, abs=1e-6)
        assert torch.pdist(points).min().item() == pytest.approx(distance, abs=1e-6)


def test_shearlet_basis():
    shape = torch.tensor([1, 1, 2, 0.5], dtype=torch.float64).reshape(4, 1, 1, 1)
    basis = ShearletBasis().double()
    values = basis(torch.tensor([[0.5, -0.25]], dtype=torch.float64), shape, torch.tensor([1.0, 2.0]).double())
    expected = [-0.581650, -0.838432, -0.569766, -0.501930, -0.535261, -0.212762, 0.482263, 0.388339]
    assert values[0, 0, :8].tolist() == pytest.approx(expected, abs=1e-6)
    # twice the frequency at angle 0: cos 270 degrees
    assert values[0, 0, 8].item() == pytest.approx(0, abs=1e-6)


def test_difference_of_gaussians():
    kernel = DifferenceOfGaussians().kernels[0]
    assert kernel.shape == (15, 15)
    assert kernel.sum().item() == pytest.approx(0, abs=1e-6)
    assert kernel[7, 7].item() == pytest.approx(0.119354, abs=1e-6)
    torch.testing.assert_close(kernel.double(), gaussian_kernel(15, 1) - gaussian_kernel(15, 2), rtol=0, atol=1e-8)
    assert MonogenicEnergy().kernel.shape[1:] == (7, 7)


def test_golden_forward_of_the_fused_network():
    net = fill(HRNetDCN(base_channels=32).double().eval())
    head = fill(AggregateHead((32, 64, 128, 256), implicit=dict(type='ShearletHead')).double().eval())
    with torch.no_grad():
        head.implicit_fusion.fill_(0.5)  # scalars keep their start
        head.implicit.freq_scales.copy_(torch.linspace(0.5, 4, 4))
        streams = net(wave(1, 3, 16, 24))
        logits = head(streams, (16, 24))
        # of several chunks, and of streams that were never joined
        head.implicit.chunk_points = 50
        main, fine = head.conv_seg(streams), head.implicit(streams, (16, 24))
    assert logits.shape == (1, 4, 16, 24)
    assert logits.mean().item() == pytest.approx(0.384914180, abs=1e-6)
    assert logits.abs().mean().item() == pytest.approx(2.807590542, abs=1e-6)
    torch.testing.assert_close(0.377540669 * main + 0.622459331 * fine, logits, rtol=0, atol=1e-7)
