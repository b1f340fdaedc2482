"""Shapes of deformable convolutions, arguments for them, and how far a result may be from the reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmseg_medical.ops.deform_conv import modulated_deform_conv2d

NAMES = ('input', 'offset', 'mask', 'weight', 'bias')
# Relative to the largest magnitude of the reference.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}
# Offsets in steps of 1/64 are exact in single precision, and so are the positions: the same side of a pixel everywhere.
STEP = 64


class Case(NamedTuple):
    """One geometry; pairs are (vertical, horizontal)."""

    channels: int
    out_channels: int
    kernel: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    deform_groups: int = 1

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the operator."""
        keys = ('stride', 'padding', 'dilation', 'groups', 'deform_groups')
        return {key: getattr(self, key) for key in keys}

    @property
    def out_size(self) -> list[int]:
        """H_out, W_out."""
        axes = zip(self.size, self.padding, self.dilation, self.kernel, self.stride, strict=True)
        return [(s + 2 * p - d * (k - 1) - 1) // step + 1 for s, p, d, k, step in axes]


# With vectors of 8 or 16 floats; fewer lanes leave some 'planar' cases to the other kernels.
DENSE = {
    'dense 3x3': Case(16, 13, (3, 3), (11, 13)),
    'one channel out': Case(17, 1, (3, 3), (7, 11)),
    'point-wise': Case(33, 48, (1, 1), (9, 17), padding=(0, 0)),
    'down-sampling': Case(32, 5, (3, 3), (13, 8), stride=(2, 2), deform_groups=2),
    'odd channels, three offset groups': Case(51, 13, (3, 2), (12, 9), padding=(1, 0), deform_groups=3),
    'dilation beyond the map': Case(16, 16, (3, 3), (5, 7), padding=(32, 32), dilation=(32, 32)),
    'one dense pixel': Case(17, 5, (3, 3), (1, 1)),
}
DEPTHWISE = {
    'depth-wise 5x5': Case(17, 17, (5, 5), (9, 14), padding=(2, 2), groups=17),
    'depth-wise 1x21': Case(33, 33, (1, 21), (3, 19), padding=(0, 10), groups=33),
    'depth-wise, two offset groups': Case(34, 34, (3, 3), (8, 9), stride=(1, 2), groups=34, deform_groups=2),
    'depth-wise 7x7 pixel': Case(16, 16, (7, 7), (1, 1), padding=(3, 3), groups=16),
}
PLANAR = {
    'row, group a channel': Case(6, 6, (1, 3), (5, 19), padding=(0, 1), deform_groups=6),
    'column, group a channel': Case(5, 48, (3, 1), (15, 9), padding=(1, 0), deform_groups=5),
    'few channels': Case(3, 5, (3, 3), (7, 11)),
    'one channel': Case(1, 1, (3, 3), (6, 5)),
    'grouped': Case(8, 4, (3, 3), (6, 6), groups=2, deform_groups=4),
    'wide groups': Case(34, 10, (3, 3), (6, 7), groups=2),
    'deform groups across groups': Case(6, 6, (3, 3), (6, 5), groups=3, deform_groups=2),
    'depth multiplier': Case(3, 9, (3, 3), (6, 5), groups=3),
    'mixed strides and dilations': Case(2, 2, (3, 2), (17, 13), (3, 2), (2, 0), (2, 3)),
    'one row': Case(2, 4, (1, 3), (1, 11), padding=(0, 1), deform_groups=2),
    'one column': Case(2, 4, (3, 1), (11, 1), padding=(1, 0), deform_groups=2),
    'one pixel': Case(2, 2, (3, 3), (1, 1)),
    '1x21': Case(2, 3, (1, 21), (4, 9), padding=(0, 10)),
}
CASES = DENSE | DEPTHWISE | PLANAR


def make_arguments(
    case: Case,
    dtype: torch.dtype = torch.float32,
    *,
    batch: int = 2,
    spread: float = 2.0,
    seed: int = 0,
    grad: bool = True,
) -> list[Tensor]:
    """Input, offset, mask, weight and bias of one dtype, the offsets in steps of 1/64."""
    generator = torch.Generator().manual_seed(seed)
    points = case.deform_groups * case.kernel[0] * case.kernel[1]

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    offset = (draw(batch, 2 * points, *case.out_size) * spread * STEP).round() / STEP
    offset[:, ::3] = offset[:, ::3].round()  # whole pixels, where the derivative jumps
    arguments = [
        draw(batch, case.channels, *case.size),
        offset,
        draw(batch, points, *case.out_size).sigmoid(),
        draw(case.out_channels, case.channels // case.groups, *case.kernel),
        draw(case.out_channels),
    ]
    return [argument.to(dtype).requires_grad_(grad) for argument in arguments]


def gradient_like(out: Tensor) -> Tensor:
    """What flows back into ``out``: dense, of its dtype, always the same."""
    return torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out.dtype)


def run(
    arguments: Sequence[Tensor | None], options: dict[str, Any], grad_output: Tensor | None = None
) -> list[Tensor | None]:
    """The output and the gradients of all arguments, detached."""
    leaves = [None if a is None else a.detach().requires_grad_() for a in arguments]
    out = modulated_deform_conv2d(*leaves, **options)
    grad_output = gradient_like(out) if grad_output is None else grad_output.to(out.dtype)
    gradients = iter(torch.autograd.grad(out, [leaf for leaf in leaves if leaf is not None], grad_output))
    return [out.detach(), *(None if leaf is None else next(gradients) for leaf in leaves)]


def exact(arguments: Sequence[Tensor | None], options: dict[str, Any], grad_output: Tensor) -> list[Tensor | None]:
    """:func:`run` of the reference on the same numbers in double precision."""
    doubles = [None if a is None else a.detach().double().contiguous() for a in arguments]
    return run(doubles, options | dict(backend='torch'), grad_output.double())


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest magnitude of ``expected``; NaN where one of them has it."""
    if got.shape != expected.shape:
        raise AssertionError(f'shapes {tuple(got.shape)} and {tuple(expected.shape)} differ')
    if not got.numel():
        return 0.0
    difference = (got.double() - expected.double()).abs().max()
    largest = expected.double().abs().max()
    return float(difference / largest if largest > 0 else difference)


def expect_close(
    got: Sequence[Tensor | None], expected: Sequence[Tensor | None], tolerances: float | Sequence[float]
) -> None:
    """Compare output and gradients as :func:`run` returns them and name what is wrong."""
    if isinstance(tolerances, float):
        tolerances = [tolerances] * len(got)
    pairs = zip(('output', *NAMES), got, expected, tolerances, strict=True)
    errors = {name: (relative_error(a, b), most) for name, a, b, most in pairs if a is not None and b is not None}
    wrong = {name: error for name, (error, most) in errors.items() if not error <= most}
    assert not wrong, f'relative errors {wrong}'


def expect_equal_reference(
    arguments: Sequence[Tensor | None], options: dict[str, Any], tolerance: float, backend: str = 'numba'
) -> list[Tensor | None]:
    """Compare forward and all gradients of a back end with the reference; return what it gave."""
    got = run(arguments, options | dict(backend=backend))
    expect_close(got, exact(arguments, options, gradient_like(got[0])), tolerance)
    for argument, gradient in zip(arguments, got[1:], strict=True):
        assert argument is None or (gradient.dtype == argument.dtype and gradient.shape == argument.shape)
    assert got[0].dtype == arguments[0].dtype
    return got


def tap_positions(case: Case) -> Tensor:
    """Undisplaced positions, shape (2 G K, H_out, W_out) in the order of the offset's channels."""
    rows, columns = (
        torch.arange(length)[None] * stride - padding + torch.arange(taps)[:, None] * dilation
        for length, stride, padding, taps, dilation in zip(
            case.out_size, case.stride, case.padding, case.kernel, case.dilation, strict=True
        )
    )
    y = rows[:, None, :, None].expand(*case.kernel, *case.out_size)
    x = columns[None, :, None, :].expand(*case.kernel, *case.out_size)
    return torch.stack((y, x), dim=2).reshape(-1, *case.out_size).repeat(case.deform_groups, 1, 1)


def offsets_to(case: Case, y: Sequence[float], x: Sequence[float], batch: int = 2, seed: int = 0) -> Tensor:
    """Offsets that send every sample to a pair drawn from all of ``y`` and ``x``."""
    targets = torch.tensor(list(itertools.product(y, x)), dtype=torch.float64)
    points = case.deform_groups * case.kernel[0] * case.kernel[1]
    shape = (batch, points, *case.out_size)
    chosen = torch.randint(len(targets), shape, generator=torch.Generator().manual_seed(seed))
    target = targets[chosen].permute(0, 1, 4, 2, 3).reshape(batch, 2 * points, *case.out_size)
    return (target - tap_positions(case)).float()


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    'contiguous': lambda t: t.contiguous(),
    'channels last': lambda t: t.contiguous(memory_format=torch.channels_last),
    'transposed': lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),
    'every other': lambda t: torch.stack((t, t), dim=-1).flatten(3)[..., ::2],
    'part of the channels': lambda t: torch.cat((t, t, t), dim=1)[:, t.shape[1] : 2 * t.shape[1]],
    'part of the channels, channels last': lambda t: torch.cat((t, t, t), dim=1).contiguous(
        memory_format=torch.channels_last
    )[:, t.shape[1] : 2 * t.shape[1]],
    'window': lambda t: torch.nn.functional.pad(t, (1, 2, 2, 1))[:, :, 2:-1, 1:-2],
}


def lay_out(tensor: Tensor, layout: str) -> Tensor:
    """The same numbers, laid out otherwise in memory."""
    return LAYOUTS[layout](tensor.detach())


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch, and with it the numba back end, use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
