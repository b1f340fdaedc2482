"""Fake kernels of every way to convolve, whole layers compiled and exported with gradients, and their recomputation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from deform_conv_cases import CASES, TOLERANCE, exact, expect_close, gradient_like, lay_out, make_arguments, run
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from mmseg_medical.ops.deform_conv import modulated_deform_conv2d, numba_backend

pytest.importorskip('numba')
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ('g++', 'c++', 'clang++'))), reason='torch.compile needs a C++ compiler'
)
EACH = ['dense 3x3', 'depth-wise, two offset groups', 'few channels']


class Layer(nn.Module):
    """A deformable layer with its offset branch, as networks have it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.case = CASES[name]
        points = self.case.deform_groups * self.case.kernel[0] * self.case.kernel[1]
        options = dict(stride=self.case.stride, padding=self.case.padding, dilation=self.case.dilation)
        self.branch = nn.Conv2d(self.case.channels, 3 * points, self.case.kernel, **options)
        weight, bias = make_arguments(self.case, grad=False)[3:]
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.branch.parameters():
                parameter.uniform_(-0.2, 0.2, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        *offset, mask = self.branch(x).chunk(3, dim=1)
        options: dict[str, Any] = self.case.options | dict(backend='numba')
        return modulated_deform_conv2d(x, torch.cat(offset, dim=1), mask.sigmoid(), self.weight, self.bias, **options)


def step(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Output and gradients of the input and all parameters."""
    x = x.detach().requires_grad_()
    out = layer(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *layer.parameters()], gradient_like(out))]


def close(got: list[Tensor], expected: list[Tensor], tolerance: float = 1e-4) -> None:
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize('name', EACH)
@pytest.mark.parametrize('needed', [[True] * 4, [True, False, False, True], [False, True, True, False], [False] * 4])
def test_the_backward_operator_keeps_the_rules(name: str, needed: list[bool]):
    x, offset, mask, weight, _ = make_arguments(CASES[name], grad=False)
    grad_output = gradient_like(torch.empty(2, CASES[name].out_channels, *CASES[name].out_size))
    options = (list(v) if isinstance(v, tuple) else v for v in CASES[name].options.values())
    arguments = (grad_output, x, offset, mask, weight, *options, 'numba', needed)
    operator = torch.ops.mmseg_medical.modulated_deform_conv2d_backward
    torch.library.opcheck(operator, arguments, test_utils=('test_schema', 'test_faketensor'))


@pytest.mark.parametrize('name', EACH)
def test_a_second_derivative_is_refused(name: str):
    arguments = make_arguments(CASES[name])
    out = modulated_deform_conv2d(*arguments, **CASES[name].options, backend='numba')
    gradients = torch.autograd.grad(out.square().sum(), arguments[0], create_graph=True)
    with pytest.raises(RuntimeError, match='modulated_deform_conv2d_backward'):
        gradients[0].sum().backward()


@pytest.mark.parametrize('layout', ['contiguous', 'channels last', 'transposed'])
@pytest.mark.parametrize('name', EACH)
def test_fake_tensors_tell_what_the_kernels_make(name: str, layout: str):
    """Compiled code trusts these strides, those of the gradients too."""
    case = CASES[name]
    x, *rest = make_arguments(case, grad=False)
    real = [lay_out(x, layout), *rest]

    def results(arguments: list[Tensor]) -> list[Tensor]:
        leaves = [a.detach().requires_grad_() for a in arguments]
        out = modulated_deform_conv2d(*leaves, **case.options, backend='numba')
        return [out, *torch.autograd.grad(out, leaves, torch.ones_like(out))]

    with FakeTensorMode() as mode:
        fake = results([mode.from_tensor(a) for a in real])
    for a, b, c in zip(results(real), fake, results([a.to('meta') for a in real]), strict=True):
        assert a.dtype == b.dtype == c.dtype
        assert a.shape == b.shape == c.shape
        assert a.stride() == b.stride() == c.stride()


@pytest.mark.parametrize('backend', ['auto', 'torch', 'numba'])
def test_meta_needs_no_back_end(monkeypatch: pytest.MonkeyPatch, backend: str):
    monkeypatch.setattr(numba_backend, 'available', lambda: False)
    case = CASES['dense 3x3']
    arguments = [a.to('meta') for a in make_arguments(case)]
    out = modulated_deform_conv2d(*arguments, **case.options, backend=backend)
    assert (out.device.type, out.shape) == ('meta', (2, case.out_channels, *case.out_size))


@needs_compiler
@pytest.mark.parametrize('name', EACH[1:])
def test_compiled_with_gradients(name: str):
    torch.compiler.reset()
    layer, x = Layer(name), make_arguments(CASES[name], grad=False)[0]
    close(step(torch.compile(layer, fullgraph=True), x), step(layer, x))


def test_compiled_for_any_size():
    torch.compiler.reset()
    layer = Layer('few channels')
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend='aot_eager')
    for size in ((7, 11), (12, 5), (9, 9)):
        x = torch.rand(2, 3, *size)
        close(step(compiled, x), step(layer, x))


def test_exported_for_any_size(tmp_path: Path):
    layer = Layer('few channels').eval()
    axes = {0: ('batch', 1), 2: ('height', 4), 3: ('width', 4)}
    sizes = {axis: torch.export.Dim(name, min=least, max=64) for axis, (name, least) in axes.items()}
    program = torch.export.export(layer, (torch.rand(2, 3, 9, 10),), dynamic_shapes=(sizes,))
    torch.export.save(program, tmp_path / 'layer.pt2')
    module = torch.export.load(tmp_path / 'layer.pt2').module()
    for shape in ((1, 3, 5, 17), (3, 3, 16, 8)):
        x = torch.rand(shape)
        close([module(x)], [layer(x)], 1e-6)


@pytest.mark.parametrize('name', EACH)
def test_autocast_on_half_precision_maps(name: str):
    """The layer before gave bfloat16, the weights are single."""
    *maps, weight, bias = make_arguments(CASES[name], grad=False)
    arguments = [*(a.bfloat16() for a in maps), weight, bias]
    with torch.autocast('cpu', torch.bfloat16):
        got = run(arguments, CASES[name].options | dict(backend='numba'))
    assert [g.dtype for g in got[1:]] == [a.dtype for a in arguments]
    expect_close(got, exact(arguments, CASES[name].options, gradient_like(got[0])), TOLERANCE[torch.bfloat16])


def test_checkpointing_recomputes_the_same():
    layer, x = Layer('dense 3x3'), make_arguments(CASES['dense 3x3'], grad=False)[0]
    got = step(layer, x)
    leaf = x.detach().requires_grad_()
    out = checkpoint(layer, leaf, use_reentrant=False)
    again = [out.detach(), *torch.autograd.grad(out, [leaf, *layer.parameters()], gradient_like(out))]
    assert all(torch.equal(a, b) for a, b in zip(again, got, strict=True))


def test_without_gradients():
    layer, x = Layer('dense 3x3'), make_arguments(CASES['dense 3x3'], grad=False)[0]
    expected = layer(x).detach()
    with torch.no_grad():
        assert torch.equal(layer(x), expected)
    with torch.inference_mode():
        assert torch.equal(layer(x.clone()), expected)
