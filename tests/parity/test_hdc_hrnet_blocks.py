"""Block library of HDC-HRNet: acceptance facts and golden values of its specification, sections 1.5, 2 and 10.

Of the traps in its section 9, number 12 is closed for the blocks by test_wavelet_at_any_width and by the errors in
models/test_feature_blocks.py, number 13 by models/test_feature_blocks.py::test_pickles.
"""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from feature_block_golden import golden_block, same
from golden import wave

from mmseg_medical.models.layers.feature_blocks import FEATURE_BLOCKS, build_feature_block, haar, inverse_haar

PARAMETERS = {  # at 32, 48, 64 and 96 channels
    'basic': (18_560, 41_664, 73_984, 166_272),
    'convnext': (10_048, 21_216, 36_480, 79_296),
    'dcn': (17_115, 32_571, 52_635, 106_587),
    'inverted_residual': (9_920, 21_024, 36_224, 78_912),
    'swin': (12_704, 28_272, 49_984, 111_840),
    'fno': (528_544, 1_189_104, 2_113_856, 4_755_936),
    'wavelet': (37_056, 83_232, 147_840, 332_352),  # the original cannot be built with 48 channels
    'rwkv': (12_672, 28_224, 49_920, 111_744),
}
GOLDEN = {  # mean abs, [0, 0, 0, 0], [0, 31, 8, 9]
    'basic': (0.478726093, 0.0, 0.0),
    'convnext': (0.643404857, 0.044923270, -0.938041886),
    'dcn': (0.786218917, 0.447006494, 0.314181646),
    'inverted_residual': (0.994696982, 0.052992992, -2.158431120),
    'swin': (0.639192576, 0.150562952, -0.836176897),
    'fno': (0.639008372, 0.105282747, -0.867280123),
    'wavelet': (0.785059568, 1.020399440, -0.338654940),
    'rwkv': (0.639006954, 0.142959358, -0.833394349),
}


def count(module):
    return sum(p.numel() for p in module.parameters())


# --- facts ----------------------------------------------------------------------------------------------------------


def test_the_library_has_eight_blocks_and_one_mended():
    assert list(FEATURE_BLOCKS) == [*PARAMETERS, 'swin_shifted']
    assert count(build_feature_block('swin_shifted', 48)) == PARAMETERS['swin'][1]


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters(name):
    assert tuple(count(build_feature_block(name, c)) for c in (32, 48, 64, 96)) == PARAMETERS[name]


@pytest.mark.parametrize('channels', [8, 64, 384])
def test_parameters_of_the_dcn_block_in_closed_form(channels):
    assert count(build_feature_block('dcn', channels, 4)) == 9 * channels**2 + 246 * channels + 27


@pytest.mark.parametrize('name', GOLDEN)
def test_golden_values(name):
    out = golden_block(name, dilation=2)(wave(1, 32, 9, 10))
    found = (out.abs().mean().item(), out[0, 0, 0, 0].item(), out[0, 31, 8, 9].item())
    assert found == pytest.approx(GOLDEN[name], rel=0, abs=1e-6)


# --- dcn ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('dilation', [1, 2, 32])
def test_dcn_starts_as_a_scaled_plain_convolution(dilation):
    block = build_feature_block('dcn', 16, dilation).double()
    x = wave(2, 16, 7, 5)
    plain = 0.11920292202211755 * F.conv2d(x, block.conv.weight, padding=dilation, dilation=dilation)
    plain = plain + block.conv.bias[:, None, None]
    same(block(x), x + F.gelu(F.group_norm(plain, 8)))
    assert 0 < block.conv.bias.abs().max() <= 1 / math.sqrt(9 * 16)  # torch's own distribution


def sample(image, y, x):
    """Bilinear value of ``image`` (C, H, W) at one position, zero outside."""
    total = torch.zeros(image.shape[0], dtype=image.dtype)
    for i in (math.floor(y), math.floor(y) + 1):
        for j in (math.floor(x), math.floor(x) + 1):
            if 0 <= i < image.shape[1] and 0 <= j < image.shape[2]:
                total += image[:, i, j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return total


def test_dcn_against_loops_over_taps():
    """Offsets are (vertical, horizontal) a tap, up to three pixels, whatever the dilation."""
    x, dilation = wave(1, 8, 4, 5), 2
    block = golden_block('dcn', 8, factor=20.0, dilation=dilation)
    offset = 3 * torch.tanh(F.conv2d(x, block.offset.weight, padding=dilation, dilation=dilation))[0]
    mask = torch.sigmoid(F.conv2d(x, block.modulation.weight, padding=dilation, dilation=dilation))[0]
    assert offset.abs().max() > 2.9
    out = torch.zeros(1, 8, 4, 5, dtype=x.dtype)
    for i in range(4):
        for j in range(5):
            for tap in range(9):
                dy, dx = offset[2 * tap, i, j].item(), offset[2 * tap + 1, i, j].item()
                row, column = i + dilation * (tap // 3 - 1) + dy, j + dilation * (tap % 3 - 1) + dx
                value = mask[tap, i, j] * sample(x[0], row, column)
                out[0, :, i, j] += block.conv.weight[:, :, tap // 3, tap % 3] @ value
    same(block(x), x + F.gelu(F.group_norm(out, 8)))


# --- wavelet --------------------------------------------------------------------------------------------------------


def test_haar_of_four_pixels():
    bands = haar(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert [band.item() for band in bands] == [5, -1, -2, 0]


def test_haar_keeps_energy_and_is_undone():
    x = wave(2, 3, 6, 10)
    bands = haar(x)
    assert all(band.shape == (2, 3, 3, 5) for band in bands)
    same(sum(band.square().sum() for band in bands), x.square().sum())
    same(inverse_haar(*bands), x)


@pytest.mark.parametrize('channels', [1, 7, 24, 37, 48, 62, 80])
def test_wavelet_at_any_width(channels):
    """Original: 32 groups or, below 32 channels, one a channel; it fails where 32 does not divide more channels."""
    block = build_feature_block('wavelet', channels)
    assert block(torch.ones(1, channels, 3, 5)).shape == (1, channels, 3, 5)
    assert channels > 32 or block.norm.num_groups == channels


def test_groups_of_the_wavelet_norm():
    assert [build_feature_block('wavelet', c).norm.num_groups for c in (32, 48, 64, 80, 96, 37)] == [
        32,
        24,
        32,
        20,
        32,
        1,
    ]


# --- convnext -------------------------------------------------------------------------------------------------------


def test_convnext_starts_as_the_identity():
    block = build_feature_block('convnext', 16).double()
    x = wave(1, 16, 5, 6)
    assert block.scale.tolist() == pytest.approx([1e-6] * 16)
    torch.testing.assert_close(block(x), x, rtol=0, atol=1e-5)
    moved = copy.deepcopy(block)
    moved.scale.data.fill_(1.0)
    assert (moved(x) - x).abs().max() > 1e-2
