"""What every block of HDC-HRNet's library does; values are in parity/test_hdc_hrnet_blocks.py."""

import copy
import pickle

import pytest
import torch
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.feature_blocks import FEATURE_BLOCKS, build_feature_block, group_norm

SHAPES = [(2, 16, 1, 1), (2, 8, 1, 13), (1, 16, 7, 1), (2, 8, 5, 11), (1, 8, 14, 15)]


def lively(name, channels=8, **options):
    """A block whose every branch counts: what starts at zero does not stay there."""
    torch.manual_seed(0)
    block = build_feature_block(name, channels, **options)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.eval()


def noise(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


every_block = pytest.mark.parametrize('name', FEATURE_BLOCKS)


@every_block
@pytest.mark.parametrize('shape', SHAPES)
def test_keeps_the_shape_and_trains(name, shape):
    block = build_feature_block(name, shape[1], dilation=4).train()
    x = noise(*shape).requires_grad_()
    out = block(x)
    assert out.shape == x.shape
    out.square().sum().backward()
    assert x.grad.isfinite().all()
    for key, parameter in block.named_parameters():
        # the release owns a norm that it does not use
        assert (parameter.grad is None) == (name == 'fno' and key.startswith('norm.')), key
        assert parameter.grad is None or parameter.grad.isfinite().all(), key


@every_block
def test_what_has_no_gradient_is_frozen(name):
    """Distributed training waits for the gradient of everything else."""
    block = build_feature_block(name, 8)
    block(noise(1, 8, 4, 4)).sum().backward()
    assert all(p.requires_grad == (p.grad is not None) for p in block.parameters())


@every_block
def test_the_argument_is_not_changed(name):
    x = noise(1, 8, 5, 6)
    before = x.clone()
    with torch.no_grad():
        lively(name)(x)
    assert torch.equal(x, before)


@every_block
def test_memory_layout_does_not_matter(name):
    block, x = lively(name), noise(2, 8, 6, 9)
    expected = block(x)
    strided = torch.zeros(2, 8, 12, 9)
    strided[:, :, ::2] = x
    for other in (x.contiguous(memory_format=torch.channels_last), strided[:, :, ::2]):
        torch.testing.assert_close(block(other), expected, rtol=1e-4, atol=1e-4)


@every_block
def test_samples_of_a_batch_do_not_mix(name):
    block, x = lively(name).double(), noise(3, 8, 9, 8).double()
    apart = torch.cat([block(sample[None]) for sample in x])
    torch.testing.assert_close(block(x), apart, rtol=0, atol=1e-9)


@every_block
@pytest.mark.parametrize('size', [(7, 9), (8, 8)])
def test_autocast(name, size):
    block, x = lively(name), noise(1, 8, *size)
    expected = block(x)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = block(x)
        mixed = block(x.bfloat16())
    out.float().sum().backward()
    scale = expected.abs().max()
    for found in (out, mixed):
        assert (found.float() - expected).abs().max() < 0.05 * scale


@every_block
def test_operations_can_be_counted_without_data(name):
    block = build_feature_block(name, 8).to('meta')
    out = block(torch.zeros(1, 8, 20, 30, device='meta'))
    assert out.is_meta
    assert out.shape == (1, 8, 20, 30)


@every_block
def test_one_graph(name):
    torch.compiler.reset()
    block, x = lively(name), noise(1, 8, 9, 16)
    compiled = torch.compile(block, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(x), block(x))


@every_block
def test_pickles(name):
    """The original defined its basic block inside a function: its class was another one each time."""
    block, x = lively(name), noise(1, 8, 4, 5)
    again = pickle.loads(pickle.dumps(block))  # noqa: S301 - our own bytes
    assert type(again) is type(block) is type(build_feature_block(name, 16))
    assert torch.equal(again(x), block(x))
    other = build_feature_block(name, 8).eval()
    other.load_state_dict(block.state_dict())
    assert torch.equal(other(x), copy.deepcopy(block)(x))


def test_all_blocks_in_a_row_learn():
    torch.manual_seed(0)
    net = nn.Sequential(*(build_feature_block(name, 8, 2**i) for i, name in enumerate(FEATURE_BLOCKS)))
    x, target = noise(2, 8, 6, 7), noise(2, 8, 6, 7, seed=2)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    errors = []
    for _ in range(12):
        error = (net(x) - target).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.7 * errors[0]


# --- arguments ------------------------------------------------------------------------------------------------------


def test_only_dcn_is_dilated():
    for name in FEATURE_BLOCKS:
        dilations = {m.dilation for m in build_feature_block(name, 8, 4).modules() if hasattr(m, 'dilation')}
        assert dilations <= {(4, 4)} if name == 'dcn' else dilations <= {(1, 1)}


def test_a_block_of_ones_own(monkeypatch):
    class Dilated(nn.Conv2d):
        def __init__(self, channels, dilation=1, *, kernel=3):
            super().__init__(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)

    monkeypatch.setitem(FEATURE_BLOCKS, 'dilated', Dilated)
    block = build_feature_block('dilated', 4, 2, kernel=5)
    assert (block.dilation, block.kernel_size) == ((2, 2), (5, 5))


def test_an_unknown_block_names_near_ones():
    with pytest.raises(ConfigError, match=r"'convnxt' is unknown; .*\brwkv\b.*Did you mean convnext\?"):
        build_feature_block('convnxt', 8)


@every_block
def test_an_unknown_option(name):
    with pytest.raises(ConfigError, match=f"feature block '{name}'.*kernels"):
        build_feature_block(name, 8, kernels=3)


@every_block
def test_no_channels(name):
    with pytest.raises(ConfigError, match='at least one channel, got channels=0'):
        build_feature_block(name, 0)


@pytest.mark.parametrize(
    ('name', 'channels', 'options', 'message'),
    [
        ('basic', 62, {}, '62 channels cannot be divided into the 8 groups.*56 or 64'),
        ('dcn', 62, {}, '62 channels'),
        ('inverted_residual', 62, {}, '62 channels'),
        ('inverted_residual', 3, {}, '12 channels'),
        ('dcn', 8, dict(kernel_size=4), 'odd.*kernel_size=4'),
        ('dcn', 8, dict(dilation=0), 'positive, got dilation=0'),
        ('swin', 36, {}, '36 channels of a swin block cannot be divided into 8 heads'),
        ('swin', 8, dict(num_heads=0), '0 heads'),
        ('swin', 8, dict(shift=7), r'\[0, 7\).*shift=7'),
        ('swin', 8, dict(shift=-1), 'shift=-1'),
        ('fno', 8, dict(modes=0), 'modes=0'),
    ],
)
def test_refused(name, channels, options, message):
    with pytest.raises(ConfigError, match=message):
        build_feature_block(name, channels, **options)


def test_groups_of_the_norm():
    assert [group_norm(c).num_groups for c in (1, 3, 7, 8, 48)] == [1, 1, 1, 8, 8]
    norm = group_norm(16)
    assert norm.eps == 1e-5
    assert norm.affine


@pytest.mark.parametrize(('name', 'channels'), [('basic', 1), ('basic', 7), ('dcn', 3), ('inverted_residual', 2)])
def test_few_channels(name, channels):
    assert build_feature_block(name, channels)(noise(1, channels, 4, 5)).shape == (1, channels, 4, 5)
