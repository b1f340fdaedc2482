"""The Res2 block's own backward pass gives what autograd gives, keeps less, and stands aside where it must."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mmseg_medical.models.backbones import Res2UNet3D
from mmseg_medical.models.layers import res2_units
from mmseg_medical.models.layers.conv3d import Conv3d, convolution_backward
from mmseg_medical.models.layers.res2_block import Res2Block
from mmseg_medical.models.layers.res2_training import can_fuse, fused


def varied(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    net = make()
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.uniform_(m.weight, 0.5, 2)
            nn.init.normal_(m.bias)
    return net


def learn(net: nn.Module, x: Tensor, by_autograd: bool, half: bool = False) -> dict[str, Tensor]:
    """Output, gradients and running statistics after a step; a hook makes every part of a block be asked."""
    if by_autograd:
        for module in net.modules():
            if isinstance(module, Res2Block):
                module.norm1.register_forward_hook(lambda m, i, out: None)
    assert any(can_fuse(m, x) for m in net.modules() if isinstance(m, Res2Block)) is not by_autograd
    x = x.clone().requires_grad_()
    with torch.autocast('cpu', torch.bfloat16, enabled=half):
        out = net(x)
    out = out[-1] if isinstance(out, tuple) else out
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)).sum().backward()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    return {'out': out.detach(), 'x': x.grad, **gradients, **{k: v.clone() for k, v in net.named_buffers()}}


def compare(make: Callable[[], nn.Module], x: Tensor, **tolerance: float) -> None:
    found, expected = learn(varied(make), x, False), learn(varied(make), x, True)
    torch.testing.assert_close(found, expected, **tolerance)


@pytest.mark.parametrize('size', [(5, 3, 7), (1, 1, 2), (2, 11, 1), (7, 6), (1, 13), (5,)])
@pytest.mark.parametrize('channels', [(3, 16), (16, 16)])
@pytest.mark.parametrize('samples', [1, 3])
def test_gradients_of_a_block(monkeypatch, size, channels, samples):
    monkeypatch.setattr(res2_units, 'PIECE', 4)
    x = torch.randn(samples, channels[0], *size, dtype=torch.float64)
    compare(lambda: Res2Block(len(size), *channels).double(), x)
    if samples == 1:
        compare(lambda: Res2Block(len(size), *channels), x.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    'options', [dict(se=False), dict(scale=2), dict(scale=8), dict(bias=True), dict(kernel=(5, 1, 3))], ids=str
)
def test_gradients_with_options(options):
    compare(lambda: Res2Block(3, 4, 16, **options).double(), torch.randn(2, 4, 3, 4, 5, dtype=torch.float64))


def test_what_is_frozen_or_not_asked_for():
    """Of an image no gradient is wanted; weights that do not learn leave the block to autograd."""
    block = varied(lambda: Res2Block(3, 1, 16))
    x = torch.randn(1, 1, 3, 4, 5)
    block(x).sum().backward()
    assert x.grad is None
    assert all(p.grad is not None for p in block.parameters())
    block.conv3.weight.requires_grad_(False)
    assert not can_fuse(block, x)


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('options', [{}, dict(up_mode='trilinear'), dict(decoder_depth=2)], ids=str)
@pytest.mark.parametrize('rank', [2, 3])
def test_gradients_of_the_network(rank, options, with_cp):
    def make(checkpointed: bool) -> nn.Module:
        return Res2UNet3D(1, 16, spatial_dims=rank, with_cp=checkpointed, **options).double()

    x = torch.randn(2, 1, *(32, 16, 32)[:rank], dtype=torch.float64)
    found, expected = learn(varied(lambda: make(with_cp)), x, False), learn(varied(lambda: make(False)), x, True)
    if with_cp and options:  # generic checkpoints count a batch twice, as MedicalUNet says
        found, expected = (
            {k: v for k, v in d.items() if 'running' not in k and 'num' not in k} for d in (found, expected)
        )
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last_3d])
def test_half_precision_is_as_good_as_autograds(layout):
    def make() -> nn.Module:
        return Res2UNet3D(1, 16).to(memory_format=layout)

    x = torch.randn(1, 1, 32, 16, 32).to(memory_format=layout)
    exact = learn(varied(make), x, True)
    found, usual = (learn(varied(make), x, by_autograd, half=True) for by_autograd in (False, True))
    assert {k: v.dtype for k, v in found.items()} == {k: v.dtype for k, v in usual.items()}
    for name in exact:  # of the transposed convolutions' biases, which a norm takes away, noise is left
        if not (name.startswith('ups') and name.endswith('bias')) and exact[name].is_floating_point():
            ours, theirs = ((values[name].float() - exact[name]).norm() for values in (found, usual))
            assert ours <= 1.2 * theirs + 1e-3 * exact[name].norm(), name


def test_what_is_kept():
    """Of a map of 16 channels the input, five results of convolutions (four whole ones, three quarters), the output."""
    block, x = varied(lambda: Res2Block(3, 16, 32)), torch.randn(1, 16, 8, 8, 8)
    maps = {}
    for keep in (True, False):
        out = fused(block, x, keep=keep)
        maps[keep] = sum(t.numel() for t in out.grad_fn.saved_tensors if t is not None and t.ndim == 5) / (32 * 8**3)
    assert maps == {True: 0.5 + 3 + 3 / 4 + 1, False: 0.5 + 1}


def test_who_is_left_to_autograd():
    x = torch.randn(2, 4, 3, 4, 5)
    assert can_fuse(Res2Block(3, 4, 16), x)
    assert not can_fuse(Res2Block(3, 4, 16), x[:1, :, :1, :1, :1])
    assert not can_fuse(Res2Block(3, 4, 16).eval(), x)
    for options in (dict(norm='instance'), dict(norm=None), dict(act='gelu'), dict(stride=2)):
        assert not can_fuse(Res2Block(3, 4, 16, **options), x), options
    for register in ('register_forward_hook', 'register_forward_pre_hook', 'register_full_backward_hook'):
        block = Res2Block(3, 4, 16)
        getattr(block.norms[1], register)(lambda *_: None)
        assert not can_fuse(block, x), register
    with torch.no_grad():
        assert not can_fuse(Res2Block(3, 4, 16), x)


@pytest.mark.parametrize('depth', [2, 5, 6])
@pytest.mark.parametrize('kernel', [(3, 3, 3), (1, 3, 3), (5, 3, 3)])
def test_backward_of_a_convolution_in_halves(depth, kernel):
    conv = Conv3d(3, 4, kernel, padding=tuple(k // 2 for k in kernel))
    x = torch.randn(1, 3, depth, 6, 7, requires_grad=True)
    assert conv._left_to_loops(x)
    out = conv(x)
    up = torch.randn_like(out)
    expected = torch.autograd.grad(out, (x, conv.weight, conv.bias), up)
    torch.testing.assert_close(convolution_backward(conv, up, x.detach()), expected, atol=1e-5, rtol=1e-5)
    assert convolution_backward(conv, up, x.detach(), wanted=False)[0] is None
