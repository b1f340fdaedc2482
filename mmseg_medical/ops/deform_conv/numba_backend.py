"""CPU back end: kernels compiled by numba, parallel, without a column matrix.

Which of three ways a convolution takes depends on its groups alone, see :func:`_kind`. The first call for a dtype and
way compiles its kernel, some seconds, and numba keeps it on disk for later processes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_medical.ops.deform_conv.geometry import DeformGeometry, memory_format_of

if TYPE_CHECKING:
    from mmseg_medical.ops.deform_conv.cpu.scratch import Scratch

requirement = 'it needs numba (`pip install numba`)'

# Bytes of one thread's columns in a forward pass, so that they stay in its second-level cache.
_COLUMNS_BYTES = 400_000
# Bytes of columns and their gradients that a backward pass holds at a time, unless more threads are to be kept busy.
_KEPT_BYTES = 1_000_000
# Multiply-accumulates below which another thread costs more than it saves.
_WORK_PER_THREAD = 300_000
# Parts of a depth-wise weight's gradient, whatever the threads, so that its bits do not depend on them.
_PARTS = 64

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]


@cache
def available() -> bool:
    """Whether numba is installed."""
    return find_spec('numba') is not None


def forward(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geometry: DeformGeometry
) -> Tensor:
    """See :func:`mmseg_medical.ops.modulated_deform_conv2d`; the arguments have been checked."""
    return _forward(bias, input, weight, geometry, (offset, mask))


def forward_pack(
    input: Tensor,
    offset_weight: Tensor,
    offset_bias: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: DeformGeometry,
) -> Tensor:
    """See :func:`mmseg_medical.ops.modulated_deform_conv2d_pack`; no map of offsets or masks is ever made."""
    return _forward(bias, input, weight, geometry, branch=(offset_weight, offset_bias))


def backward(
    grad_output: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    geometry: DeformGeometry,
    needed: Sequence[bool],
) -> Gradients:
    """Gradients of input, offset, mask and weight, None where not ``needed``; the same bits for any threads."""
    arguments = (input, offset, mask, weight)
    if grad_output.numel() == 0:
        return tuple(torch.zeros_like(a) if want else None for a, want in zip(arguments, needed, strict=True))  # type: ignore[return-value]
    from mmseg_medical.ops.deform_conv.cpu.scratch import scratch

    ways = {'dense': _dense_backward, 'depthwise': _depthwise_backward, 'planar': _planar_backward}
    with scratch() as memory:
        call = _Call(memory, input, weight, geometry, (_by_image(offset), _by_image(mask)))
        gradients = ways[call.kind](call, grad_output.to(call.dtype), needed)
    wanted = zip(gradients, arguments, needed, strict=True)
    return tuple(g.to(like.dtype) if want and g is not None else None for g, like, want in wanted)  # type: ignore[return-value]


def _forward(bias: Tensor | None, *arguments: Any, **options: Any) -> Tensor:
    from mmseg_medical.ops.deform_conv.cpu.scratch import scratch

    with scratch() as memory:
        call = _Call(memory, *arguments, **options)
        out = call.output()
        if out.numel():
            bias = call.weight.new_zeros(call.sizes.out_channels) if bias is None else bias.to(call.dtype)
            {'dense': _dense, 'depthwise': _depthwise, 'planar': _planar}[call.kind](call, bias, out)
    return out.to(call.input_dtype)


def _kind(channels: int, out_channels: int, groups: int, deform_groups: int, lanes: int) -> str:
    # With channels last, vectors hold the channels of an offset group: too few of them leave lanes empty.
    if 2 * channels // deform_groups < lanes:
        return 'planar'
    if groups == 1:
        return 'dense'
    return 'depthwise' if groups == channels == out_channels else 'planar'


class _Call:
    """Arguments of one call as the kernels take them, in float32 or float64."""

    def __init__(
        self,
        scratch: Scratch,
        input: Tensor,
        weight: Tensor,
        geometry: DeformGeometry,
        maps: tuple[Tensor, Tensor] | None = None,
        branch: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        from mmseg_medical.ops.deform_conv.cpu.fields import fields_size
        from mmseg_medical.ops.deform_conv.cpu.points import Sizes, points_size
        from mmseg_medical.ops.deform_conv.cpu.product import ROWS
        from mmseg_medical.ops.simd import lanes_of

        self.scratch = scratch
        self.input_dtype = input.dtype
        self.dtype = input.dtype if input.dtype == torch.float64 else torch.float32
        self.number = np.float64 if self.dtype == torch.float64 else np.float32
        self.memory_format = memory_format_of(input)
        self.rows = ROWS
        self.lanes = lanes_of(self.dtype.itemsize)
        batch, channels, height, width = input.shape
        self.input, self.weight = input.to(self.dtype), weight.to(self.dtype)
        self.source_kind, self.maps, self.branch = _source(maps, branch, self.dtype)
        self.kind = _kind(channels, weight.shape[0], geometry.groups, geometry.deform_groups, self.lanes)
        length = geometry.out_size[0] * geometry.out_size[1]
        points = geometry.deform_groups * geometry.taps
        spare = (0, 3 * points, 3 * points + channels * geometry.taps)[self.source_kind]
        tile = self._tile(channels * geometry.taps + spare, length)
        self.sizes = Sizes(
            batch=batch,
            channels=channels,
            out_channels=weight.shape[0],
            height=height,
            width=width,
            out_height=geometry.out_size[0],
            out_width=geometry.out_size[1],
            kernel_height=geometry.kernel[0],
            kernel_width=geometry.kernel[1],
            stride_y=geometry.stride[0],
            stride_x=geometry.stride[1],
            padding_y=geometry.padding[0],
            padding_x=geometry.padding[1],
            dilation_y=geometry.dilation[0],
            dilation_x=geometry.dilation[1],
            groups=geometry.groups,
            deform_groups=geometry.deform_groups,
            taps=geometry.taps,
            length=length,
            tile=tile,
            tiles=-(-length // tile),
            offset_image=self.maps[0].stride(0),
            mask_image=self.maps[1].stride(0),
        )
        self.fields_each = fields_size(self.source_kind, channels, geometry.deform_groups, geometry.taps, tile)
        self.points_each = points_size(geometry.deform_groups, geometry.taps, tile)

    def _tile(self, elements: int, length: int) -> int:
        """Positions of a tile whose memory takes ``elements`` a position; never depends on the threads."""
        if self.kind == 'planar':
            # The longer the better, since every channel and tap lies in another page, but enough of them to share.
            unit, most = self.lanes, min(_COLUMNS_BYTES // (elements * self.dtype.itemsize), max(length // 16, 64))
        else:
            unit, most = math.lcm(self.lanes, self.rows), 96
        return min(-(-length // unit) * unit, max(unit, most // unit * unit))

    @property
    def tasks(self) -> int:
        """Tiles of the batch."""
        return self.sizes.batch * self.sizes.tiles

    @property
    def depth(self) -> int:
        """Rows of the column matrix of one group."""
        return self.sizes.channels // self.sizes.groups * self.sizes.taps

    def threads(self, tasks: int) -> int:
        """How many are worth their start for so many tasks."""
        work = self.sizes.batch * self.sizes.length * self.depth * self.sizes.out_channels
        return max(1, min(torch.get_num_threads(), tasks, 1 + work // _WORK_PER_THREAD))

    def empty(self, *shape: int) -> Tensor:
        """For results; NumPy asks the system for huge pages: touching 100 MB anew takes 7 ms instead of 34 ms."""
        return torch.from_numpy(np.empty(shape, self.number))

    def spare(self, elements: int) -> np.ndarray:
        """For what is over with the call."""
        return self.scratch.take(elements, self.number)

    def memory(self, threads: int, elements: int) -> tuple[np.ndarray, int]:
        """Room for each thread and its size, in whole cache lines."""
        each = (self.points_each + self.fields_each + elements + 15) // 16 * 16
        return self.spare(threads * each), each

    def channels_last(self) -> np.ndarray:
        """The input, (N, H, W, C)."""
        return _flat(self.input.permute(0, 2, 3, 1).contiguous())

    def planes(self) -> np.ndarray:
        """The input, (N, C, H, W), with an element to spare where it is one pixel: kernels fetch pairs."""
        planes = self.input.contiguous()
        spare = self.sizes.height * self.sizes.width == 1
        return _flat(F.pad(planes.reshape(-1), (0, 1)) if spare else planes)

    def weight_rows(self) -> np.ndarray:
        """The weight, (C_out, C / groups * K), with as many rows to spare as a block of sums has."""
        return _flat(F.pad(self.weight.reshape(self.sizes.out_channels, self.depth), (0, 0, 0, self.rows)))

    def weight_by_tap(self) -> np.ndarray:
        """A depth-wise weight, (K, C)."""
        return _flat(self.weight.reshape(self.sizes.channels, self.sizes.taps).t().contiguous())

    def rounds(self, elements: int) -> tuple[int, int]:
        """Tiles of a round of a backward pass that keeps ``elements`` a position; the counters of all its phases."""
        from mmseg_medical.ops.deform_conv.cpu.phases import counters_of

        fit = _KEPT_BYTES // (self.dtype.itemsize * elements * self.sizes.tile)
        slots = max(1, min(self.tasks, max(fit, 2 * torch.get_num_threads())))
        return slots, counters_of(2 * -(-self.tasks // slots))

    def source(self) -> Any:
        """Where the forward kernels take offsets and masks from."""
        from mmseg_medical.ops.deform_conv.cpu.fields import BRANCH, Source

        offset, mask = self.maps
        nothing = np.empty(0, self.number)
        planes = weight = bias = nothing
        if self.source_kind == BRANCH:
            planes = self.planes()
            rows = self.branch[0].reshape(self.branch[0].shape[0], -1)
            weight, bias = _flat(F.pad(rows, (0, 0, 0, self.rows))), _flat(self.branch[1])
        return Source(
            self.source_kind, _flat(offset), _flat(mask), offset.stride(-1), mask.stride(-1), planes, weight, bias,
            self.fields_each,
        )  # fmt: skip

    def output(self) -> Tensor:
        """An empty map in the memory format of the input."""
        sizes = self.sizes
        batch, channels, height, width = sizes.batch, sizes.out_channels, sizes.out_height, sizes.out_width
        if self.memory_format == torch.channels_last:
            return self.empty(batch, height, width, channels).permute(0, 3, 1, 2)
        return self.empty(batch, channels, height, width)

    def panels(self, pack: Any, rows: int, columns: int) -> np.ndarray:
        """The weight packed by one of the kernels for it."""
        from mmseg_medical.ops import threads

        vectors = -(-columns // self.lanes)
        panels = self.spare(vectors * rows * self.lanes)
        threads.run(pack, self.threads(vectors), _flat(self.weight.contiguous()), panels, self.sizes)
        return panels


def _source(
    maps: tuple[Tensor, Tensor] | None, branch: tuple[Tensor, Tensor] | None, dtype: torch.dtype
) -> tuple[int, tuple[Tensor, Tensor], tuple[Tensor, ...]]:
    """Kind of the source of offsets and masks, and its maps or branch in the kernels' dtype."""
    from mmseg_medical.ops.deform_conv.cpu.fields import BRANCH, CHANNELS_LAST, PLANES

    if maps is None:
        nothing = torch.empty(0, 0, dtype=dtype)
        return BRANCH, (nothing, nothing), tuple(part.detach().to(dtype) for part in branch or ())
    offset, mask = (part.detach().to(dtype) for part in maps)
    if _channels_adjacent(offset) and _channels_adjacent(mask):
        return CHANNELS_LAST, (offset, mask), ()
    return PLANES, (_by_image(offset), _by_image(mask)), ()


def _channels_adjacent(tensor: Tensor) -> bool:
    # A part of an offset branch's channels is not contiguous in any memory format.
    _, channels, height, width = tensor.shape
    _, by_channel, by_row, by_column = tensor.stride()
    return (
        min(channels, height, width) > 1 and by_channel == 1 and by_column >= channels and by_row == width * by_column
    )


def _by_image(tensor: Tensor) -> Tensor:
    # Thirds of an offset branch's output are contiguous but for the step from image to image.
    return tensor if tensor.numel() and tensor[0].is_contiguous() else tensor.contiguous()


def _flat(tensor: Tensor) -> np.ndarray:
    """The memory from a tensor's first to its last element."""
    tensor = tensor.detach()
    span = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.as_strided((span if tensor.numel() else 0,), (1,)).numpy()


def _map(tensor: Tensor) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A map as it lies in memory, and the steps from one image, channel and position to the next."""
    _, channels, height, width = tensor.shape
    if memory_format_of(tensor) == torch.channels_last:
        return _flat(tensor.permute(0, 2, 3, 1)), (channels * height * width, 1, channels)
    return _flat(tensor.contiguous()), (channels * height * width, height * width, 1)


def _dense(call: _Call, bias: Tensor, out: Tensor) -> None:
    from mmseg_medical.ops import threads
    from mmseg_medical.ops.deform_conv.cpu import dense, packing

    panels = call.panels(packing.pack_by_output, call.depth, call.sizes.out_channels)
    row = len(panels) // call.depth
    count = call.threads(call.tasks)
    memory, each = call.memory(count, (call.sizes.tile + call.rows) * (call.depth + row))
    padded_bias = _flat(F.pad(bias, (0, row - len(bias))))
    arguments = call.channels_last(), call.source(), panels, padded_bias, *_map(out), call.sizes
    threads.run(dense.forward, count, memory, each, *arguments)


def _depthwise(call: _Call, bias: Tensor, out: Tensor) -> None:
    from mmseg_medical.ops import threads
    from mmseg_medical.ops.deform_conv.cpu import depthwise

    count = call.threads(call.tasks)
    memory, each = call.memory(count, (call.sizes.tile + 1) * call.sizes.channels)
    arguments = call.channels_last(), call.source(), call.weight_by_tap(), _flat(bias), *_map(out), call.sizes
    threads.run(depthwise.forward, count, memory, each, *arguments)


def _planar(call: _Call, bias: Tensor, out: Tensor) -> None:
    from mmseg_medical.ops import threads
    from mmseg_medical.ops.deform_conv.cpu import planar

    sizes = call.sizes
    count = call.threads(call.tasks)
    rows = sizes.channels * sizes.taps + sizes.out_channels + call.rows
    memory, each = call.memory(count, rows * sizes.tile)
    arguments = call.planes(), call.source(), call.weight_rows(), _flat(bias), *_map(out), sizes
    threads.run(planar.forward, count, memory, each, *arguments)


def _dense_backward(call: _Call, grad_output: Tensor, needed: Sequence[bool]) -> Gradients:
    from mmseg_medical.ops import threads
    from mmseg_medical.ops.deform_conv.cpu import dense, packing

    sizes, lanes = call.sizes, call.lanes
    grad_input = torch.zeros(sizes.batch, sizes.height, sizes.width, sizes.channels, dtype=call.dtype)
    grad_offset, grad_mask = call.empty(*call.maps[0].shape), call.empty(*call.maps[1].shape)
    depth, out_row = -(-call.depth // lanes) * lanes, -(-sizes.out_channels // lanes) * lanes
    block = 2 * call.rows
    packed = call.spare((sizes.out_channels + block) * depth)
    panels = call.panels(packing.pack_by_input, sizes.out_channels, call.depth)
    slots, counters = call.rounds(2 * depth + out_row + call.points_each // sizes.tile)
    rows = slots * sizes.tile + call.rows
    count = call.threads(call.tasks)
    threads.run(
        dense.backward, count, slots, call.channels_last(), _flat(call.maps[0]), _flat(call.maps[1]), panels,
        *_map(grad_output), call.spare(slots * call.points_each), call.points_each,
        call.spare(rows * depth), call.spare(rows * depth), call.spare(rows * out_row),
        np.empty(2 * slots, np.int64), _flat(grad_offset), _flat(grad_mask), _flat(grad_input),
        count if needed[0] else 0, packed, block if needed[3] else 0, sizes, counters=counters,
    )  # fmt: skip
    grad_weight = call.empty(*call.weight.shape)
    if needed[3]:
        count = call.threads(sizes.out_channels)
        threads.run(packing.unpack_gradient, count, packed, depth, _flat(grad_weight), sizes)
    grad_input = grad_input.permute(0, 3, 1, 2).contiguous(memory_format=call.memory_format)
    return grad_input, grad_offset, grad_mask, grad_weight


def _depthwise_backward(call: _Call, grad_output: Tensor, needed: Sequence[bool]) -> Gradients:
    from mmseg_medical.ops import threads
    from mmseg_medical.ops.deform_conv.cpu import depthwise

    sizes = call.sizes
    grad_offset, grad_mask = call.empty(*call.maps[0].shape), call.empty(*call.maps[1].shape)
    chunk = -(-call.tasks // _PARTS)
    parts = -(-call.tasks // chunk) if chunk else 0
    grad_weight = torch.zeros(parts, sizes.taps, sizes.channels, dtype=call.dtype)
    extents = np.empty(2 * call.tasks, np.int64)
    count = call.threads(parts)
    memory, each = call.memory(count, (sizes.tile + 2) * sizes.channels)
    weight = call.weight_by_tap()
    offset, mask, (grad_map, steps) = _flat(call.maps[0]), _flat(call.maps[1]), _map(grad_output)
    threads.run(
        depthwise.columns_backward, count, memory, each, call.channels_last(), offset, mask, weight, grad_map, steps,
        _flat(grad_offset), _flat(grad_mask), _flat(grad_weight), extents, chunk, sizes,
    )  # fmt: skip
    grad_input = None
    if needed[0]:
        grad_input = torch.zeros(sizes.batch, sizes.height, sizes.width, sizes.channels, dtype=call.dtype)
        bands = 2 * count if count > 1 else 1
        threads.run(
            depthwise.input_backward, count, memory, each, offset, mask, weight, grad_map, steps, extents,
            _flat(grad_input), bands, sizes,
        )  # fmt: skip
        grad_input = grad_input.permute(0, 3, 1, 2).contiguous(memory_format=call.memory_format)
    return grad_input, grad_offset, grad_mask, grad_weight.sum(0).t().contiguous().reshape(call.weight.shape)


def _planar_backward(call: _Call, grad_output: Tensor, needed: Sequence[bool]) -> Gradients:
    from mmseg_medical.ops import threads
    from mmseg_medical.ops.deform_conv.cpu import planar

    sizes = call.sizes
    grad_input = torch.zeros(call.input.shape, dtype=call.dtype)
    grad_offset, grad_mask = call.empty(*call.maps[0].shape), call.empty(*call.maps[1].shape)
    grad_weight = torch.zeros(call.weight.shape, dtype=call.dtype)
    depth = sizes.channels * sizes.taps
    slots, counters = call.rounds(2 * depth + sizes.out_channels)
    positions = slots * sizes.tile
    count = call.threads(call.tasks)
    memory, each = call.memory(count, (call.depth + call.rows) * sizes.tile)
    threads.run(
        planar.backward, count, memory, each, slots, call.planes(), _flat(call.maps[0]), _flat(call.maps[1]),
        call.weight_rows(), _flat(grad_output.contiguous()), call.spare(positions * depth),
        call.spare(positions * depth), call.spare(positions * sizes.out_channels), _flat(grad_offset),
        _flat(grad_mask), _flat(grad_input), needed[0], _flat(grad_weight), needed[3], sizes, counters=counters,
    )  # fmt: skip
    return grad_input.contiguous(memory_format=call.memory_format), grad_offset, grad_mask, grad_weight
