"""The deformable operator against plain convolution, mmcv's compiled operator and finite differences."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mmseg_medical.ops.deform_conv import available_backends, modulated_deform_conv2d

needs_mmcv = pytest.mark.skipif('mmcv' not in available_backends(), reason='mmcv has no compiled operators here')


def make_arguments(
    channels, out_channels, kernel, size, *, stride, padding, dilation, groups, deform_groups, spread=2.0
):
    generator = torch.Generator().manual_seed(0)
    out = [
        (s + 2 * p - d * (k - 1) - 1) // st + 1
        for s, p, d, k, st in zip(size, padding, dilation, kernel, stride, strict=True)
    ]
    points = deform_groups * kernel[0] * kernel[1]

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    offset = draw(2, 2 * points, *out) * spread
    offset[:, ::3] = offset[:, ::3].round()  # whole pixels, where the derivative jumps
    arguments = [
        draw(2, channels, *size),
        offset,
        draw(2, points, *out).sigmoid(),
        draw(out_channels, channels // groups, *kernel),
        draw(out_channels),
    ]
    options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups, deform_groups=deform_groups)
    return [a.requires_grad_() for a in arguments], options


# channels, out channels, kernel, size, stride, padding, dilation, groups, deformable groups
CASES = {
    'dense 3x3': (4, 6, (3, 3), (7, 11), (1, 1), (1, 1), (1, 1), 1, 1),
    'down-sampling': (4, 6, (3, 3), (13, 8), (2, 2), (1, 1), (1, 1), 1, 2),
    'depth-wise 5x5': (6, 6, (5, 5), (9, 7), (1, 1), (2, 2), (1, 1), 6, 1),
    'row, group a channel': (6, 6, (1, 3), (5, 9), (1, 1), (0, 1), (1, 1), 1, 6),
    'column, group a channel': (6, 6, (3, 1), (5, 9), (1, 1), (1, 0), (1, 1), 1, 6),
    'grouped': (8, 4, (3, 3), (6, 6), (1, 1), (1, 1), (1, 1), 2, 4),
    'deform groups across groups': (6, 6, (3, 3), (6, 5), (1, 1), (1, 1), (1, 1), 3, 2),
    'mixed strides and dilations': (2, 2, (3, 2), (17, 13), (3, 2), (2, 0), (2, 3), 1, 1),
    'dilation beyond the map': (2, 2, (3, 3), (5, 7), (1, 1), (32, 32), (32, 32), 1, 1),
    'one row': (2, 4, (1, 3), (1, 11), (1, 1), (0, 1), (1, 1), 1, 2),
    'one pixel': (2, 2, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1, 1),
    'far outside': (2, 2, (3, 3), (6, 5), (1, 1), (1, 1), (1, 1), 1, 1),
}


def case(name):
    channels, out_channels, kernel, size, stride, padding, dilation, groups, deform_groups = CASES[name]
    return make_arguments(
        channels, out_channels, kernel, size, stride=stride, padding=padding, dilation=dilation, groups=groups,
        deform_groups=deform_groups, spread=1e4 if name == 'far outside' else 2.0,
    )  # fmt: skip


@needs_mmcv
@pytest.mark.parametrize('name', CASES)
def test_equals_mmcv_with_all_gradients(name):
    arguments, options = case(name)
    ours = modulated_deform_conv2d(*arguments, **options, backend='torch')
    theirs = modulated_deform_conv2d(*arguments, **options, backend='mmcv')
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)
    weight = torch.randn_like(ours)
    ours_gradients = torch.autograd.grad(ours, arguments, weight)
    theirs_gradients = torch.autograd.grad(theirs, arguments, weight)
    for got, expected in zip(ours_gradients, theirs_gradients, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('name', [n for n in CASES if n != 'far outside'])
def test_gradcheck(name):
    (x, offset, mask, weight, bias), options = case(name)
    # Finite differences need the derivative to exist: away from whole pixels.
    offset = (offset.detach().floor() + 0.2 + 0.6 * torch.rand(offset.shape, dtype=offset.dtype)).requires_grad_()
    small = [t[:1].detach().requires_grad_() for t in (x, offset, mask)]
    assert torch.autograd.gradcheck(
        lambda *a: modulated_deform_conv2d(*a, **options, backend='torch'), (*small, weight, bias), fast_mode=True
    )


@pytest.mark.parametrize(('stride', 'padding', 'dilation', 'groups'), itertools.product((1, 2), (0, 3), (1, 2), (1, 2)))
def test_without_offsets_it_is_a_plain_convolution(stride, padding, dilation, groups):
    pair = dict(stride=(stride,) * 2, padding=(padding,) * 2, dilation=(dilation,) * 2)
    (x, offset, mask, weight, bias), options = make_arguments(
        4, 6, (3, 2), (11, 7), **pair, groups=groups, deform_groups=2
    )
    out = modulated_deform_conv2d(x, 0 * offset, 0 * mask + 0.5, weight, bias, **options)
    expected = F.conv2d(x, 0.5 * weight, bias, stride, padding, dilation, groups)
    torch.testing.assert_close(out, expected)


def test_one_tap_by_hand():
    """A 1x1 kernel moved half a pixel right and a quarter down weighs four neighbours."""
    x = torch.tensor([[1.0, 2.0], [4.0, 8.0]]).reshape(1, 1, 2, 2)
    offset = torch.zeros(1, 2, 2, 2)
    offset[0, 0], offset[0, 1] = 0.25, 0.5
    out = modulated_deform_conv2d(x, offset, torch.full((1, 1, 2, 2), 2.0), torch.full((1, 1, 1, 1), 3.0))
    top_left = 0.75 * (0.5 * 1 + 0.5 * 2) + 0.25 * (0.5 * 4 + 0.5 * 8)
    bottom_right = 0.75 * 0.5 * 8
    assert out[0, 0, 0, 0].item() == pytest.approx(6 * top_left)
    assert out[0, 0, 1, 1].item() == pytest.approx(6 * bottom_right)


def test_far_offsets_give_the_bias():
    (x, offset, mask, weight, bias), options = case('far outside')
    for displacement in (1e9, -1e9, float('inf')):
        out = modulated_deform_conv2d(x, torch.full_like(offset, displacement), mask, weight, bias, **options)
        torch.testing.assert_close(out, bias.reshape(1, -1, 1, 1).expand_as(out))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision_is_close(dtype):
    arguments, options = case('depth-wise 5x5')
    low = modulated_deform_conv2d(*(a.to(dtype) for a in arguments), **options)
    assert low.dtype == dtype
    exact = modulated_deform_conv2d(*(a.to(dtype).double() for a in arguments), **options)
    tolerance = {torch.float16: 2e-2, torch.bfloat16: 1e-1, torch.float32: 1e-4}[dtype]
    torch.testing.assert_close(low.double(), exact, rtol=tolerance, atol=tolerance)


def test_runs_under_autocast_and_on_strided_memory():
    arguments, options = case('grouped')
    x, *rest = (a.detach().float() for a in arguments)
    strided = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).flip(3)
    expected = modulated_deform_conv2d(strided.contiguous(), *rest, **options)
    torch.testing.assert_close(modulated_deform_conv2d(strided, *rest, **options), expected)
    with torch.autocast('cpu', torch.bfloat16):
        low = modulated_deform_conv2d(strided, *rest, **options)
    torch.testing.assert_close(low, expected, rtol=0.1, atol=0.2)


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_result_does_not_depend_on_threads(threads):
    arguments, options = case('depth-wise 5x5')
    one = [a[:1].detach() if a.ndim == 4 and i < 3 else a.detach() for i, a in enumerate(arguments)]
    expected = modulated_deform_conv2d(*one, **options)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.testing.assert_close(modulated_deform_conv2d(*one, **options), expected, rtol=0, atol=1e-12)
    finally:
        torch.set_num_threads(before)


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
        (dict(bias=torch.zeros(3)), r'bias has shape \(3,\), expected \(C_out,\) = \(4,\)'),
        (dict(weight=torch.zeros(4, 3, 3, 3)), 'has 3 input channels a group, input has 4'),
        (dict(groups=3), 'groups=3 must divide 4 input and 4 output channels'),
        (dict(deform_groups=3), 'deform_groups=3 must divide the 4 input channels'),
        (dict(padding=0, dilation=4), 'shorter than the kernel'),
        (dict(input=torch.zeros(4, 5, 5)), 'four axes'),
        (dict(stride=0), 'stride, dilation, groups and deform_groups must be at least 1'),
        (dict(padding=(1, -1)), 'padding at least 0'),
        (dict(mask=torch.zeros(1, 9, 5, 5, device='meta')), 'mask is on meta, but input on cpu'),
        (dict(backend='cuda'), "backend='cuda' is unknown"),
        (dict(backend='nunba'), 'Did you mean numba'),
    ],
)
def test_misfits_are_named(change, message):
    call = dict(
        input=torch.zeros(1, 4, 5, 5), offset=torch.zeros(1, 18, 5, 5), mask=torch.zeros(1, 9, 5, 5),
        weight=torch.zeros(4, 4, 3, 3), bias=None, padding=1,
    )  # fmt: skip
    with pytest.raises(ValueError, match=message):
        modulated_deform_conv2d(**(call | change))


@pytest.mark.parametrize('name', ['input', 'offset', 'mask', 'weight', 'bias'])
def test_whole_numbers_are_refused(name):
    call = dict(
        input=torch.zeros(1, 4, 5, 5), offset=torch.zeros(1, 18, 5, 5), mask=torch.zeros(1, 9, 5, 5),
        weight=torch.zeros(4, 4, 3, 3), bias=torch.zeros(4),
    )  # fmt: skip
    with pytest.raises(TypeError, match=f'{name} has dtype torch.int64, expected a floating one'):
        modulated_deform_conv2d(**(call | {name: call[name].long()}), padding=1)
