"""The CUDA back end in Triton's interpreter, on the CPU, against the float64 torch back end."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from mmseg_medical.ops.deform_conv import modulated_deform_conv2d, triton_backend
from mmseg_medical.ops.deform_conv.geometry import DeformGeometry

pytest.importorskip('triton')
KERNELS = 'mmseg_medical.ops.deform_conv.triton_kernels'


@pytest.fixture(autouse=True, scope='module')
def _interpreter() -> Iterator[None]:
    """Decorate the kernels for the interpreter, and leave no trace of it to other tests.

    triton itself has been imported without the interpreter; its library functions written in Triton follow here.
    """
    import triton.language as tl
    from triton.runtime.interpreter import InterpretedFunction
    from triton.runtime.jit import JITFunction

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TRITON_INTERPRET', '1')
        for name in dir(tl):
            function = getattr(tl, name)
            if isinstance(function, JITFunction):
                patch.setattr(tl, name, InterpretedFunction(function.fn))
        _forget_kernels()
        triton_backend.available.cache_clear()
        yield
    _forget_kernels()
    triton_backend.available.cache_clear()


def _forget_kernels() -> None:
    sys.modules.pop(KERNELS, None)
    package = sys.modules['mmseg_medical.ops.deform_conv']
    if hasattr(package, 'triton_kernels'):
        del package.triton_kernels


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run one after the other here: few, each with all taps."""
    monkeypatch.setattr(triton_backend, '_PROGRAMS', 2)


# channels, out channels, kernel, size, stride, padding, dilation, groups, deformable groups
CASES = {
    'dense': (4, 6, (3, 2), (5, 5), (1, 1), (1, 1), (1, 1), 1, 1),
    'dense, deform groups': (4, 5, (2, 2), (7, 6), (1, 1), (1, 1), (1, 1), 1, 2),
    'dense, several blocks': (40, 70, (1, 2), (5, 8), (1, 1), (0, 0), (1, 1), 1, 1),
    'one channel': (1, 1, (3, 3), (6, 7), (1, 1), (1, 1), (1, 1), 1, 1),
    'three channels': (3, 3, (2, 3), (6, 7), (1, 1), (1, 1), (1, 1), 1, 1),
    'seventeen channels': (17, 17, (1, 2), (5, 3), (1, 1), (0, 1), (1, 1), 1, 1),
    'seventeen groups': (17, 17, (1, 2), (5, 3), (1, 1), (0, 1), (1, 1), 17, 1),
    'depth-wise': (6, 6, (3, 2), (7, 6), (1, 1), (1, 1), (1, 1), 6, 1),
    'depth-wise, several blocks': (40, 40, (1, 2), (9, 8), (1, 1), (0, 1), (1, 1), 40, 1),
    'depth-wise, deform groups': (6, 6, (3, 2), (5, 7), (1, 1), (1, 1), (1, 1), 6, 2),
    'depth-wise, group a channel': (3, 3, (1, 3), (6, 9), (1, 1), (0, 1), (1, 1), 3, 3),
    'row, group a channel': (6, 6, (1, 3), (5, 9), (1, 1), (0, 1), (1, 1), 1, 6),
    'column, group a channel': (20, 6, (3, 1), (5, 4), (1, 1), (1, 0), (1, 1), 1, 20),
    'grouped, group a channel': (8, 4, (1, 2), (4, 5), (1, 1), (0, 1), (1, 1), 2, 8),
    'grouped': (8, 4, (2, 1), (6, 6), (1, 1), (1, 1), (1, 1), 2, 4),
    'one channel a group, two outputs': (3, 6, (2, 2), (4, 5), (1, 1), (1, 1), (1, 1), 3, 1),
    'deform groups across groups': (6, 6, (1, 2), (6, 5), (1, 1), (1, 1), (1, 1), 3, 2),
    'mixed strides and dilations': (2, 2, (3, 2), (17, 13), (3, 2), (2, 0), (2, 3), 1, 1),
    'dilation beyond the map': (2, 2, (3, 3), (5, 7), (1, 1), (32, 32), (32, 32), 1, 1),
    'one row': (2, 4, (1, 3), (1, 11), (1, 1), (0, 1), (1, 1), 1, 2),
    'one pixel': (2, 2, (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1, 1),
}
WAYS = ('dense', 'depth-wise', 'row, group a channel')


def case(name: str, batch: int = 2) -> tuple[list[Tensor], dict[str, Any]]:
    """Arguments in float64 and options."""
    channels, out_channels, kernel, size, stride, padding, dilation, groups, deform_groups = CASES[name]
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    axes = zip(size, padding, dilation, kernel, stride, strict=True)
    out = [(s + 2 * p - d * (k - 1) - 1) // st + 1 for s, p, d, k, st in axes]
    points = deform_groups * kernel[0] * kernel[1]
    offset = 2 * draw(batch, 2 * points, *out)
    offset[:, ::3] = offset[:, ::3].round()
    arguments = [
        draw(batch, channels, *size),
        offset,
        draw(batch, points, *out).sigmoid(),
        draw(out_channels, channels // groups, *kernel),
        draw(out_channels),
    ]
    return arguments, dict(
        stride=stride, padding=padding, dilation=dilation, groups=groups, deform_groups=deform_groups
    )


def run(
    arguments: list[Tensor], options: dict[str, Any], backend: str, grad_output: Tensor | None = None
) -> list[Tensor]:
    """Output and the gradients of all arguments."""
    arguments = [a.detach().requires_grad_() for a in arguments]
    out = modulated_deform_conv2d(*arguments, **options, backend=backend)
    grad_output = gradient_like(out) if grad_output is None else grad_output
    return [out.detach(), *torch.autograd.grad(out, arguments, grad_output.to(out.dtype))]


def gradient_like(out: Tensor) -> Tensor:
    return torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out.dtype)


def expect_equal_torch(arguments: list[Tensor], options: dict[str, Any], tolerance: float) -> list[Tensor]:
    got = run(arguments, options, 'triton')
    grad_output = gradient_like(got[0]).double()
    expected = run([a.double() for a in arguments], options, 'torch', grad_output)
    for name, ours, exact in zip(('output', 'input', 'offset', 'mask', 'weight', 'bias'), got, expected, strict=True):
        error = (ours.double() - exact).abs().max() if exact.numel() else torch.zeros(())
        assert error <= tolerance * max(exact.abs().max().item(), 1e-30), f'{name}: {error:.2e}'
    return got


@pytest.mark.parametrize('name', CASES)
def test_equals_torch_with_all_gradients(name: str):
    arguments, options = case(name)
    arguments = [a.float() for a in arguments]
    for result, like in zip(expect_equal_torch(arguments, options, 1e-5)[1:], arguments, strict=True):
        assert (result.dtype, result.shape) == (like.dtype, like.shape)


@pytest.mark.parametrize('name', WAYS)
@pytest.mark.parametrize(('dtype', 'tolerance'), [('float16', 2e-3), ('bfloat16', 1e-2), ('float64', 1e-13)])
def test_other_precisions(name: str, dtype: str, tolerance: float):
    arguments, options = case(name, batch=1)
    expect_equal_torch([a.to(getattr(torch, dtype)) for a in arguments], options, tolerance)


def test_mixed_dtypes_as_under_autocast():
    arguments, options = case('dense', batch=1)
    arguments = [a.to(torch.bfloat16 if i == 0 else torch.float32) for i, a in enumerate(arguments)]
    got = expect_equal_torch(arguments, options, 1e-2)
    assert [g.dtype for g in got] == [torch.bfloat16, *(a.dtype for a in arguments)]


@pytest.mark.parametrize('name', WAYS)
def test_positions_on_pixels_on_the_border_and_nowhere(name: str):
    (x, offset, mask, weight, bias), options = case(name)
    height, width = x.shape[2:]
    special = [
        0.0,
        -1.0,
        1.0,
        -1 + 1e-3,
        -height,
        height,
        -width,
        width,
        1e9,
        -1e30,
        *map(float, ('nan', 'inf', '-inf')),
    ]
    picks = torch.randint(len(special), offset.shape, generator=torch.Generator().manual_seed(2))
    offset = torch.tensor(special, dtype=torch.float64)[picks]
    expect_equal_torch([a.float() for a in (x, offset, mask, weight, bias)], options, 1e-5)


@pytest.mark.parametrize('name', WAYS)
def test_a_sample_that_does_not_count_hides_what_is_not_finite(name: str):
    (x, offset, mask, weight, bias), options = case(name, batch=1)
    arguments = [x, torch.full_like(offset, 1e6), torch.full_like(mask, torch.nan), weight, bias]
    out, *gradients, _ = run([a.float() for a in arguments], options, 'triton')
    torch.testing.assert_close(out, bias.float().reshape(1, -1, 1, 1).expand_as(out))
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize('name', WAYS)
def test_memory_formats(name: str):
    arguments, options = case(name)
    x, offset, mask, weight, bias = (a.float() for a in arguments)
    grad_output = gradient_like(run([x, offset, mask, weight, bias], options, 'torch')[0])
    expected = run([x, offset, mask, weight, bias], options, 'triton', grad_output)
    last = [a.contiguous(memory_format=torch.channels_last) for a in (x, offset, mask, weight)]
    strided = [a.flip(3).clone().flip(3).transpose(0, 1).clone().transpose(0, 1) for a in (x, offset, mask, weight)]
    for variant in (last, strided):
        gradient = grad_output.transpose(2, 3).clone().transpose(2, 3)
        got = run([*variant, bias], options, 'triton', gradient)
        for ours, other in zip(got, expected, strict=True):
            torch.testing.assert_close(ours, other)
        if variant is last:
            assert all(g.is_contiguous(memory_format=torch.channels_last) for g in got[:2])


def test_empty_batch():
    arguments, options = case('dense', batch=0)
    out, *gradients = run([a.float() for a in arguments], options, 'triton')
    assert out.shape == (0, 6, 5, 6)
    assert [g.shape for g in gradients] == [a.shape for a in arguments]
    assert not gradients[3].any()


def call(name: str) -> tuple[list[Tensor], Tensor, DeformGeometry]:
    arguments, options = case(name)
    arguments = [a.float() for a in arguments]
    geometry = DeformGeometry.of(*arguments, **options)
    return arguments, torch.ones(2, arguments[3].shape[0], *geometry.out_size), geometry


@pytest.mark.parametrize('name', WAYS)
@pytest.mark.parametrize('wanted', [(0,), (2,), (1, 3)])
def test_only_what_is_needed(name: str, wanted: tuple[int, ...]):
    (*arguments, _), grad_output, geometry = call(name)
    everything = triton_backend.backward(grad_output, *arguments, geometry, [True] * 4)
    some = triton_backend.backward(grad_output, *arguments, geometry, [i in wanted for i in range(4)])
    for i, (ours, other) in enumerate(zip(some, everything, strict=True)):
        assert (ours is not None) == (i in wanted)
        if ours is not None:
            torch.testing.assert_close(ours, other)


@pytest.mark.parametrize('name', WAYS)
@pytest.mark.parametrize(
    'setting', [dict(_PROGRAMS=1000), dict(_WIDE_FROM=0)], ids=['many programs', '64-bit addresses']
)
def test_any_launch_gives_the_same(monkeypatch: pytest.MonkeyPatch, name: str, setting: dict[str, int]):
    for constant, value in setting.items():
        monkeypatch.setattr(triton_backend, constant, value)
    arguments, options = case(name)
    expect_equal_torch([a.float() for a in arguments], options, 1e-5)


@pytest.fixture
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures('_deterministic')
@pytest.mark.parametrize('name', WAYS)
@pytest.mark.parametrize('scale', [1.0, 1e-30, 1e30])
def test_deterministic_gradient(name: str, scale: float):
    arguments, options = case(name, batch=1)
    arguments[3] *= scale
    expect_equal_torch([a.float() for a in arguments], options, 1e-5)


@pytest.mark.usefixtures('_deterministic')
@pytest.mark.parametrize('name', WAYS)
@pytest.mark.parametrize('value', [0.0, float('nan'), float('inf'), 3e38])
def test_deterministic_gradient_of_zero_and_of_what_is_not_finite(name: str, value: float):
    (x, offset, mask, weight, _), grad_output, geometry = call(name)
    offset = torch.zeros_like(offset)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # numpy's, of the conversion to integers
        grad_output = torch.full_like(grad_output, value)
        arguments = x, offset, mask, weight.abs() + 10
        gradient = triton_backend.backward(grad_output, *arguments, geometry, (True, False, False, False))[0]
    assert not gradient.any() if value == 0 else not gradient.isfinite().any()


def test_the_fixed_point_scale_stays_on_the_device():
    (*arguments, _), grad_output, geometry = call('dense')
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        staged = [mode.from_tensor(a) for a in (*arguments, grad_output)]
        scale = triton_backend._Call(*staged[:4], geometry)._fixed_point_scale(staged[4])
    assert (scale.shape, scale.dtype) == ((1,), torch.float64)


def test_available_needs_a_gpu_or_the_interpreter(monkeypatch: pytest.MonkeyPatch):
    assert triton_backend.available()
    monkeypatch.delenv('TRITON_INTERPRET')
    triton_backend.available.cache_clear()
    arguments, _, geometry = call('one pixel')
    with pytest.raises(ValueError, match='CUDA device, found them on cpu'):
        triton_backend.forward(*arguments, geometry)
    assert triton_backend.available() == torch.cuda.is_available()
    triton_backend.available.cache_clear()
