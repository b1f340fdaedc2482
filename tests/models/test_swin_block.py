"""Windows, shifts and padding of the swin block."""

import pytest
import torch
import torch.nn.functional as F
from feature_block_cases import lively, noise
from torch import nn

from mmseg_medical.models.layers.feature_blocks import build_feature_block


def reach(block, size, position):
    """Mask (H, W) of the outputs that a change of the input at ``position`` moves."""
    x = noise(1, 8, *size)
    moved = x.clone()
    moved[0, 0, position[0], position[1]] += 1
    with torch.no_grad():
        return (block(moved) - block(x)).abs().amax((0, 1)) > 1e-12


def box(size, rows, columns):
    mask = torch.zeros(size, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def test_without_shift_windows_know_nothing_of_each_other():
    assert torch.equal(reach(lively('swin'), (14, 21), (3, 8)), box((14, 21), slice(0, 7), slice(7, 14)))


def test_shifted_windows_lie_across_and_do_not_wrap():
    block = lively('swin', shift=3)
    assert torch.equal(reach(block, (14, 21), (3, 8)), box((14, 21), slice(3, 10), slice(3, 10)))
    assert torch.equal(reach(block, (14, 21), (0, 0)), box((14, 21), slice(0, 3), slice(0, 3)))
    assert torch.equal(reach(block, (14, 21), (13, 20)), box((14, 21), slice(10, 14), slice(17, 21)))
    assert torch.equal(reach(block, (14, 21), (13, 4)), box((14, 21), slice(10, 14), slice(3, 10)))


def test_two_blocks_one_shifted_exchange_over_the_border():
    both = nn.Sequential(lively('swin'), lively('swin_shifted'))
    assert both[1].attention.shift == 3
    assert build_feature_block('swin_shifted', 8, window=4).attention.shift == 2
    found = reach(both, (14, 14), (6, 6))
    assert found[7, 7]
    assert not reach(nn.Sequential(lively('swin'), lively('swin')), (14, 14), (6, 6))[7, 7]


@pytest.mark.parametrize('size', [(7, 7), (1, 5), (6, 1)])
def test_one_window_is_not_shifted(size):
    x = noise(2, 8, *size)
    torch.testing.assert_close(lively('swin', shift=3)(x), lively('swin')(x), rtol=0, atol=0)


def test_an_axis_of_one_window_is_not_shifted():
    assert torch.equal(reach(lively('swin', shift=3), (5, 21), (0, 8)), box((5, 21), slice(0, 5), slice(3, 10)))


@pytest.mark.parametrize('shift', [0, 3])
@pytest.mark.parametrize('size', [(3, 4), (9, 10), (14, 15)])
def test_hidden_padding_is_no_padding(size, shift):
    """Attention over the positions that exist, window by window."""
    block = lively('swin', shift=shift, mask_padding=True)
    x = noise(1, 8, *size)
    y = x[0].permute(1, 2, 0)
    tokens = F.layer_norm(y, (8,), block.norm1.weight, block.norm1.bias)
    # without a shift windows begin at 0, with it 3 before; no window crosses the border, so no wrapping
    rows, columns = (window_of(n, shift) for n in size)
    out = torch.zeros_like(y)
    for i in set(rows.tolist()):
        for j in set(columns.tolist()):
            inside = (rows == i)[:, None] & (columns == j)[None]
            out[inside] = single_window(block.attention, tokens[inside])
    y = y + out
    y = y + block.mlp(block.norm2(y))
    torch.testing.assert_close(block(x)[0], y.permute(2, 0, 1), rtol=0, atol=1e-10)


def window_of(n, shift):
    if n <= 7:
        return torch.zeros(n, dtype=torch.long)
    return (torch.arange(n) + (7 - shift if shift else 0)) // 7


def single_window(attention, tokens):
    query, key, value = attention.qkv(tokens).chunk(3, dim=1)
    # eight heads of one channel
    weights = torch.softmax(query.T[:, :, None] * key.T[:, None, :], dim=2)
    return attention.proj((weights @ value.T[:, :, None])[..., 0].T)


def test_the_release_lets_the_map_see_its_padding():
    x = noise(1, 8, 9, 10)
    assert not torch.allclose(lively('swin')(x), lively('swin', mask_padding=True)(x))
    whole = noise(1, 8, 14, 7)
    assert torch.equal(lively('swin')(whole), lively('swin', mask_padding=True)(whole))


def test_another_window():
    block = lively('swin', window=4, num_heads=2)
    assert torch.equal(reach(block, (8, 9), (5, 8)), box((8, 9), slice(4, 8), slice(8, 9)))
