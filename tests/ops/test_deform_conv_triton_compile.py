"""The CUDA back end's kernels through Triton's compiler, which needs no GPU: types and limits of a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmseg_medical.ops.deform_conv import triton_backend
from mmseg_medical.ops.deform_conv.geometry import DeformGeometry

pytest.importorskip('triton')
LAUNCHED = ('dense_forward', 'depthwise_forward', 'points_backward', 'weight_backward')
TYPES = {
    torch.float16: '*fp16', torch.bfloat16: '*bf16', torch.float32: '*fp32', torch.float64: '*fp64', torch.int64: '*i64'
}  # fmt: skip
SHARED_MEMORY = 232448  # bytes a block can have on an H100

# channels, out channels, kernel, size, groups, deformable groups
CASES = {
    'dense': (64, 64, (3, 3), (32, 32), 1, 1),
    'depth-wise': (32, 32, (5, 5), (24, 36), 32, 1),
    'row, group a channel': (32, 32, (1, 3), (24, 36), 1, 32),
    'one row, odd channels': (9, 6, (1, 3), (1, 11), 3, 3),
}


class CompileInstead:
    """Takes a kernel's place: a launch compiles it for compute capability 9.0."""

    def __init__(self, kernel: Any, compiled: list[Any]) -> None:
        self.kernel, self.compiled = kernel, compiled

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return self._compile

    def _compile(self, *args: Any, **kwargs: Any) -> None:
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        names = self.kernel.arg_names
        values = dict(zip(names, args, strict=False)) | {n: v for n, v in kwargs.items() if n in names}
        signature, constants = {}, {}
        for parameter in self.kernel.params:
            value = values[parameter.name]
            if parameter.is_constexpr or value is None or (isinstance(value, int) and value == 1):
                signature[parameter.name], constants[parameter.name] = 'constexpr', value
            else:
                signature[parameter.name] = TYPES[value.dtype] if isinstance(value, Tensor) else 'i32'
        options = {name: value for name, value in kwargs.items() if name not in names}
        source = ASTSource(fn=self.kernel, signature=signature, constexprs=constants)
        self.compiled.append(triton.compile(source, target=GPUTarget('cuda', 90, 32), options=options))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Kernels that were compiled by calling the back end."""
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    monkeypatch.delenv('TRITON_INTERPRET', raising=False)
    from mmseg_medical.ops.deform_conv import triton_kernels

    kernels: list[Any] = []
    for name in LAUNCHED:
        monkeypatch.setattr(triton_kernels, name, CompileInstead(getattr(triton_kernels, name), kernels))
    monkeypatch.setattr(triton_backend, '_expect_cuda', lambda tensor: None)
    return kernels


@pytest.mark.parametrize(
    ('dtype', 'deterministic'), [('float16', False), ('bfloat16', True), ('float32', False), ('float32', True)]
)
@pytest.mark.parametrize('name', CASES)
def test_kernels_compile(
    compiled: list[Any], monkeypatch: pytest.MonkeyPatch, name: str, dtype: str, deterministic: bool
):
    channels, out_channels, kernel, size, groups, deform_groups = CASES[name]
    points = deform_groups * kernel[0] * kernel[1]
    shapes = [
        (2, channels, *size), (2, 2 * points, *size), (2, points, *size),
        (out_channels, channels // groups, *kernel), (out_channels,),
    ]  # fmt: skip
    arguments = [torch.zeros(shape, dtype=getattr(torch, dtype)) for shape in shapes]
    padding = (kernel[0] // 2, kernel[1] // 2)
    geometry = DeformGeometry.of(*arguments, 1, padding, 1, groups, deform_groups)
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)
    out = triton_backend.forward(*arguments, geometry)
    triton_backend.backward(out, *arguments[:4], geometry, [True] * 4)
    assert len(compiled) == 3
    assert all(kernel.metadata.shared <= SHARED_MEMORY for kernel in compiled)
