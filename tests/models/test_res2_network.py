"""3D-Res2UNet: the Res2 block against one of its own, options, odd input, gradients, two axes, half precision."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.backbones import MedicalUNet, Res2UNet3D
from mmseg_medical.models.layers import res2_stream
from mmseg_medical.models.layers.res2_block import Res2Block
from mmseg_medical.models.layers.squeeze_excitation import SqueezeExcitation


def settled(module: nn.Module) -> nn.Module:
    """Statistics and factors of norms that are not 0 and 1."""
    generator = torch.Generator().manual_seed(3)
    for m in module.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d)):
            for values, low, high in ((m.running_mean, -1, 1), (m.running_var, 0.5, 2), (m.weight, 0.5, 2)):
                values.data.uniform_(low, high, generator=generator)
    return module


def norm(x: Tensor, layer: nn.Module, batch: bool) -> Tensor:
    """Batch norm from its definition."""
    axes, shape = (0, *range(2, x.ndim)), (1, -1, *(1,) * (x.ndim - 2))
    mean, var = (x.mean(axes), x.var(axes, correction=0)) if batch else (layer.running_mean, layer.running_var)
    x = (x - mean.reshape(shape)) / (var.reshape(shape) + 1e-5).sqrt()
    return x * layer.weight.reshape(shape) + layer.bias.reshape(shape)


def reference(block: Res2Block, x: Tensor, batch: bool) -> Tensor:
    """Section 1.2 of the specification, step by step."""
    conv = {4: F.conv2d, 5: F.conv3d}[x.ndim]
    u = norm(conv(x, block.conv1.weight), block.norm1, batch).clamp(min=0)
    x1, x2, x3, x4 = u.chunk(4, 1)

    def f(i: int, value: Tensor) -> Tensor:
        return norm(conv(value, block.convs[i].weight, padding=1), block.norms[i], batch).clamp(min=0)

    y2 = f(0, x2)
    y3 = f(1, x3 + y2)
    y4 = f(2, x4 + y3)
    v = norm(conv(torch.cat([x1, y2, y3, y4], 1), block.conv3.weight), block.norm3, batch)
    mean = v.mean(tuple(range(2, v.ndim)))
    hidden = (mean @ block.se.reduce.weight.T + block.se.reduce.bias).clamp(min=0)
    gate = 1 / (1 + (-(hidden @ block.se.expand.weight.T + block.se.expand.bias)).exp())
    v = v * gate.reshape(*gate.shape, *(1,) * (x.ndim - 2))
    kept = norm(conv(x, block.shortcut[0].weight), block.shortcut[1], batch) if block.has_projection else x
    return (v + kept).clamp(min=0)


@pytest.mark.parametrize('size', [(5, 3, 7), (1, 1, 2), (2, 11, 1), (7, 6), (1, 13)])
@pytest.mark.parametrize('channels', [(3, 16), (16, 16)])
def test_block_against_the_text(size, channels):
    torch.manual_seed(0)
    block = settled(Res2Block(len(size), *channels)).double()
    x = torch.randn(2, channels[0], *size, dtype=torch.float64)
    for batch in (True, False):
        block.train(batch)
        expected = reference(block, x, batch)  # before statistics move on
        torch.testing.assert_close(block(x), expected)
    with torch.no_grad():
        assert res2_stream.can_stream(block)
        torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize('piece', [1, 200, 1 << 15])
def test_pieces_are_the_whole(monkeypatch, layout, piece):
    torch.manual_seed(0)
    monkeypatch.setattr(res2_stream, 'PIECE', piece)
    monkeypatch.setattr(res2_stream, 'PIECE_OF_PARTS', piece)
    net = settled(Res2UNet3D(2, 16)).eval().to(memory_format=layout)
    x = torch.randn(2, 2, 16, 32, 16).contiguous(memory_format=layout)
    with torch.no_grad():
        (streamed,) = net(x)
    torch.testing.assert_close(streamed, net(x)[0].detach(), atol=1e-5, rtol=1e-5)


def test_inference_changes_nothing_it_is_given():
    torch.manual_seed(0)
    net = settled(Res2UNet3D(1, 16)).eval()
    x, state = torch.randn(1, 1, 16, 16, 16), {k: v.clone() for k, v in net.state_dict().items()}
    before = x.clone()
    with torch.no_grad():
        first, second = net(x)[0].clone(), net(x)[0]
    assert torch.equal(first, second)
    assert torch.equal(x, before)
    assert all(torch.equal(state[k], v) for k, v in net.state_dict().items())


@pytest.mark.parametrize('training', [True, False])
def test_hooks_may_keep_what_they_see(training):
    """Nothing overwrites what a part gave, and parts are asked as long as somebody listens."""
    torch.manual_seed(0)
    block = settled(Res2Block(3, 4, 16)).train(training)
    seen = []
    for module in (block.norm1, *block.norms, block.norm3, block.shortcut[1]):
        module.register_forward_hook(lambda m, i, out: seen.append((out, out.clone())))
    with torch.set_grad_enabled(training):
        block(torch.randn(1, 4, 3, 4, 5))
    assert len(seen) == 6
    assert all(torch.equal(kept, copy) for kept, copy in seen)


def test_norms_of_the_batch_are_not_folded():
    block = Res2Block(3, 4, 16, norm=dict(type='batch', track_running_stats=False)).eval()
    with torch.no_grad():
        assert not res2_stream.can_stream(block)
        assert not res2_stream.can_stream(Res2Block(3, 4, 16, norm='instance').eval())
        assert not res2_stream.can_stream(Res2Block(3, 4, 16, stride=2).eval())
    assert not res2_stream.can_stream(settled(Res2Block(3, 4, 16)).eval())


OPTIONS = [
    {},
    dict(scale=2),
    dict(scale=8),
    dict(se=False),
    dict(up_mode='trilinear'),
    dict(norm='instance'),
    dict(base_channels=24, scale=3),
    dict(encoder_depth=2, decoder_depth=2),
    dict(num_outputs=2),
    dict(with_cp=True),
]


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@pytest.mark.parametrize('rank', [2, 3])
def test_options_learn_and_infer(options, rank):
    torch.manual_seed(0)
    net = Res2UNet3D(2, **{'base_channels': 16, **options}, spatial_dims=rank)
    x = torch.randn(2, 2, *(16, 32, 16)[:rank])
    maps = net(x)
    assert maps[-1].shape == (2, options.get('base_channels', 16), *x.shape[2:])
    sum(m.square().mean() for m in maps).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert sum(bool(p.grad.any()) for p in net.parameters()) > 0.9 * len(list(net.parameters()))
    net.eval()
    whole = net(x)[-1].detach()
    with torch.no_grad():
        torch.testing.assert_close(net(x)[-1], whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(scale=3), 'divides its 32 channels into scale=3 parts'),
        (dict(scale=1), 'scale must be at least 2'),
        (dict(base_channels=8), 'reduction 16 has 8//16 hidden channels'),
        (dict(up_mode='nearest'), "up_mode must be one of transposed, trilinear, got 'nearest'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with torch.device('meta'), pytest.raises(ConfigError, match=message):
        Res2UNet3D(**options)
    with torch.device('meta'):
        Res2UNet3D(base_channels=8, se=False)


def test_squeeze_and_excitation_by_hand():
    """Hidden max(0, 1 * 2 - 1) = 1 of the mean 2, factors sigmoid(1) and sigmoid(-1)."""
    layer = SqueezeExcitation(2, reduction=2)
    values = ((layer.reduce, [[0.5, 0.5]], [-1.0]), (layer.expand, [[1.0], [-1.0]], [0.0, 0.0]))
    for linear, weight, bias in values:
        linear.weight.data, linear.bias.data = torch.tensor(weight), torch.tensor(bias)
    x = torch.tensor([[1.0, 3.0], [2.0, 2.0]]).reshape(1, 2, 1, 2)
    factors = torch.tensor([1.0, -1.0]).sigmoid().reshape(1, 2, 1, 1)
    torch.testing.assert_close(layer(x), x * factors)


def test_half_precision():
    torch.manual_seed(0)
    net = settled(Res2UNet3D(1, 16)).eval()
    x = torch.randn(1, 1, 16, 16, 32)
    expected = net(x)[0].detach()
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        half = net(x)[0]
    assert half.dtype == torch.bfloat16
    assert float((half.float() - expected).abs().max()) < 0.03 * float(expected.abs().max())
    with torch.autocast('cpu', torch.bfloat16):
        loss = net.train()(x)[0].float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_compiler_and_hooks_see_the_whole_block():
    torch.manual_seed(0)
    block = settled(Res2Block(3, 2, 16)).eval()
    x = torch.randn(1, 2, 4, 4, 4)
    with torch.no_grad():
        compiled = torch.compile(block, backend='eager', fullgraph=True)(x)
        torch.testing.assert_close(compiled, block(x), atol=1e-5, rtol=1e-5)


def test_the_three_names_of_a_block():
    for block, rank in itertools.product(('plain', 'residual', 'res2', dict(type='res2', scale=2)), (2, 3)):
        assert MedicalUNet(1, (16, 32), block=block, spatial_dims=rank, norm='batch').divisors == (2,) * rank
    with pytest.raises(ValueError, match="'plain', 'residual' or 'res2'"):
        MedicalUNet(1, (16, 32), block=dict(scale=2))
