"""The numba back end against the reference and mmcv: any geometry, memory layout, precision and position."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from deform_conv_cases import (
    CASES,
    DENSE,
    DEPTHWISE,
    LAYOUTS,
    PLANAR,
    TOLERANCE,
    Case,
    exact,
    expect_close,
    expect_equal_reference,
    gradient_like,
    lay_out,
    make_arguments,
    offsets_to,
    run,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmseg_medical.ops.deform_conv import available_backends, numba_backend

pytest.importorskip('numba')
needs_mmcv = pytest.mark.skipif('mmcv' not in available_backends(), reason='mmcv has no compiled operators here')

ONE_OF_EACH = {name: CASES[name] for name in ('dense 3x3', 'depth-wise 5x5', 'few channels')}
NAN, INF = float('nan'), float('inf')


def way_of(case: Case, dtype: torch.dtype = torch.float32) -> str:
    from mmseg_medical.ops.simd import lanes_of

    return numba_backend._kind(
        case.channels, case.out_channels, case.groups, case.deform_groups, lanes_of(dtype.itemsize)
    )


def test_the_cases_reach_every_kernel():
    assert {way_of(case) for case in DENSE.values()} == {'dense'}
    assert {way_of(case) for case in DEPTHWISE.values()} == {'depthwise'}
    assert 'planar' in {way_of(case) for case in PLANAR.values()}
    doubles = {way_of(case, torch.float64) for case in CASES.values()}
    assert doubles == {'dense', 'depthwise', 'planar'}


@pytest.mark.parametrize('name', CASES)
def test_single_precision(name: str):
    expect_equal_reference(make_arguments(CASES[name]), CASES[name].options, TOLERANCE[torch.float32])


@pytest.mark.parametrize('name', CASES)
def test_double_precision(name: str):
    arguments = make_arguments(CASES[name], torch.float64)
    expect_equal_reference(arguments, CASES[name].options, TOLERANCE[torch.float64])


@needs_mmcv
@pytest.mark.parametrize('name', CASES)
def test_equals_mmcv(name: str):
    arguments, options = make_arguments(CASES[name], torch.float64), CASES[name].options
    expected = run(arguments, options | dict(backend='mmcv'))
    expect_close(run(arguments, options | dict(backend='numba')), expected, 1e-12)
    singles = [argument.float() for argument in arguments]
    rounded = [argument.double() for argument in singles]
    expected = run(rounded, options | dict(backend='mmcv'))
    expect_close(run(singles, options | dict(backend='numba')), expected, TOLERANCE[torch.float32])


@pytest.mark.parametrize('name', ONE_OF_EACH)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(name: str, dtype: torch.dtype):
    expect_equal_reference(make_arguments(CASES[name], dtype), CASES[name].options, TOLERANCE[dtype])


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_mixed_precision_as_under_autocast(name: str):
    case = CASES[name]
    half, single = torch.bfloat16, torch.float32
    arguments = [a.to(t) for a, t in zip(make_arguments(case), (half, half, half, single, single), strict=True)]
    got = run(arguments, case.options | dict(backend='numba'))
    expected = exact(arguments, case.options, gradient_like(got[0]))
    # Nothing is rounded to half precision on the way to the gradient of the weight.
    expect_close(got, expected, [*[TOLERANCE[half]] * 4, TOLERANCE[single], TOLERANCE[half]])
    assert [g.dtype for g in got] == [half, half, half, half, single, single]


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_without_bias(name: str):
    arguments = [*make_arguments(CASES[name])[:4], None]
    expect_equal_reference(arguments, CASES[name].options, TOLERANCE[torch.float32])


@pytest.mark.parametrize('name', ONE_OF_EACH)
@pytest.mark.parametrize('wanted', range(5))
def test_one_gradient_alone(name: str, wanted: int):
    case = CASES[name]
    arguments = make_arguments(case, grad=False)
    expected = run(arguments, case.options | dict(backend='numba'))[1 + wanted]
    arguments[wanted].requires_grad_()
    out = numba(arguments, case)
    (got,) = torch.autograd.grad(out, arguments[wanted], gradient_like(out))
    assert torch.equal(got, expected)


@pytest.mark.parametrize('name', ONE_OF_EACH)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_empty_batch(name: str, dtype: torch.dtype):
    case = CASES[name]
    got = run(make_arguments(case, dtype, batch=0), case.options | dict(backend='numba'))
    assert got[0].shape == (0, case.out_channels, *case.out_size)
    assert all(not gradient.any() and gradient.dtype == dtype for gradient in got[1:])


def numba(arguments: list[torch.Tensor], case: Case) -> torch.Tensor:
    from mmseg_medical.ops.deform_conv import modulated_deform_conv2d

    return modulated_deform_conv2d(*arguments, **case.options, backend='numba')


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ONE_OF_EACH)
@pytest.mark.parametrize('layout', [name for name in LAYOUTS if name != 'contiguous'])
def test_memory_layouts(name: str, layout: str):
    case = CASES[name]
    arguments = make_arguments(case, grad=False)
    expected = run(arguments, case.options | dict(backend='numba'))
    for changed in [(0,), (1,), (2,), (1, 2), (0, 1, 2, 3)]:
        laid_out = [lay_out(a, layout) if i in changed else a for i, a in enumerate(arguments)]
        got = run(laid_out, case.options | dict(backend='numba'))
        expect_close(got, expected, 1e-6)
    grad_output = lay_out(gradient_like(expected[0]), layout)
    expect_close(run(arguments, case.options | dict(backend='numba'), grad_output), expected, 1e-6)


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_layouts_of_one_pixel_output(name: str):
    """Sizes of 1 make memory formats ambiguous."""
    case = CASES[name]._replace(size=(1, 1), padding=tuple(k // 2 for k in CASES[name].kernel))
    arguments = make_arguments(case, grad=False)
    for layout in LAYOUTS:
        expect_equal_reference([*(lay_out(a, layout) for a in arguments[:4]), arguments[4]], case.options, 1e-5)


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_memory_format_follows_the_input(name: str):
    case = CASES[name]
    arguments = make_arguments(case, grad=False)
    for layout, memory_format in {'contiguous': torch.contiguous_format, 'channels last': torch.channels_last}.items():
        laid_out = [lay_out(arguments[0], layout), *arguments[1:]]
        out, grad_input, *_ = run(laid_out, case.options | dict(backend='numba'))
        assert out.is_contiguous(memory_format=memory_format)
        assert grad_input.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_expanded_arguments(name: str):
    """Steps of zero: one input for the batch, one mask for all taps, the gradient of a sum."""
    case = CASES[name]
    x, offset, mask, weight, bias = make_arguments(case, grad=False)
    arguments = [x[:1].expand_as(x), offset[:1].expand_as(offset), mask[:, :1].expand_as(mask), weight, bias]
    options = case.options | dict(backend='numba')
    expect_equal_reference(arguments, case.options, TOLERANCE[torch.float32])
    one = torch.ones(()).expand(2, case.out_channels, *case.out_size)
    expect_close(run(arguments, options, one), exact(arguments, case.options, one), TOLERANCE[torch.float32])


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_arguments_are_not_changed(name: str):
    arguments = make_arguments(CASES[name], grad=False)
    before = [a.clone() for a in arguments]
    run(arguments, CASES[name].options | dict(backend='numba'))
    assert all(torch.equal(a, b) for a, b in zip(arguments, before, strict=True))


# --- positions -------------------------------------------------------------------------------------------------------


def border(length: int) -> list[float]:
    """Positions on, just inside and just outside the border of the zeros around a map, and on its first and last."""
    some = 1 / 64
    return [-2.0, -1.0, -1.0 + some, -some, 0.0, some, length - 1.0, length - 1 + some, length - some, length + 0.0]


@pytest.mark.parametrize('name', [*ONE_OF_EACH, 'one dense pixel', 'depth-wise 7x7 pixel', 'one pixel', 'one row'])
def test_on_pixels_and_on_the_border(name: str):
    case = CASES[name]
    arguments = make_arguments(case)
    arguments[1] = offsets_to(case, border(case.size[0]), border(case.size[1]))
    expect_equal_reference(arguments, case.options, TOLERANCE[torch.float32])
    expect_equal_reference([a.double() for a in arguments], case.options, TOLERANCE[torch.float64])


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_next_to_the_border_in_single_precision(name: str):
    """The largest number below H is inside, and so is the smallest above -1."""
    case = CASES[name]._replace(kernel=(1, 1), padding=(0, 0))
    arguments = make_arguments(case, grad=False)
    below = torch.nextafter(torch.tensor(float(case.size[0])), torch.tensor(0.0)) - (case.size[0] - 1)
    arguments[1] = torch.zeros_like(arguments[1])
    arguments[1][:, 0, -1], arguments[1][:, 1, :, 0] = below, -1 + 2**-24
    expect_equal_reference(arguments, case.options, TOLERANCE[torch.float32])


@pytest.mark.parametrize('name', ONE_OF_EACH)
@pytest.mark.parametrize('displacement', [1e4, -1e4, 2.0**31, -(2.0**40), 3e38, -3e38, INF, -INF, NAN])
def test_far_away_and_nowhere(name: str, displacement: float):
    """The bias alone, and gradients of nothing else."""
    case = CASES[name]
    arguments = make_arguments(case)
    arguments[1] = torch.full_like(arguments[1], displacement)
    out, *gradients, grad_bias = run(arguments, case.options | dict(backend='numba'))
    assert torch.equal(out, arguments[4].detach().reshape(1, -1, 1, 1).expand_as(out))
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)
    assert torch.equal(grad_bias, gradient_like(out).sum((0, 2, 3)))


@pytest.mark.parametrize('name', [*ONE_OF_EACH, 'row, group a channel', 'one row', 'one pixel'])
def test_one_sample_in_three_is_nowhere(name: str):
    """Not finite in one axis or both, next to ordinary neighbours."""
    case = CASES[name]
    arguments = make_arguments(case, grad=False)
    nowhere = torch.randint(12, arguments[1].shape, generator=torch.Generator().manual_seed(2))
    for value, number in ((NAN, 0), (INF, 1), (-INF, 2)):
        arguments[1][nowhere == number] = value
    expect_equal_reference(arguments, case.options, TOLERANCE[torch.float32])
    expect_equal_reference([a.bfloat16() for a in arguments], case.options, TOLERANCE[torch.bfloat16])


@pytest.mark.parametrize('name', [*ONE_OF_EACH, 'grouped', 'dilation beyond the map'])
@pytest.mark.parametrize('value', [NAN, INF])
def test_what_no_sample_touches_does_not_matter(name: str, value: float):
    case = CASES[name]
    arguments = make_arguments(case, grad=False)
    inner = [range(2, length - 2) for length in case.size]
    # Samples outside must not see the pixels that stand in for their neighbours.
    arguments[1] = offsets_to(case, [*inner[0], 2.5, -3.0, NAN], [*inner[1], 2.25, case.size[1] + 9.0])
    expected = run(arguments, case.options | dict(backend='numba'))
    x = arguments[0].clone()
    for row in (0, case.size[0] - 1):
        x[:, :, row], x[:, :, :, 0], x[:, :, :, -1] = value, value, value
    got = run([x, *arguments[1:]], case.options | dict(backend='numba'))
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_nan_stays_in_its_image_and_channel_and_reaches_the_output(name: str):
    case = CASES[name]
    arguments = make_arguments(case, grad=False)
    expected = run(arguments, case.options | dict(backend='numba'))[0]
    x = arguments[0].clone()
    x[0, 1] = NAN
    got = run([x, *arguments[1:]], case.options | dict(backend='numba'))[0]
    assert torch.equal(got[1], expected[1])
    assert got[0].isnan().any()
    if case.groups > 1:
        others = [c for c in range(case.out_channels) if c != 1]
        assert torch.equal(got[0, others], expected[0, others])


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_a_large_map(name: str):
    """Positions that half precision could not hold; more than one tile; the last one not full."""
    case = CASES[name]._replace(size=(3, 2501))
    arguments = make_arguments(case, batch=1, grad=False)
    x, offset, mask, weight, bias = arguments
    expect_equal_reference([x.bfloat16(), offset, mask, weight, bias], case.options, TOLERANCE[torch.bfloat16])
    # The sum over 7503 positions loses digits of its own.
    got = run(arguments, case.options | dict(backend='numba'))
    expected = exact(arguments, case.options, gradient_like(got[0]))
    expect_close(got, expected, TOLERANCE[torch.float32])


# --- any geometry ----------------------------------------------------------------------------------------------------

KERNELS = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (1, 21), (21, 1), (1, 3), (3, 1), (2, 5), (7, 4)]
ODD = [1, 3, 5, 13, 48]


@st.composite
def cases(draw: st.DrawFn, way: str) -> Case:
    if way == 'dense':
        deform_groups = draw(st.sampled_from([1, 1, 2]))
        channels = deform_groups * draw(st.sampled_from([8, 11, 16, 17, 33]))
        out_channels, groups = draw(st.sampled_from(ODD)), 1
    elif way == 'depthwise':
        deform_groups = draw(st.sampled_from([1, 1, 3]))
        channels = out_channels = groups = deform_groups * draw(st.sampled_from([8, 9, 16, 17, 33]))
    else:
        groups, deform_groups = draw(st.sampled_from([(1, 1), (1, 3), (2, 1), (3, 3), (2, 3), (6, 3), (2, 6)]))
        channels = math.lcm(groups, deform_groups) * draw(st.sampled_from([1, 1, 1, 3]))
        out_channels = groups * draw(st.sampled_from([1, 2, 5]))
    kernel, size, stride, padding, dilation = draw(st.sampled_from(KERNELS)), [], [], [], []
    for taps in kernel:
        dilation.append(draw(st.sampled_from([1, 1, 2, 3, 32])))
        size.append(draw(st.integers(1, 13)))
        stride.append(draw(st.integers(1, 3)))
        missing = max(0, dilation[-1] * (taps - 1) + 1 - size[-1])
        padding.append(-(-missing // 2) + draw(st.integers(0, 3)))
    pairs = (tuple(pair) for pair in (size, stride, padding, dilation))
    return Case(channels, out_channels, kernel, *pairs, groups, deform_groups)


@st.composite
def calls(draw: st.DrawFn, way: str) -> tuple[list[torch.Tensor | None], Case]:
    case = draw(cases(way))
    batch = draw(st.sampled_from([1, 1, 2, 3, 0]))
    spread = draw(st.sampled_from([0.0, 0.5, 3.0, 40.0]))
    arguments: list[Any] = make_arguments(case, batch=batch, spread=spread, seed=draw(st.integers(0, 99)), grad=False)
    where = draw(st.sampled_from(['anywhere', 'on pixels', 'border', 'nowhere']))
    if where == 'on pixels':
        arguments[1] = arguments[1].round()
    elif where == 'border':
        arguments[1] = offsets_to(case, border(case.size[0]), border(case.size[1]), batch)
    elif where == 'nowhere':
        arguments[1].flatten()[:: draw(st.integers(2, 7))] = draw(st.sampled_from([NAN, INF, -INF, 1e9]))
    for i in range(4):
        arguments[i] = lay_out(arguments[i], draw(st.sampled_from(list(LAYOUTS))))
    if draw(st.booleans()):
        arguments[4] = None
    return arguments, case


@pytest.mark.parametrize('way', ['dense', 'depthwise', 'planar'])
def test_any_geometry_and_layout(way: str):
    seen = set()

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(calls(way))
    def check(call: tuple[list[torch.Tensor | None], Case]) -> None:
        arguments, case = call
        seen.add(way_of(case))
        expect_equal_reference(arguments, case.options, TOLERANCE[torch.float32])

    check()
    assert way in seen
