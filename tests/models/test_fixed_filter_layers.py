"""Spectral mask, monogenic signal, log-Gabor bank and differences of Gaussians on closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.difference_of_gaussians import DifferenceOfGaussians, RetinalLayer
from mmseg_medical.models.layers.log_gabor import LogGaborBank
from mmseg_medical.models.layers.monogenic import MonogenicEnergy, MonogenicSignal, riesz_transform
from mmseg_medical.models.layers.spectral_mask import SpectralMask

SIZES = [(8, 8), (7, 11), (6, 9), (1, 5), (4, 1), (1, 1), (2, 2)]


def wave(size, rows, cols):
    """A cosine with whole numbers of periods along rows and columns."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) / n for n in size), indexing='ij')
    return torch.cos(2 * math.pi * (rows * y + cols * x))


# --- spectral mask --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', SIZES)
def test_a_new_mask_keeps_the_map(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(SpectralMask(3, size).double()(x), x)


def test_mask_keeps_one_frequency_of_one_channel():
    mask = SpectralMask(2, (8, 9)).double()
    with torch.no_grad():
        mask.weight.zero_()
        mask.weight[1, 2, 3] = torch.tensor([0.0, 0.5])  # multiplying by i/2: half of the wave, a quarter ahead
    low, high = wave((8, 9), 1, 0), wave((8, 9), 2, 3)
    x = torch.stack((low + high, low + high))[None]
    out = mask(x)
    assert out[0, 0].abs().max() < 1e-12
    y, x = torch.meshgrid(*(torch.arange(n).double() / n for n in (8, 9)), indexing='ij')
    torch.testing.assert_close(out[0, 1], -0.5 * torch.sin(2 * math.pi * (2 * y + 3 * x)))


def test_small_entries_count_as_nothing():
    mask = SpectralMask(1, (1, 4), threshold=0.5)
    with torch.no_grad():
        mask.weight[0, 0] = torch.tensor([[0.5, 0.0], [0.3, 0.41], [0.0, -0.4]])  # magnitudes 0.5, 0.508, 0.4
    out = mask(torch.randn(1, 1, 1, 4))
    out.square().sum().backward()
    kept = torch.fft.rfft2(out)[0, 0, 0].abs() > 1e-6
    assert kept.tolist() == [False, True, False]
    assert mask.weight.grad.abs().sum(-1)[0, 0].gt(0).tolist() == [False, True, False]


def test_released_initialisation_is_nearly_closed():
    torch.manual_seed(0)
    mask = SpectralMask(16, (56, 56), init='released')
    assert mask.weight.std().item() == pytest.approx(math.sqrt(2 / (56 * 29)), rel=0.02)
    assert 0.01 < (mask.weight.norm(dim=-1) > 0.1).float().mean() < 0.03


def test_mask_in_half_precision():
    x = torch.randn(1, 2, 5, 6)
    out = SpectralMask(2, (5, 6)).bfloat16()(x.bfloat16())
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), x, rtol=0.02, atol=0.02)


# --- monogenic signal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', SIZES)
def test_riesz_transform_is_that_of_the_whole_spectrum(size):
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    fy, fx = torch.meshgrid(*(torch.fft.fftfreq(n, dtype=torch.float64) for n in size), indexing='ij')
    radius = (fx**2 + fy**2 + 1e-8).sqrt()
    for ours, frequency in zip(riesz_transform(x), (fx, fy), strict=True):
        expected = torch.fft.ifft2(torch.fft.fft2(x) * (-1j * frequency / radius)).real
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(('rows', 'cols'), [(0, 2), (3, 0), (2, 3), (-1, 4)])
def test_a_wave_has_the_amplitude_one_everywhere(rows, cols):
    x = wave((16, 12), rows, cols)[None, None]
    amplitude, rx, ry = MonogenicSignal()(x)
    torch.testing.assert_close(amplitude, torch.ones_like(x), rtol=0, atol=1e-5)
    fy, fx = rows / 16, cols / 12
    torch.testing.assert_close(rx * fy, ry * fx, rtol=0, atol=1e-9)


def test_riesz_components_turn_with_the_image():
    x = torch.randn(1, 1, 9, 7, dtype=torch.float64)
    rx, ry = riesz_transform(x)
    turned_x, turned_y = riesz_transform(x.transpose(2, 3))
    torch.testing.assert_close(turned_x.transpose(2, 3), ry)
    torch.testing.assert_close(turned_y.transpose(2, 3), rx)


def test_riesz_transform_loses_the_mean():
    for component in riesz_transform(torch.full((5, 6), 3.0)):
        assert component.abs().max() < 1e-6


def test_energy():
    x = torch.zeros(2, 3, 21, 17)
    x[0, :, 10, 8] = 3.0
    x[1, 0, 4, 4] = 1.0
    energy = MonogenicEnergy()(x)
    assert energy.shape == (2, 1, 21, 17)
    assert energy[0].argmax() == 10 * 17 + 8
    assert energy[1].argmax() == 4 * 17 + 4
    for image in energy:
        assert (image.min().item(), image.max().item()) == pytest.approx((0, 1))
    assert MonogenicEnergy().kernel.shape == (1, 7, 7)


def test_energy_scales_away_and_vanishes_where_nothing_is():
    x = torch.randn(1, 2, 12, 12, dtype=torch.float64)
    energy = MonogenicEnergy().double()
    torch.testing.assert_close(energy(100 * x), energy(x), rtol=0, atol=1e-4)
    assert energy(torch.full((1, 2, 9, 1), 5.0).double()).abs().max() < 1e-6
    assert MonogenicEnergy()(x.bfloat16()).dtype == torch.bfloat16
    x.requires_grad_()
    energy(torch.zeros_like(x) * x).sum().backward()
    assert x.grad.isfinite().all()


# --- log-Gabor bank -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('scale', 'turn'), [(1, 0), (1, 3), (2, 0), (2, 3)])
def test_bank_finds_scale_and_direction(scale, turn):
    bank = LogGaborBank(wavelength=4.0, factor=2.0)
    periods = 64 // (4 * 2**scale)
    x = wave((64, 64), *((0, periods) if turn == 0 else (periods, 0)))[None, None]
    response = bank(x).abs()
    assert response.shape == (1, 1, 4, 6, 64, 64)
    assert response.mean(dim=(0, 1, 4, 5)).argmax() == scale * 6 + turn
    # half of a real wave's spectrum passes, and passes fully
    torch.testing.assert_close(response[0, 0, scale, turn], torch.full((64, 64), 0.5).double(), rtol=0, atol=1e-3)


@pytest.mark.parametrize('size', SIZES)
def test_bank_ignores_the_mean(size):
    x = torch.randn(2, 2, *size)
    bank = LogGaborBank()
    torch.testing.assert_close(bank(x + 7), bank(x), rtol=0, atol=1e-4)
    assert bank.wavelengths == pytest.approx((3, 6.3, 13.23, 27.783))


# --- differences of Gaussians ---------------------------------------------------------------------------------------


def test_impulse_shows_the_kernels():
    dog = DifferenceOfGaussians()
    x = torch.zeros(1, 2, 31, 29)
    x[0, 1, 15, 14] = 1.0
    out = dog(x)
    assert out.shape == (1, 6, 31, 29)
    assert not out[:, :3].any()
    torch.testing.assert_close(out[0, 3:, 8:23, 7:22], dog.kernels)
    assert out[0, 3:, :8].abs().max() == 0


@pytest.mark.parametrize('size', SIZES)
def test_constant_image(size):
    x = torch.full((1, 2, *size), 3.0)
    assert DifferenceOfGaussians()(x).abs().max() < 1e-5
    assert DifferenceOfGaussians(padding='zeros')(x).abs().max() > 0.01


def test_zero_padding_is_convolution():
    x = torch.randn(2, 2, 9, 5, dtype=torch.float64)
    dog = DifferenceOfGaussians(padding='zeros').double()
    for c in range(2):
        expected = F.conv2d(x[:, c : c + 1], dog.kernels[:, None], padding=7)
        torch.testing.assert_close(dog(x)[:, 3 * c : 3 * c + 3], expected)


def test_retinal_layer():
    layer = RetinalLayer(4, 5).train()
    x = torch.randn(2, 4, 6, 7, requires_grad=True)
    out = layer(x)
    assert out.shape == (2, 5, 6, 7)
    assert out.min() == 0
    out.sum().backward()
    assert x.grad.isfinite().all()
    assert not [n for n in layer.state_dict() if 'kernel' in n]  # constants are in no checkpoint


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (
            lambda: SpectralMask(2, (4, 4))(torch.zeros(1, 2, 4, 5)),
            r'of size \(4, 4\), got .*\(1, 2, 4, 5\)',
        ),
        (lambda: SpectralMask(2, (4, 4))(torch.zeros(1, 3, 4, 4)), 'set its channels and size'),
        (lambda: SpectralMask(0, (4, 4)), 'needs channels and a size'),
        (lambda: SpectralMask(2, (4,)), 'needs channels and a size'),
        (lambda: SpectralMask(2, (4, 4), init='ones'), "'identity' or 'released', got 'ones'"),
        (lambda: DifferenceOfGaussians([]), 'pairs of positive standard deviations'),
        (lambda: DifferenceOfGaussians([(1, 0)]), 'pairs of positive standard deviations'),
        (lambda: DifferenceOfGaussians(size=14), 'must be odd, .*got 14'),
        (lambda: RetinalLayer(2, padding='wrap'), "'replicate' or 'zeros', got 'wrap'"),
        (lambda: MonogenicEnergy('wrap'), "'replicate' or 'zeros', got 'wrap'"),
        (lambda: LogGaborBank(sigma=1.0), '0 < sigma < 1'),
        (lambda: LogGaborBank(orientations=0), 'needs scales, orientations'),
    ],
)
def test_what_cannot_be_used_is_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
