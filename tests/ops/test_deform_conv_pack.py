"""A whole DCNv2 layer in one pass equals its two convolutions."""

import pytest
import torch
from deform_conv_cases import CASES, relative_error

from mmseg_medical.models.layers import ModulatedDeformConv2dPack
from mmseg_medical.ops.deform_conv import can_pack, modulated_deform_conv2d_pack

pytest.importorskip('numba')


def layer_of(case, dtype=torch.float64):
    torch.manual_seed(0)
    layer = ModulatedDeformConv2dPack(case.channels, case.out_channels, case.kernel, backend='numba', **case.options)
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(layer.conv_offset.bias, std=0.5, generator=torch.Generator().manual_seed(1))
    return layer.to(dtype)


def image_of(case, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, case.channels, *case.size, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('name', CASES)
def test_equals_its_two_convolutions(name, memory_format):
    layer = layer_of(CASES[name]).to(memory_format=memory_format)
    x = image_of(CASES[name]).to(memory_format=memory_format)
    expected = layer(x).detach()
    with torch.no_grad():
        found = layer(x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert found.stride() == expected.stride()


def test_single_and_half_precision_are_close():
    case = CASES['row, group a channel']
    x = image_of(case)
    expected = layer_of(case)(x).detach()
    with torch.no_grad():
        single = layer_of(case, torch.float32)(x.float())
        half = layer_of(case, torch.float32)(x.bfloat16())
    assert relative_error(single, expected) < 1e-5
    assert half.dtype == torch.bfloat16
    assert relative_error(half, expected) < 5e-2


def test_only_without_gradients_on_the_cpu():
    x = torch.zeros(1, 4, 5, 5)
    assert not can_pack(x)
    with torch.no_grad():
        assert can_pack(x)
        assert not can_pack(x, 'torch')
        assert not can_pack(x.to('meta'))


def test_a_hook_on_the_branch_runs():
    layer = layer_of(CASES['dense 3x3'])
    seen = []
    layer.conv_offset.register_forward_hook(lambda *arguments: seen.append(1))
    with torch.no_grad():
        layer(image_of(CASES['dense 3x3']))
    assert seen


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(offset_weight=torch.zeros(26, 4, 3, 3)),
            r'offset_weight has shape .* expected \(3 G K, C, kh, kw\) = \(27',
        ),
        (dict(offset_bias=torch.zeros(3)), r'offset_bias has shape \(3,\), expected \(3 G K,\) = \(27,\)'),
        (dict(deform_groups=3), 'deform_groups=3 must divide'),
    ],
)
def test_misfits_are_named(change, message):
    call = dict(
        input=torch.zeros(1, 4, 5, 5), offset_weight=torch.zeros(27, 4, 3, 3), offset_bias=torch.zeros(27),
        weight=torch.zeros(4, 4, 3, 3), padding=1,
    )  # fmt: skip
    with pytest.raises(ValueError, match=message):
        modulated_deform_conv2d_pack(**(call | change))
