"""Options of single blocks: the variants that mend what the release does oddly."""

import math

import pytest
import torch
import torch.nn.functional as F
from feature_block_cases import lively, noise
from torch import nn

from mmseg_medical.models.layers.feature_blocks import build_feature_block

# --- fno ------------------------------------------------------------------------------------------------------------


def pass_through(**options):
    """Spectral convolution whose every matrix is one."""
    block = build_feature_block('fno', 1, **options).double()
    block.spectral.weight.data.zero_()
    block.spectral.weight.data[..., 0] = 1
    return block.spectral


def diagonal_wave(rows, columns):
    i, j = torch.meshgrid(torch.arange(24, dtype=torch.float64), torch.arange(30, dtype=torch.float64), indexing='ij')
    return torch.cos(2 * math.pi * (rows * i / 24 + columns * j / 30))[None, None]


def test_the_release_drops_waves_up_the_diagonal():
    down, up = diagonal_wave(2, 3), diagonal_wave(-2, 3)
    spectral = pass_through()
    torch.testing.assert_close(spectral(down), down, rtol=0, atol=1e-12)
    assert spectral(up).abs().max() < 1e-12
    mended = pass_through(negative_rows=True)
    torch.testing.assert_close(mended(up), up, rtol=0, atol=1e-12)
    torch.testing.assert_close(mended(down), down, rtol=0, atol=1e-12)


def test_high_frequencies_are_dropped():
    spectral = pass_through(modes=4, negative_rows=True)
    assert spectral(diagonal_wave(0, 3)).abs().max() > 0.9
    for high in ((5, 0), (0, 5), (-5, 2), (2, 12)):
        assert spectral(diagonal_wave(*high)).abs().max() < 1e-12


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (2, 5), (3, 1), (9, 10), (40, 37)])
def test_with_negative_rows_small_maps_pass_whole(size):
    x = noise(1, 1, *size)
    if max(size) < 32:
        torch.testing.assert_close(pass_through(negative_rows=True)(x), x, rtol=0, atol=1e-12)
    assert pass_through(negative_rows=True)(x).shape == x.shape


def test_a_row_frequency_keeps_its_weight_at_another_size():
    block = pass_through(negative_rows=True, modes=4)
    block.weight.data[:, :, 4 + 1] = 0  # row frequency -2
    for n in (6, 9, 24):
        i, j = torch.meshgrid(torch.arange(n) / n, torch.arange(10) / 10, indexing='ij')
        kept, dropped = (torch.cos(2 * math.pi * (k * i + 2 * j)).double()[None, None] for k in (-1, -2))
        assert block(kept).abs().max() > 0.9
        assert block(dropped).abs().max() < 1e-6


def test_gradient_of_the_spectral_convolution():
    block = lively('fno', 2, modes=3, negative_rows=True).spectral
    assert torch.autograd.gradcheck(block, noise(1, 2, 5, 4).requires_grad_())


def test_the_norm_of_fno():
    x = noise(1, 8, 5, 6)
    released, mended = lively('fno'), lively('fno', use_norm=True)
    mended.load_state_dict(released.state_dict())
    assert not torch.allclose(released(x), mended(x))
    assert torch.equal(released(x), (released.norm.weight.data.zero_(), released(x))[1])
    y = x + mended.spectral(mended.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    assert torch.equal(mended(x), y + mended.mlp(y))
    assert all(p.requires_grad for p in mended.parameters())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_transforms(dtype):
    block, x = lively('fno').float(), noise(1, 8, 7, 6).float()
    expected = block.spectral(x)
    found = block.to(dtype).spectral(x.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05 * expected.abs().max().item())


# --- dcn ------------------------------------------------------------------------------------------------------------


def sampled(block, x):
    """Offsets the block asks for."""
    return block._taps(x)[0]


@pytest.mark.parametrize(('options', 'bound'), [({}, 3), (dict(scale_offsets=True), 12), (dict(kernel_size=5), 5)])
def test_offsets_are_bounded(options, bound):
    block = build_feature_block('dcn', 8, 4, **options).double()
    nn.init.constant_(block.offset.bias, 50.0)
    x = noise(1, 8, 5, 6)
    torch.testing.assert_close(sampled(block, x), torch.full_like(sampled(block, x), bound))
    assert block(x).shape == x.shape


def test_wide_taps_reach_a_small_map_only_with_scaled_offsets():
    """Dilation 32 on 7x7: what all taps but the middle one see is zero."""
    x = noise(1, 8, 7, 7)
    for scale, sees in ((False, False), (True, True)):
        block = lively('dcn', dilation=32, scale_offsets=scale)
        block.conv.weight.data[:, :, 1, 1] = 0
        nn.init.zeros_(block.offset.weight)
        block.offset.bias.data = torch.tensor([0.36, 0.36] * 9).double().atanh()
        # taps at 32 * (-1 + 0.36 * 3) = 2.6 pixels with the scaled bound
        sampled_sum = block.conv(x, *block._taps(x)) - block.conv.bias[:, None, None]
        assert (sampled_sum.abs().max() > 1e-6) == sees


def test_another_width_has_a_projection():
    block = lively('dcn', 8, out_channels=16)
    x = noise(2, 8, 5, 4)
    out = block(x)
    branch = block.act(block.norm(block.conv(x, *block._taps(x))))
    shortcut = F.group_norm(F.conv2d(x, block.shortcut[0].weight), 8, block.shortcut[1].weight, block.shortcut[1].bias)
    torch.testing.assert_close(out, branch + shortcut, rtol=0, atol=1e-12)


def test_back_ends_agree():
    x = noise(1, 8, 6, 7)
    torch.testing.assert_close(lively('dcn', backend='torch')(x), lively('dcn')(x), rtol=0, atol=1e-10)


# --- convnext and swin ----------------------------------------------------------------------------------------------


def test_initial_scale():
    block = build_feature_block('convnext', 8, initial_scale=0.5)
    assert block.scale.tolist() == [0.5] * 8


@pytest.mark.parametrize('name', ['convnext', 'swin'])
def test_drop_path(name):
    """A sample skips the branch or has it doubled; without training nothing is dropped."""
    block, x = lively(name, drop_path_rate=0.5), noise(64, 8, 2, 3)
    expected = lively(name)(x)
    assert torch.equal(block(x), expected)
    torch.manual_seed(0)
    out = block.train()(x)
    skipped = (out == x).flatten(1).all(1).sum()
    assert 4 < skipped < 60
    if name == 'convnext':
        doubled = x + 2 * (expected - x)
        torch.testing.assert_close(out, torch.where((out == x).flatten(1).all(1)[:, None, None, None], x, doubled))
