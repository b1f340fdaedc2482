"""Heads on coordinates and features: formulas written out, chunks, frames, points between voxels, precision."""

import pytest
import torch
import torch.nn.functional as F
from allocations import Allocations

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame
from mmseg_medical.models.layers.coordinate_heads import CoordinateHead, SirenHead
from mmseg_medical.models.layers.gabor import GaborHead
from mmseg_medical.models.layers.grid_points import sample_points

KINDS = {
    'perceptron': lambda dims, **kw: CoordinateHead(5, 3, hidden=7, spatial_dims=dims, **kw),
    'siren': lambda dims, **kw: SirenHead(5, 3, hidden=7, layers=3, spatial_dims=dims, **kw),
    'one sine': lambda dims, **kw: SirenHead(5, 3, hidden=7, layers=1, spatial_dims=dims, **kw),
}
SIZES = [(4, 7), (1, 1), (1, 13), (3, 4, 5), (1, 5, 1), (7, 1, 2)]


def build(name, dims, **kwargs):
    torch.manual_seed(0)
    return KINDS[name](dims, **kwargs).double()


def features(size, batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, 5, *size, dtype=torch.float64)


def formula(head, x, lines):
    """The specification's formula at all points; ``lines`` are the coordinates along each axis."""
    axes = torch.meshgrid(*lines, indexing='ij')[::-1]
    points = torch.stack([*axes], dim=-1).expand(len(x), *x.shape[2:], len(axes))
    hidden = torch.cat((points, x.movedim(1, -1)), dim=-1)
    if isinstance(head, CoordinateHead):
        hidden = F.leaky_relu(F.linear(hidden, head.first.weight, head.first.bias), 0.01)
        return F.linear(hidden, head.rest.weight, head.rest.bias).movedim(-1, 1)
    *sines, last = head.rest
    for layer in (head.first, *sines):
        hidden = torch.sin(30 * F.linear(hidden, layer.weight, layer.bias))
    return F.linear(hidden, last.weight, last.bias).movedim(-1, 1)


def linspaces(size):
    return [torch.linspace(-1, 1, n, dtype=torch.float64) for n in size]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('name', KINDS)
def test_values_and_gradients_are_those_of_the_formula(name, size):
    head = build(name, len(size), chunk_points=6)
    results = []
    for run in (head, lambda x: formula(head, x, linspaces(size))):
        x = features(size).requires_grad_()
        logits = run(x)
        assert logits.shape == (2, 3, *size)
        results.append((logits, *torch.autograd.grad(logits.sin().sum(), (x, *head.parameters()))))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize('chunk_points', [1, 2, 7, 1000])
@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('finer', [1, 2])
def test_chunks_change_nothing(name, chunk_points, finer):
    x = features((3, 4, 5))
    size = [finer * n for n in x.shape[2:]]
    whole, chunked = build(name, 3), build(name, 3, chunk_points=chunk_points)
    with torch.no_grad():
        torch.testing.assert_close(chunked(x, size), whole(x, size), rtol=0, atol=1e-12)
    torch.testing.assert_close(chunked(x, size), whole(x, size), rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize(('size', 'start', 'extent'), [((9, 7), (2, 3), (4, 4)), ((5, 6, 7), (1, 0, 4), (4, 1, 3))])
def test_a_window_has_the_coordinates_of_its_case(name, size, start, extent):
    head = build(name, len(size))
    x, frame = features(size), Frame.whole(size)
    place = (..., *(slice(s, s + n) for s, n in zip(start, extent, strict=True)))
    alone = head(x[place], frames=[frame.at(start)] * 2)
    torch.testing.assert_close(alone, head(x)[place], rtol=0, atol=1e-12)
    assert not torch.allclose(head(x[place]), alone)


def test_every_image_has_its_own_frame():
    head = build('siren', 2, chunk_points=10)
    x = features((4, 5), batch=3)
    frames = [Frame.whole((4, 5)), Frame.whole((8, 9)).at((2, 1)), Frame.whole((4, 5)).at((-1, 0))]
    together = head(x, frames=frames)
    alone = torch.cat([head(x[i : i + 1], frames=frames[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    lines = [f + s * torch.arange(n).double() for f, s, n in zip(frames[1].first, frames[1].step, (4, 5), strict=True)]
    torch.testing.assert_close(together[1:2], formula(head, x[1:2], lines))


@pytest.mark.parametrize('name', ['perceptron', 'siren'])
@pytest.mark.parametrize(('size', 'scale'), [((4, 7), (2, 3)), ((3, 4, 5), (2, 2, 2)), ((1, 4, 5), (2, 1, 3))])
def test_points_between_voxels(name, size, scale):
    """Features by linear interpolation over the same field of view, coordinates at the points themselves."""
    head = build(name, len(size))
    fine = [n * s for n, s in zip(size, scale, strict=True)]
    x = features(size)
    mode = {2: 'bilinear', 3: 'trilinear'}[len(size)]
    between = F.interpolate(x, fine, mode=mode, align_corners=False)
    frame = Frame.whole(size)
    lines = [
        f + st * ((torch.arange(m).double() + 0.5) / s - 0.5)
        for f, st, m, s in zip(frame.first, frame.step, fine, scale, strict=True)
    ]
    found = head(x, fine, frames=[Frame.whole(size, scale)] * 2)
    torch.testing.assert_close(found, formula(head, between, lines), rtol=1e-8, atol=1e-10)


def test_a_border_of_features_is_continued():
    maps = torch.arange(4.0).reshape(1, 1, 2, 2)
    places = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])
    assert sample_points(maps, places, align_corners=False).flatten().tolist() == [0, 3, 1.5]


@pytest.mark.parametrize('name', KINDS)
def test_autocast_leaves_the_head_alone(name):
    """In bfloat16 neighbouring voxels of 257 share a coordinate."""
    head = build(name, 2).float()
    x = features((3, 257)).float()
    full = head(x)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = head(x)
        rounded = head(x.bfloat16())
    assert mixed.dtype == rounded.dtype == torch.float32
    assert torch.equal(mixed, full)
    assert torch.equal(rounded, head(x.bfloat16().float()))
    x.requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        head.chunk_points = 100
        head(x).sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in (x, *head.parameters()))


def test_weights_in_bfloat16():
    head = build('perceptron', 3).float()
    x = features((3, 4, 5)).float()
    half = head.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), head.float()(x), atol=0.05, rtol=0.05)


@pytest.mark.parametrize('scale', [1, 2, 3])
def test_memory_does_not_grow_with_the_resolution(scale):
    """Beside features and logits there is a chunk of the widest layer; features between voxels are never joined."""
    head = SirenHead(16, 2, hidden=40, spatial_dims=3, chunk_points=50)
    x = torch.randn(1, 16, 8, 8, 8)
    with torch.no_grad(), Allocations() as allocations:
        head(x, [8 * scale] * 3)
    assert allocations.largest == max(16 * 8**3, 2 * (8 * scale) ** 3, 40 * 50)


def test_logits_are_held_once():
    """The pieces of a finer grid are not kept until the last is there."""
    head = SirenHead(16, 2, hidden=40, spatial_dims=3, chunk_points=50)
    x, peaks = torch.randn(1, 16, 8, 8, 8), []
    for scale in (3, 4):
        with torch.no_grad(), Allocations() as allocations:
            head(x, [8 * scale] * 3)
        peaks.append(allocations.peak)
    assert peaks[1] - peaks[0] == 4 * 2 * (32**3 - 24**3)


def test_meta_device():
    head = SirenHead(5, 3, spatial_dims=3).to('meta')
    x = torch.empty(1, 5, 3, 4, 5, device='meta')
    assert head(x, frames=[Frame.whole((3, 4, 5))]).shape == (1, 3, 3, 4, 5)


def test_other_heads_take_frames_too():
    """Of grids whose corner points are those of the features."""
    torch.manual_seed(0)
    head = GaborHead(5, 3, hidden=32, functions=4).double()
    x = features((4, 5), batch=1)
    torch.testing.assert_close(head(x, (7, 9), frames=[Frame.whole((4, 5))]), head(x, (7, 9)))
    assert not torch.allclose(head(x, (7, 9), frames=[Frame.whole((8, 5))]), head(x, (7, 9)))


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: CoordinateHead(4, 2, hidden=0), 'hidden of CoordinateHead must be at least 1, got 0'),
        (lambda: SirenHead(4, 2, layers=0), 'at least 1, got 64 and 0'),
        (lambda: SirenHead(4, 2, spatial_dims=1), 'spatial_dims of SirenHead must be 2 or 3, got 1'),
        (lambda: SirenHead(0, 2), 'in_channels of SirenHead'),
        (lambda: SirenHead(4, 2, spatial_dims=3)(torch.zeros(1, 4, 2, 2)), r'shape \(N, C, d, h, w\), got \(1, 4, 2'),
        (lambda: SirenHead(4, 2)(torch.zeros(1, 4, 2, 2), energy=torch.zeros(1, 1, 2, 2)), 'not gated by an energy'),
        (lambda: SirenHead(4, 2)(torch.zeros(2, 4, 2, 2), frames=[Frame.whole((2, 2))]), 'need as many frames, got 1'),
        (lambda: SirenHead(4, 2, spatial_dims=3)(torch.zeros(1, 4, 2, 2, 2), (2, 2)), 'must be three lengths'),
    ],
)
def test_what_cannot_be_used_is_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
