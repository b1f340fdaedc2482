"""HDC-HRNet's blocks that see beyond a neighbourhood against section 2 of its specification, written out."""

import math

import pytest
import torch
import torch.nn.functional as F
from feature_block_golden import golden_block, same
from golden import wave

from mmseg_medical.models.layers.feature_blocks import build_feature_block

# --- swin -----------------------------------------------------------------------------------------------------------


def swin_reference(block, x, shift=0):
    """Window by window, head by head, with masks of -100 and regions cut by slices, as in the paper's code."""
    _, channels, height, width = x.shape
    y = x[0].permute(1, 2, 0)
    padded = F.pad(F.layer_norm(y, (channels,)), (0, 0, 0, -width % 7, 0, -height % 7))
    rows, columns = padded.shape[:2]
    region = torch.zeros(rows, columns)
    if shift:
        cuts = (slice(0, -7), slice(-7, -shift), slice(-shift, None))
        for a, vertical in enumerate(cuts):
            for b, horizontal in enumerate(cuts):
                region[vertical, horizontal] = 3 * a + b
    rolled = padded.roll((-shift, -shift), (0, 1))
    out = torch.zeros_like(rolled)
    for i in range(0, rows, 7):
        for j in range(0, columns, 7):
            tokens = rolled[i : i + 7, j : j + 7].reshape(49, channels)
            ids = region[i : i + 7, j : j + 7].reshape(49)
            mask = -100.0 * (ids[:, None] != ids[None, :]).double()
            out[i : i + 7, j : j + 7] = heads_reference(block.attention, tokens, mask).reshape(7, 7, channels)
    y = y + out.roll((shift, shift), (0, 1))[:height, :width]
    hidden = F.gelu(F.layer_norm(y, (channels,)) @ block.mlp[0].weight.T)
    return (y + hidden @ block.mlp[2].weight.T).permute(2, 0, 1)[None]


def heads_reference(attention, tokens, mask):
    channels = tokens.shape[1]
    query, key, value = (tokens @ part.T for part in attention.qkv.weight.split(channels))
    size, heads = channels // 8, []
    for h in range(8):
        own = slice(h * size, (h + 1) * size)
        heads.append(torch.softmax(query[:, own] @ key[:, own].T / math.sqrt(size) + mask, dim=1) @ value[:, own])
    return torch.cat(heads, dim=1) @ attention.proj.weight.T


@pytest.mark.parametrize('shift', [0, 3])
@pytest.mark.parametrize('size', [(9, 10), (14, 21), (8, 13)])
def test_swin_with_large_weights(shift, size):
    block = golden_block('swin', factor=4.0, shift=shift)
    x = wave(1, 32, *size)
    same(block(x), swin_reference(block, x, shift))


# --- fno ------------------------------------------------------------------------------------------------------------


def fno_reference(block, x):
    """Spectrum by matrices of the discrete Fourier transform."""
    height, width = x.shape[2:]
    rows, columns = min(16, height // 2 + 1), min(16, width // 2 + 1)
    weight = torch.complex(block.spectral.weight[..., 0], block.spectral.weight[..., 1])
    down, across = dft(height), dft(width)
    spectrum = down @ x.to(torch.complex128) @ across
    kept = torch.zeros_like(spectrum)
    for r in range(rows):
        for c in range(columns):
            kept[:, :, r, c] = spectrum[:, :, r, c] @ weight[:, :, r, c]
    y = down.conj() @ kept  # symmetric, unitary
    # the inverse of a real transform: every column but the first and the middle stands for its conjugate as well
    twice = torch.tensor([1.0 if c in (0, width / 2) else 2.0 if c < columns else 0.0 for c in range(width)])
    x = x + ((y * twice) @ across.conj()).real
    hidden = F.gelu(F.conv2d(x, block.mlp[0].weight))
    return x + F.conv2d(hidden, block.mlp[2].weight)


def dft(n):
    k = torch.arange(n, dtype=torch.float64)
    return torch.exp(-2j * math.pi * k[:, None] * k / n) / math.sqrt(n)


@pytest.mark.parametrize('size', [(9, 10), (1, 7), (2, 1), (37, 40)])
def test_fno_with_large_weights(size):
    block = golden_block('fno', 8, factor=4.0)
    x = wave(2, 8, *size)
    same(block(x), fno_reference(block, x))


def test_fno_initial_distribution():
    weight = build_feature_block('fno', 16).spectral.weight
    for part in weight.unbind(-1):
        assert part.std().item() * 16 * 256 == pytest.approx(1, abs=0.02)


# --- rwkv -----------------------------------------------------------------------------------------------------------


def test_rwkv_with_large_weights():
    block = golden_block('rwkv', 8, factor=4.0)
    block.mix_key.data.fill_(0.9)
    block.mix_gate.data.fill_(0.2)
    x = wave(2, 8, 3, 5)
    same(block(x), torch.cat([rwkv_reference(block, sequence) for sequence in x]))


def rwkv_reference(block, x):
    """Position by position; the sums run over all of them."""
    tokens, previous = list(x.flatten(1).T), torch.zeros(8, dtype=x.dtype)
    keys, values, gates = [], [], []
    for token in tokens:
        for found, mix, linear in (
            (keys, 0.9, block.key), (values, 0.5, block.value), (gates, 0.2, block.gate),
        ):  # fmt: skip
            found.append(linear.weight @ F.layer_norm(mix * token + (1 - mix) * previous, (8,)))
        previous = token
    largest = torch.stack(keys).max(dim=0).values
    weights = [torch.exp(key - largest) for key in keys]
    context = sum(w * v for w, v in zip(weights, values, strict=True)) / (sum(weights) + 1e-6)
    out = []
    for token, gate in zip(tokens, gates, strict=True):
        y = token + torch.sigmoid(gate) * (block.output.weight @ context)
        out.append(y + block.mlp[2].weight @ F.gelu(block.mlp[0].weight @ F.layer_norm(y, (8,))))
    return torch.stack(out, dim=1).reshape(1, *x.shape)
