"""The deformable operator against plain convolution, mmcv's compiled operator and finite differences."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from deform_conv_cases import (
    CASES,
    TOLERANCE,
    Case,
    expect_close,
    lay_out,
    make_arguments,
    relative_error,
    run,
    torch_threads,
)

from mmseg_medical.ops.deform_conv import available_backends, modulated_deform_conv2d

needs_mmcv = pytest.mark.skipif('mmcv' not in available_backends(), reason='mmcv has no compiled operators here')
CPU_BACKENDS = [name for name in ('torch', 'numba') if name in available_backends()]
any_backend = pytest.mark.parametrize('backend', CPU_BACKENDS)
SMALL = ['few channels', 'grouped', 'deform groups across groups', 'row, group a channel', 'one pixel', '1x21']


@needs_mmcv
@pytest.mark.parametrize('spread', [2.0, 1e4])
@pytest.mark.parametrize('name', CASES)
def test_the_reference_equals_mmcv(name: str, spread: float):
    arguments, options = make_arguments(CASES[name], torch.float64, spread=spread), CASES[name].options
    expected = run(arguments, options | dict(backend='mmcv'))
    expect_close(run(arguments, options | dict(backend='torch')), expected, 1e-12)


@any_backend
@pytest.mark.parametrize('name', [*SMALL, 'dense 3x3', 'depth-wise, two offset groups'])
def test_gradcheck(name: str, backend: str):
    case = CASES[name]
    arguments = make_arguments(case, torch.float64, batch=1)
    with torch.no_grad():  # finite differences need the derivative to exist: away from whole pixels
        arguments[1] += 0.3 + (arguments[1].floor() - arguments[1]) / 2
    options = case.options | dict(backend=backend)
    assert torch.autograd.gradcheck(lambda *a: modulated_deform_conv2d(*a, **options), arguments, fast_mode=True)


@any_backend
@pytest.mark.parametrize('channels', [4, 32])
@pytest.mark.parametrize(('stride', 'padding', 'dilation', 'groups'), itertools.product((1, 2), (0, 3), (1, 2), (1, 2)))
def test_without_offsets_it_is_a_plain_convolution(backend, channels, stride, padding, dilation, groups):
    pairs = [(value, value) for value in (stride, padding, dilation)]
    case = Case(channels, 6, (3, 2), (11, 7), *pairs, groups, deform_groups=2)
    x, offset, mask, weight, bias = make_arguments(case, torch.float64)
    out = modulated_deform_conv2d(x, 0 * offset, 0 * mask + 0.5, weight, bias, **case.options, backend=backend)
    expected = F.conv2d(x, 0.5 * weight, bias, stride, padding, dilation, groups)
    torch.testing.assert_close(out, expected)
    options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups, deform_groups=2, backend=backend)
    assert torch.equal(modulated_deform_conv2d(x, 0 * offset, 0 * mask + 0.5, weight, bias, **options), out)


@any_backend
def test_a_plain_depth_wise_convolution(backend: str):
    case = CASES['depth-wise 5x5']
    x, offset, mask, weight, bias = make_arguments(case, torch.float64)
    out = modulated_deform_conv2d(x, 0 * offset, 0 * mask + 1, weight, bias, **case.options, backend=backend)
    torch.testing.assert_close(out, F.conv2d(x, weight, bias, padding=2, groups=case.groups))


@any_backend
def test_whole_displacements_shift_the_input(backend: str):
    case = CASES['dense 3x3']
    x, offset, mask, weight, bias = make_arguments(case, torch.float64)
    down, right = 2, -3
    offset = torch.zeros_like(offset)
    offset[:, 0::2], offset[:, 1::2] = down, right
    out = modulated_deform_conv2d(x, offset, torch.ones_like(mask), weight, bias, **case.options, backend=backend)
    shifted = F.pad(x, (-right, right, -down, down))
    expected = F.conv2d(shifted, weight, bias, padding=1)
    torch.testing.assert_close(out[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


@any_backend
def test_one_tap_by_hand(backend: str):
    """A 1x1 kernel moved half a pixel right and a quarter down weighs four neighbours."""
    x = torch.tensor([[1.0, 2.0], [4.0, 8.0]]).reshape(1, 1, 2, 2).requires_grad_()
    offset = torch.zeros(1, 2, 2, 2)
    offset[0, 0], offset[0, 1] = 0.25, 0.5
    offset.requires_grad_()
    mask = torch.full((1, 1, 2, 2), 2.0, requires_grad=True)
    out = modulated_deform_conv2d(x, offset, mask, torch.full((1, 1, 1, 1), 3.0), backend=backend)
    top_left = 0.75 * (0.5 * 1 + 0.5 * 2) + 0.25 * (0.5 * 4 + 0.5 * 8)
    bottom_right = 0.75 * 0.5 * 8
    assert out[0, 0, 0, 0].item() == pytest.approx(6 * top_left)
    assert out[0, 0, 1, 1].item() == pytest.approx(6 * bottom_right)
    out[0, 0, 0, 0].backward()
    assert x.grad.flatten().tolist() == pytest.approx([6 * w for w in (0.375, 0.375, 0.125, 0.125)])
    assert mask.grad[0, 0, 0, 0].item() == pytest.approx(3 * top_left)
    down, right = (4 + 8) / 2 - (1 + 2) / 2, 0.75 * (2 - 1) + 0.25 * (8 - 4)
    assert offset.grad[0, :, 0, 0].tolist() == pytest.approx([6 * down, 6 * right])
    assert not offset.grad[0, :, 1:].any()


@any_backend
@pytest.mark.parametrize('displacement', [1e9, -1e9, float('inf'), float('nan')])
def test_nowhere_is_zero_and_moves_nothing(backend: str, displacement: float):
    case = CASES['few channels']
    arguments = make_arguments(case)
    arguments[1] = torch.full_like(arguments[1], displacement)
    out, *gradients, _ = run(arguments, case.options | dict(backend=backend))
    assert torch.equal(out, arguments[4].detach().reshape(1, -1, 1, 1).expand_as(out))
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


@any_backend
def test_derivative_at_a_whole_pixel_is_the_one_to_the_right(backend: str):
    x = torch.tensor([1.0, 3.0, 9.0]).reshape(1, 1, 1, 3)
    offset = torch.zeros(1, 2, 1, 3, requires_grad=True)
    one = torch.ones(1, 1, 1, 3), torch.ones(1, 1, 1, 1)
    modulated_deform_conv2d(x, offset, *one, backend=backend).sum().backward()
    assert offset.grad.flatten().tolist() == [-1, -3, -9, 2, 6, -9]


@any_backend
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision_is_close(backend: str, dtype: torch.dtype):
    case = CASES['depth-wise 5x5']
    arguments, options = make_arguments(case, dtype), case.options | dict(backend=backend)
    out = modulated_deform_conv2d(*arguments, **options)
    assert out.dtype == dtype
    expected = modulated_deform_conv2d(*(a.double() for a in arguments), **options)
    assert relative_error(out.detach(), expected.detach()) <= TOLERANCE[dtype]


@any_backend
def test_strided_memory(backend: str):
    case = CASES['grouped']
    x, *rest = make_arguments(case, grad=False)
    expected = modulated_deform_conv2d(x, *rest, **case.options, backend=backend)
    for layout in ('channels last', 'transposed', 'every other'):
        out = modulated_deform_conv2d(lay_out(x, layout), *rest, **case.options, backend=backend)
        torch.testing.assert_close(out, expected)


@any_backend
@pytest.mark.parametrize('threads', [1, 2, 3])
def test_result_does_not_depend_on_threads(backend: str, threads: int):
    case = CASES['depth-wise 5x5']
    arguments = make_arguments(case, torch.float64, batch=1, grad=False)
    with torch_threads(1):
        expected = modulated_deform_conv2d(*arguments, **case.options, backend=backend)
    with torch_threads(threads):
        out = modulated_deform_conv2d(*arguments, **case.options, backend=backend)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


# --- arguments that do not fit ---------------------------------------------------------------------------------------


def call(**change: object) -> dict:
    return dict(
        input=torch.zeros(1, 4, 5, 5), offset=torch.zeros(1, 18, 5, 5), mask=torch.zeros(1, 9, 5, 5),
        weight=torch.zeros(4, 4, 3, 3), bias=torch.zeros(4), padding=1,
    ) | change  # fmt: skip


@pytest.mark.parametrize('backend', ['auto', *CPU_BACKENDS])
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(offset=torch.zeros(1, 17, 5, 5)),
            r'offset has shape \(1, 17, 5, 5\), expected \(N, 2 G K, H_out, W_out\) = \(1, 18, 5, 5\)',
        ),
        (
            dict(mask=torch.zeros(1, 9, 4, 5)),
            r'mask has shape \(1, 9, 4, 5\), expected \(N, G K, H_out, W_out\) = \(1, 9, 5, 5\)',
        ),
        (
            dict(mask=torch.zeros(2, 9, 5, 5)),
            r'mask has shape \(2, 9, 5, 5\), expected \(N, G K, H_out, W_out\) = \(1, 9, 5, 5\)',
        ),
        (dict(offset=torch.zeros(18, 5, 5)), r'offset has shape \(18, 5, 5\), expected \(N, 2 G K, H_out, W_out\)'),
        (dict(bias=torch.zeros(3)), r'bias has shape \(3,\), expected \(C_out,\) = \(4,\)'),
        (dict(bias=torch.zeros(1, 4, 1, 1)), r'bias has shape \(1, 4, 1, 1\), expected \(C_out,\) = \(4,\)'),
        (
            dict(weight=torch.zeros(4, 3, 3, 3)),
            r'weight \(C_out, C / groups, kh, kw\) has 3 input channels a group, input has 4',
        ),
        (dict(weight=torch.zeros(4, 36)), r'must have four axes, found \(1, 4, 5, 5\) and \(4, 36\)'),
        (dict(groups=3), 'groups=3 must divide 4 input and 4 output channels'),
        (dict(deform_groups=3), 'deform_groups=3 must divide the 4 input channels'),
        (dict(padding=0, dilation=4), 'an axis of 5 pixels padded by 0 is shorter than the kernel, 9 pixels'),
        (dict(input=torch.zeros(4, 5, 5)), 'four axes'),
        (dict(stride=0), 'stride, dilation, groups and deform_groups must be at least 1'),
        (dict(dilation=(1, 0)), 'stride, dilation, groups and deform_groups must be at least 1'),
        (dict(groups=0), 'stride, dilation, groups and deform_groups must be at least 1'),
        (dict(padding=(1, -1)), r'padding at least 0, found \(1, 1\), \(1, 1\), 1, 1 and \(1, -1\)'),
        (dict(mask=torch.zeros(1, 9, 5, 5, device='meta')), 'mask is on meta, but input on cpu'),
        (dict(weight=torch.zeros(4, 4, 3, 3, device='meta')), 'weight is on meta, but input on cpu'),
        (dict(bias=torch.zeros(4, device='meta')), 'bias is on meta, but input on cpu'),
    ],
)
def test_misfits_are_named(change: dict, message: str, backend: str):
    with pytest.raises(ValueError, match=message):
        modulated_deform_conv2d(**call(**change), backend=backend)


@pytest.mark.parametrize('dtype', [torch.int64, torch.uint8, torch.bool, torch.complex64])
@pytest.mark.parametrize('name', ['input', 'offset', 'mask', 'weight', 'bias'])
def test_only_floating_dtypes(name: str, dtype: torch.dtype):
    with pytest.raises(TypeError, match=f'{name} has dtype {dtype}, expected a floating one'):
        modulated_deform_conv2d(**call(**{name: call()[name].to(dtype)}))
