"""Implicit heads against formulas written out point by point, in any chunks and precision."""

import pytest
import torch
import torch.nn.functional as F
from implicit_cases import HEADS, build, enlarge, formula, streams
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.gabor import EnergyGatedGaborHead, GaborHead
from mmseg_medical.models.layers.gabor_basis import SineLayer
from mmseg_medical.models.layers.pointwise_head import grid_coordinates, sample_points
from mmseg_medical.models.layers.shearlet import ShearletHead

#: sizes of the streams, and of the logits
SHAPES = {
    'full resolution': ([(5, 7)], (5, 7)),
    'enlarged': ([(3, 4)], (11, 13)),
    'made smaller': ([(9, 8)], (4, 3)),
    'one pixel': ([(1, 1)], (1, 1)),
    'thin': ([(1, 5)], (7, 1)),
    'streams': ([(6, 5), (3, 3), (2, 2), (1, 1)], (6, 5)),
    'enlarged streams': ([(6, 5), (3, 3), (2, 2)], (13, 17)),
}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('name', HEADS)
def test_values_and_gradients_are_those_of_the_formula(name, shape):
    sizes, size = SHAPES[shape]
    maps, channels = streams(sizes)
    head = build(name, channels, chunk_points=18)
    energy = None if name == 'gabor' else torch.rand(2, 1, 3, 2, dtype=torch.float64)
    results = []
    for run in (head, lambda *arguments: formula(head, *arguments)):
        inputs = [x.clone().requires_grad_() for x in maps]
        logits = run(inputs, size, energy)
        assert logits.shape == (2, 3, *size)
        gradients = torch.autograd.grad(logits.sin().sum(), (*inputs, *head.parameters()))
        results.append((logits, *gradients))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize('chunk_points', [1, 2, 7, 70, 1000])
@pytest.mark.parametrize('name', HEADS)
def test_chunks_change_nothing(name, chunk_points):
    maps, channels = streams([(5, 7), (3, 4)])
    whole, chunked = build(name, channels), build(name, channels, chunk_points=chunk_points)
    for size in ((5, 7), (8, 9)):
        torch.testing.assert_close(chunked(maps, size), whole(maps, size))
        with torch.no_grad():
            torch.testing.assert_close(chunked(maps, size), whole(maps, size))


@pytest.mark.parametrize('name', HEADS)
def test_streams_stand_for_their_join(name):
    maps, channels = streams([(5, 7), (3, 4), (2, 2)])
    head = build(name, channels)
    joined = torch.cat([enlarge(x, (5, 7)) for x in maps], dim=1)
    torch.testing.assert_close(head(maps, (9, 9)), head(joined, (9, 9)))
    torch.testing.assert_close(head(maps), head(joined))


@pytest.mark.parametrize('name', HEADS)
def test_images_of_a_batch_are_independent(name):
    maps, channels = streams([(4, 5), (2, 3)], batch=3)
    head = build(name, channels, chunk_points=8)
    together = head(maps, (9, 7))
    alone = torch.cat([head([x[i : i + 1] for x in maps], (9, 7)) for i in range(3)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize('name', ['wide shearlet', 'gabor', 'gated'])
def test_every_parameter_learns(name):
    """Forty steps towards a wave that the features do not show."""
    torch.manual_seed(0)
    head = HEADS[name](4, chunk_points=100)
    x = torch.randn(1, 4, 6, 6)
    target = ((grid_coordinates((16, 16), 0, 256, x)[:, 0] * 6).sin() > 0).long().reshape(1, 16, 16)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(head(x, (16, 16)), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize('name', HEADS)
def test_bfloat16_and_float16(name):
    maps, channels = streams([(6, 5), (3, 3)])
    maps = [x.float() for x in maps]
    head = build(name, channels).float()
    for layer in head.modules():  # waves of frequency 30 amplify rounding, which is not what is tested
        if isinstance(layer, SineLayer):
            nn.init.normal_(layer.weight, std=0.005)
    full = head(maps, (11, 9))
    with torch.autocast('cpu', torch.bfloat16):
        mixed = head([x.bfloat16() for x in maps], (11, 9))
    assert (mixed - full).abs().mean() < 0.1 * full.abs().mean()
    half = head.bfloat16()([x.bfloat16() for x in maps], (11, 9))
    assert half.dtype == torch.bfloat16
    assert (half - full).abs().mean() < 0.1 * full.abs().mean()


def test_meta_device():
    """Operations of whole models are counted there."""
    head = ShearletHead(6, 3, hidden=32).to('meta')
    assert head(torch.empty(1, 6, 5, 4, device='meta'), (7, 8)).shape == (1, 3, 7, 8)


def test_default_size_is_four_times_the_features():
    x = torch.randn(1, 4, 3, 2)
    assert HEADS['gabor'](4)(x).shape == HEADS['gated'](4)(x).shape == (1, 3, 12, 8)
    assert HEADS['shearlet'](4)(x).shape == (1, 3, 3, 2)


def test_energy_is_that_of_the_features_where_none_is_given():
    maps, channels = streams([(6, 5), (3, 3)])
    head = build('gated', channels)
    joined = torch.cat([enlarge(x, (6, 5)) for x in maps], dim=1)
    torch.testing.assert_close(head(maps, (9, 9)), head(maps, (9, 9), head.energy(joined)))
    assert not torch.allclose(head(maps, (9, 9)), head(maps, (9, 9), torch.zeros(2, 1, 1, 1).double()))


def test_coordinates_and_samples_agree_with_torch():
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    coordinates = grid_coordinates((7, 9), 0, 63, maps)
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 7).double(), torch.linspace(-1, 1, 9).double()).flip(1)
    torch.testing.assert_close(coordinates, grid, rtol=0, atol=1e-7)
    sampled = sample_points(maps, coordinates).transpose(1, 2).reshape(2, 3, 7, 9)
    torch.testing.assert_close(sampled, enlarge(maps, (7, 9)))
    assert grid_coordinates((1, 1), 0, 1, torch.empty(0).half()).dtype == torch.float32


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: ShearletHead(0, 2), 'in_channels of ShearletHead must be at least 1, got 0'),
        (lambda: ShearletHead(4, 0), 'num_classes of ShearletHead must be at least 1'),
        (lambda: GaborHead(4, 2, chunk_points=0), 'chunk_points of GaborHead must be at least 1'),
        (lambda: GaborHead(4, 2, hidden=48), 'normalised in 32 groups, 48 cannot be'),
        (lambda: GaborHead(4, 2, layers=1), 'at least 2 layers'),
        (lambda: EnergyGatedGaborHead(4, 2, functions=0), 'at least 1 function'),
        (lambda: EnergyGatedGaborHead(4, 2, film_init='zero'), "'identity' or 'released', got 'zero'"),
        (
            lambda: HEADS['gabor'](4)(torch.zeros(1, 5, 2, 2)),
            r'of 4 channels.*got \(1, 5, 2, 2\); set its in_',
        ),
        (lambda: HEADS['shearlet'](4)([torch.zeros(1, 2, 2, 2)] * 3), r'got \(1, 2, 2, 2\) and'),
        (lambda: HEADS['shearlet'](4)(torch.zeros(4, 2, 2)), r'shape \(N, C, h, w\), got \(4, 2, 2\)'),
        (lambda: HEADS['shearlet'](4)([]), 'features of 4 channels'),
        (lambda: HEADS['shearlet'](4)(torch.zeros(1, 4, 2, 2), (0, 3)), r'at least 1, got \(0, 3\)'),
        (lambda: HEADS['gabor'](4)(torch.zeros(1, 4, 2, 2), None, torch.zeros(1, 1, 2, 2)), 'EnergyGatedGaborHead is'),
        (
            lambda: HEADS['gated'](4)(torch.zeros(2, 4, 2, 2), None, torch.zeros(1, 1, 2, 2)),
            r'energy must have shape \(2, 1, h, w\), got \(1, 1, 2, 2\)',
        ),
    ],
)
def test_what_cannot_be_used_is_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
