"""U-Net of any rank: published parameter counts, any size, entering below the top, checkpointing, precision."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from mmseg_medical.models.backbones import MedicalUNet
from mmseg_medical.models.layers.conv_blocks import Conv3d, Upsample, convolution, normalisation, resize


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ('options', 'published'),
    [
        # RARE-UNet's backbone (spec, section 9) without its head of 32 * 3 + 3
        (dict(channels=(32, 64, 128, 256, 320, 320), decoder_depth=1, up_kernel=3), 30_396_035 - 99),
        (dict(in_channels=4, channels=(32, 64, 128, 256, 320, 320), decoder_depth=1, up_kernel=3), 30_398_660 - 132),
        # hippocampus 3D, balanced and default (section 3); 2D (2.4) without its two 1x1 convolutions
        (dict(channels=(24, 48, 96, 192, 384), norm='batch', act='relu', bias=False), 12_701_616),
        (dict(channels=(32, 64, 128, 256, 512), norm='batch', act='relu', bias=False), 22_578_240),
        (dict(channels=(32, 64, 128, 256, 512), spatial_dims=2, bias=False), 7_763_587 - 1056 - 99),
    ],
)
def test_has_the_parameters_of_the_published_networks(options, published):
    with torch.device('meta'):
        assert parameters(MedicalUNet(**options)) == published


@pytest.mark.parametrize('size', [(7, 13), (1, 1), (8, 16), (5, 3, 11), (1, 2, 9), (8, 8, 8)])
@pytest.mark.parametrize('options', [{}, dict(downsample='stride', block='residual'), dict(upsample='linear')])
def test_keeps_any_size(size, options):
    torch.manual_seed(0)
    net = MedicalUNet(2, (4, 8, 16), spatial_dims=len(size), norm='batch', num_outputs=2, **options).eval()
    if min(size) < 4 and 'downsample' not in options:
        size = tuple(max(n, 4) for n in size)  # a pooling of one voxel leaves none
    coarse, fine = net(torch.randn(2, 2, *size))
    assert fine.shape == (2, 4, *size)
    assert coarse.shape[1] == 8


def test_divides_each_axis_as_told():
    net = MedicalUNet(1, (4, 4, 4), strides=[(2, 2, 1), 2], kernels=[(3, 3, 1), 3, 3])
    assert net.divisors == (4, 4, 2)
    assert net.encoders[0][0].conv.kernel_size == (3, 3, 1)
    features = net.encode(net.encoders[0](torch.randn(1, 1, 8, 8, 6)))
    assert [tuple(f.shape[2:]) for f in features] == [(8, 8, 6), (4, 4, 6), (2, 2, 3)]


def test_can_be_entered_below_the_top():
    torch.manual_seed(0)
    net = MedicalUNet(1, (4, 8, 8, 16)).eval()
    x = torch.randn(1, 1, 16, 16, 16)
    features = net.encode(net.encoders[0](x))
    below = net.encode(features[1], level=1)
    assert all(torch.equal(a, b) for a, b in zip(features[1:], below, strict=True))
    maps, lower = net.decode(features), net.decode(below)
    assert [m.shape[1] for m in lower] == [8, 8]
    assert torch.equal(maps[-2], lower[-1])
    assert torch.equal(maps[-1], net(x)[-1])


def test_checkpointing_changes_memory_and_nothing_else():
    torch.manual_seed(0)
    kept, computed = (MedicalUNet(1, (4, 8, 16), with_cp=cp) for cp in (False, True))
    computed.load_state_dict(kept.state_dict())
    x = torch.randn(1, 1, 8, 8, 8)
    saved = []
    for net in (kept, computed):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            loss = net(x)[-1].square().sum()
        loss.backward()
        saved.append(sum(sizes))
    for a, b in zip(kept.parameters(), computed.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert saved[1] < saved[0] / 2


def test_channels_last_gives_the_same():
    torch.manual_seed(0)
    net = MedicalUNet(1, (4, 8)).eval()
    x = torch.randn(1, 1, 6, 5, 7)
    expected = net(x)[-1]
    net = net.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(net(x.to(memory_format=torch.channels_last_3d))[-1], expected, atol=1e-5, rtol=1e-5)


def test_is_one_graph_for_the_compiler():
    torch.manual_seed(0)
    net = MedicalUNet(1, (4, 8, 8)).eval()
    x = torch.randn(1, 1, 9, 8, 7)
    compiled = torch.compile(net, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(x)[-1], net(x)[-1])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(block='dense'), "'plain', 'residual' or 'res2'"),
        (dict(downsample='mean'), "'maxpool' or 'stride'"),
        (dict(upsample='nearest'), "'transposed' or 'linear'"),
        (dict(norm='weight'), "'instance', 'batch'"),
        (dict(norm='group'), 'cannot be divided into 32 groups'),
        (dict(act='tanh'), 'leaky_relu'),
        (dict(channels=(4,)), 'make 0 levels'),
        (dict(num_outputs=3), '3 maps are asked'),
        (dict(strides=(2, 2, 2)), 'each of 2 levels'),
        (dict(strides=((2, 2), 2)), 'each of the 3 axes'),
        (dict(kernels=(3, 3)), 'each of 3 levels'),
        (dict(kernels=(3, 3, 4)), 'kernels must be odd'),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MedicalUNet(**{'channels': (4, 8, 16), **options})


def test_norms():
    assert normalisation('instance', 3, 4).affine
    assert normalisation(dict(type='group', num_groups=2), 3, 4).num_groups == 2
    assert normalisation('layer', 2, 6).num_groups == 1
    assert isinstance(normalisation(None, 3, 4), nn.Identity)


@pytest.mark.parametrize(
    ('kernel', 'factor'),
    [*itertools.product((None, 2, 3, 4), (2, (2, 1, 2))), (None, 4), (4, 4), (5, 4)],
)
def test_upsampling_multiplies_the_size_exactly(kernel, factor):
    factors = (factor,) * 3 if isinstance(factor, int) else factor
    x = torch.randn(1, 3, 3, 5, 4)
    for mode in ('transposed', 'linear'):
        out = Upsample(3, 3, 2, factor, mode=mode, kernel=kernel)(x)
        assert out.shape == (1, 2, *(n * f for n, f in zip(x.shape[2:], factors, strict=True)))


def test_resize_uses_centres():
    ramp = torch.arange(16.0).reshape(1, 1, 16)
    assert resize(ramp, [8]).flatten()[:3].tolist() == [0.5, 2.5, 4.5]
    assert resize(ramp, [2]).flatten().tolist() == [3.5, 11.5]


@pytest.mark.parametrize('size', list(itertools.product((1, 2, 3), repeat=3)))
@pytest.mark.parametrize('stride', [1, 2])
def test_tiny_maps_learn_in_bfloat16(size, stride):
    """Gradients of torch's own layer are NaN or infinite here on processors with AVX512-BF16."""
    torch.manual_seed(0)
    layer = convolution(3, 16, 32, 3, stride)
    assert isinstance(layer, Conv3d)
    x, gradients = torch.randn(2, 16, *size), []
    out = layer(x)
    up = torch.randn_like(out)
    for enabled in (False, True):
        layer.weight.grad = None
        for pieces in (1000, 30_000, 300_000):  # memory that was used before is what the defect reads
            torch.full((pieces,), float('nan'))
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            y = layer(x)
        y.backward(up.to(y.dtype))
        gradients.append(layer.weight.grad)
    exact, rounded = gradients
    assert (exact - rounded).abs().max() <= 0.02 * exact.abs().max()
