"""Compile the CUDA back end's kernels without a GPU and print what each takes; a process of its own runs this.

Kernels are decorated for the compiler or for Triton's interpreter when they are imported, once for a process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mmseg_medical.ops.deform_conv import triton_backend
from mmseg_medical.ops.deform_conv.geometry import DeformGeometry

LAUNCHED = ('dense_forward', 'depthwise_forward', 'points_backward', 'weight_backward')
TYPES = {
    torch.float16: '*fp16', torch.bfloat16: '*bf16', torch.float32: '*fp32', torch.float64: '*fp64', torch.int64: '*i64'
}  # fmt: skip

# channels, out channels, kernel, size, groups, deformable groups
CASES = {
    'dense': (64, 64, (3, 3), (32, 32), 1, 1),
    'depth-wise': (32, 32, (5, 5), (24, 36), 32, 1),
    'row, group a channel': (32, 32, (1, 3), (24, 36), 1, 32),
    'one row, odd channels': (9, 6, (1, 3), (1, 11), 3, 3),
}
MODES = (('float16', False), ('bfloat16', True), ('float32', False), ('float32', True))  # dtype, deterministic


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


def label_of(case: str, dtype: str, deterministic: bool) -> str:
    """The key of a case's kernels in what is printed."""
    return f'{case}, {dtype}{", deterministic" * deterministic}'


def compile_case(case: str, dtype: str, deterministic: bool, compiled: list[Any]) -> list[int]:
    """Bytes of shared memory of the kernels that one pass forward and backward launches."""
    compiled.clear()
    channels, out_channels, kernel, size, groups, deform_groups = CASES[case]
    points = deform_groups * kernel[0] * kernel[1]
    shapes = [
        (2, channels, *size), (2, 2 * points, *size), (2, points, *size),
        (out_channels, channels // groups, *kernel), (out_channels,),
    ]  # fmt: skip
    arguments = [torch.zeros(shape, dtype=getattr(torch, dtype)) for shape in shapes]
    padding = (kernel[0] // 2, kernel[1] // 2)
    geometry = DeformGeometry.of(*arguments, 1, padding, 1, groups, deform_groups)
    torch.use_deterministic_algorithms(deterministic)
    out = triton_backend.forward(*arguments, geometry)
    triton_backend.backward(out, *arguments[:4], geometry, [True] * 4)
    return [kernel.metadata.shared for kernel in compiled]


def main() -> None:
    from mmseg_medical.ops.deform_conv import triton_kernels

    compiled: list[Any] = []
    for name in LAUNCHED:
        setattr(triton_kernels, name, CompileInstead(getattr(triton_kernels, name), compiled))
    triton_backend._expect_cuda = lambda tensor: None
    found = {label_of(case, *mode): compile_case(case, *mode, compiled) for case in CASES for mode in MODES}
    sys.stdout.write(json.dumps(found))


if __name__ == '__main__':
    main()
