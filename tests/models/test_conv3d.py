"""Convolution and pooling with three axes are torch's, whichever way they are computed."""

import pytest
import torch
from torch.nn import functional as F

from mmseg_medical.models.layers.conv_blocks import convolution, max_pool


@pytest.mark.parametrize(
    'options',
    [dict(), dict(stride=2), dict(bias=False), dict(kernel=(3, 1, 3)), dict(kernel=(5, 3, 3)), dict(kernel=(1, 3, 3))],
)
@pytest.mark.parametrize('depth', [1, 2, 5, 6])
def test_small_maps_are_convolved_as_large_ones(options, depth):
    """Of two samples torch asks oneDNN itself."""
    torch.manual_seed(0)
    layer = convolution(3, 4, 6, **options)
    x = torch.randn(2, 4, depth, 6, 7, requires_grad=True)
    single = torch.cat([layer(part[None]) for part in x])
    torch.testing.assert_close(single, layer(x), atol=1e-5, rtol=1e-5)
    up = torch.randn_like(single)
    inputs = (x, *layer.parameters())
    found, expected = (torch.autograd.grad(out, inputs, up) for out in (single, layer(x)))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('factor', [2, (2, 2, 1), (1, 2, 2), 3])
@pytest.mark.parametrize('size', [(6, 12, 6), (7, 4, 5), (2, 2, 3)])
def test_pooling_with_and_without_gradients(factor, size):
    x = torch.randn(2, 3, *size)
    if factor == 3 and min(size) < 3:
        return
    pool = max_pool(3, factor)
    with torch.no_grad():
        assert torch.equal(pool(x), F.max_pool3d(x, factor))
        assert torch.equal(pool(x), pool(x.clone().requires_grad_()))
