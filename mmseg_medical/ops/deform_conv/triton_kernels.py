"""Triton kernels of modulated deformable convolution: one launch for the whole batch, no column matrix.

A program owns a block of P output pixels of one image. Tiles are (P, C): pixels by channels. All channels of a tile
share one deformable group (``SHARED``), so that positions, corner weights and modulation are (P, 1) and computed once a
tap; or each channel has its own and they are (P, C). Adding a (1, C) row of channels broadcasts both to the tile.

Layouts: input, output gradient and input gradient lie channels last where ``CHANNELS_LAST``, else channels first;
offsets and masks channels first; weights (K, C, C_out / groups). A span is the run of channels that blocks of
``BLOCK_C`` channels cut up: within one convolution group and, where ``SHARED``, within one deformable group.
"""

# Triton gives the arguments their types at a launch.
# mypy: disable-error-code="no-untyped-def"

import triton
import triton.language as tl


@triton.jit
def _lanes(COUNT: tl.constexpr, WIDE: tl.constexpr):
    """0 to COUNT - 1, in 64 bits where an image has too many elements for addresses of 32."""
    lanes = tl.arange(0, COUNT)
    if WIDE:
        lanes = lanes.to(tl.int64)
    return lanes


@triton.jit
def _wide(number, WIDE: tl.constexpr):
    return number.to(tl.int64) if WIDE else number


@triton.jit
def _place(program, tiles, length, BLOCK_P: tl.constexpr, WIDE: tl.constexpr):
    """Image of a program's pixel block, its output pixels (P, 1) and which of them exist."""
    image = (program // tiles).to(tl.int64)
    pixel = (program % tiles) * BLOCK_P + _lanes(BLOCK_P, WIDE)[:, None]
    return image, pixel, pixel < length


@triton.jit
def _locate(
    offset, mask, point, tap, pixel, inside, height, width, out_width, length, stride_y, stride_x, padding_y, padding_x,
    dilation_y, dilation_x, KERNEL_WIDTH: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Top left neighbour of a displaced tap, distance from it, modulation, and whether the sample counts.

    ``point`` is the row of the mask, broadcast against ``pixel``. Comparisons with NaN are false: it does not count.
    """
    dy = tl.load(offset + 2 * point * length + pixel, mask=inside, other=0.0).to(ACC)
    dx = tl.load(offset + (2 * point + 1) * length + pixel, mask=inside, other=0.0).to(ACC)
    y = (pixel // out_width * stride_y - padding_y + tap // KERNEL_WIDTH * dilation_y).to(ACC) + dy
    x = (pixel % out_width * stride_x - padding_x + tap % KERNEL_WIDTH * dilation_x).to(ACC) + dx
    counts = inside & (y > -1) & (y < height) & (x > -1) & (x < width)
    # A huge or NaN position must not reach the conversion to an integer.
    y = tl.where(counts, y, 0.0)
    x = tl.where(counts, x, 0.0)
    top = tl.floor(y)
    left = tl.floor(x)
    modulation = tl.load(mask + point * length + pixel, mask=counts, other=0.0).to(ACC)
    return top.to(tl.int32), left.to(tl.int32), y - top, x - left, modulation, counts


@triton.jit
def _corners(top, left, counts, height, width, CHANNELS: tl.constexpr, CHANNELS_LAST: tl.constexpr, WIDE: tl.constexpr):
    """Address of the top left neighbour, steps down and to the right, and which neighbours are on the map."""
    step: tl.constexpr = CHANNELS if CHANNELS_LAST else 1
    row = top.to(tl.int64) if WIDE else top
    at = (row * width + left) * step
    upper = counts & (top >= 0)
    lower = counts & (top < height - 1)
    inner = left >= 0
    outer = left < width - 1
    return at, width * step, step, upper & inner, upper & outer, lower & inner, lower & outer


@triton.jit
def _read(source, at, down, right, a, b, c, d, exists, ACC: tl.constexpr):
    """The four neighbours of a tile, zero outside the map."""
    top_left = tl.load(source + at, mask=a & exists, other=0.0).to(ACC)
    top_right = tl.load(source + at + right, mask=b & exists, other=0.0).to(ACC)
    bottom_left = tl.load(source + at + down, mask=c & exists, other=0.0).to(ACC)
    bottom_right = tl.load(source + at + down + right, mask=d & exists, other=0.0).to(ACC)
    return top_left, top_right, bottom_left, bottom_right


@triton.jit
def _sample(
    source, offset, mask, point, tap, pixel, inside, channel, exists, height, width, out_width, length, stride_y,
    stride_x, padding_y, padding_x, dilation_y, dilation_x, CHANNELS: tl.constexpr, KERNEL_WIDTH: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Modulated samples (P, C) of one tap: an entry of the column matrix that is never stored."""
    top, left, fy, fx, modulation, counts = _locate(
        offset, mask, point, tap, pixel, inside, height, width, out_width, length, stride_y, stride_x, padding_y,
        padding_x, dilation_y, dilation_x, KERNEL_WIDTH, ACC,
    )  # fmt: skip
    at, down, right, a, b, c, d = _corners(top, left, counts, height, width, CHANNELS, CHANNELS_LAST, WIDE)
    v00, v01, v10, v11 = _read(source, at + channel, down, right, a, b, c, d, exists, ACC)
    upper = (1 - fy) * modulation
    lower = fy * modulation
    return v00 * (upper * (1 - fx)) + v01 * (upper * fx) + v10 * (lower * (1 - fx)) + v11 * (lower * fx)


@triton.jit
def _multiply(left, right, total, PRECISION: tl.constexpr, DOT: tl.constexpr, ACC: tl.constexpr):
    return tl.dot(left.to(DOT), right.to(DOT), total, input_precision=PRECISION, out_dtype=ACC)


@triton.jit
def dense_forward(
    source, offset, mask, weight, bias, out, height, width, step, out_width, length, tiles, stride_y, stride_x,
    padding_y, padding_x, dilation_y, dilation_x, CHANNELS: tl.constexpr, OUT_CHANNELS: tl.constexpr,
    GROUPS: tl.constexpr, DEFORM_GROUPS: tl.constexpr, TAPS: tl.constexpr, KERNEL_WIDTH: tl.constexpr,
    SPAN: tl.constexpr, SHARED: tl.constexpr, CHANNELS_LAST: tl.constexpr, OUT_LAST: tl.constexpr,
    HAS_BIAS: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, DOT: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """A program: one pixel block by ``BLOCK_O`` output channels of one convolution group."""
    group_in: tl.constexpr = CHANNELS // GROUPS
    group_out: tl.constexpr = OUT_CHANNELS // GROUPS
    out_blocks: tl.constexpr = (group_out + BLOCK_O - 1) // BLOCK_O
    # The same pixels' blocks run side by side, so that they find the neighbours in the cache.
    program = tl.program_id(0)
    block = program % (GROUPS * out_blocks)
    image, pixel, inside = _place(program // (GROUPS * out_blocks), tiles, length, BLOCK_P, WIDE)
    group = _wide(block // out_blocks, WIDE)
    row = block % out_blocks * BLOCK_O + _lanes(BLOCK_O, WIDE)[None, :]
    source += image * CHANNELS * height * width
    offset += image * (2 * DEFORM_GROUPS * TAPS) * length
    mask += image * (DEFORM_GROUPS * TAPS) * length
    lane = _lanes(BLOCK_C, WIDE)

    total = tl.zeros((BLOCK_P, BLOCK_O), dtype=ACC)
    # Where channels have offsets of their own, positions belong to a block of them; else to a whole span.
    stretch: tl.constexpr = SPAN if SHARED else BLOCK_C
    for begin in range(0, group_in, stretch):
        for tap in range(TAPS):
            if SHARED:
                point = (group * group_in + begin) // (CHANNELS // DEFORM_GROUPS) * TAPS + tap
                placed = inside
            else:
                point = ((group * group_in + begin + lane) * TAPS + tap)[None, :]
                placed = inside & (begin + lane < group_in)[None, :]
            top, left, fy, fx, modulation, counts = _locate(
                offset, mask, point, tap, pixel, placed, height, width, out_width, length, stride_y, stride_x,
                padding_y, padding_x, dilation_y, dilation_x, KERNEL_WIDTH, ACC,
            )  # fmt: skip
            at, down, right, a, b, c, d = _corners(top, left, counts, height, width, CHANNELS, CHANNELS_LAST, WIDE)
            upper = (1 - fy) * modulation
            lower = fy * modulation
            for first in range(begin, begin + stretch, BLOCK_C):
                local = first + lane
                exists = (local < begin + stretch) & (local < group_in)
                channel = group * group_in + local
                v00, v01, v10, v11 = _read(
                    source, at + channel[None, :] * step, down, right, a, b, c, d, exists[None, :], ACC
                )
                column = v00 * (upper * (1 - fx)) + v01 * (upper * fx) + v10 * (lower * (1 - fx)) + v11 * (lower * fx)
                kernel = tl.load(
                    weight + (tap * CHANNELS + channel)[:, None] * group_out + row,
                    mask=exists[:, None] & (row < group_out),
                    other=0.0,
                )
                total = _multiply(column.to(kernel.dtype), kernel, total, PRECISION, DOT, ACC)

    if HAS_BIAS:
        total += tl.load(bias + group * group_out + row, mask=row < group_out, other=0.0).to(ACC)
    out += image * OUT_CHANNELS * length
    target = group * group_out + row
    target = pixel * OUT_CHANNELS + target if OUT_LAST else target * length + pixel
    tl.store(out + target, total.to(out.dtype.element_ty), mask=inside & (row < group_out))


@triton.jit
def depthwise_forward(
    source, offset, mask, weight, bias, out, height, width, step, out_width, length, tiles, stride_y, stride_x,
    padding_y, padding_x, dilation_y, dilation_x, CHANNELS: tl.constexpr, DEFORM_GROUPS: tl.constexpr,
    TAPS: tl.constexpr, KERNEL_WIDTH: tl.constexpr, SPAN: tl.constexpr, SHARED: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, OUT_LAST: tl.constexpr, HAS_BIAS: tl.constexpr, ACC: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A program: one pixel block by ``BLOCK_C`` channels; no matrix product."""
    span_blocks: tl.constexpr = (SPAN + BLOCK_C - 1) // BLOCK_C
    blocks: tl.constexpr = CHANNELS // SPAN * span_blocks
    program = tl.program_id(0)
    block = _wide(program % blocks, WIDE)
    image, pixel, inside = _place(program // blocks, tiles, length, BLOCK_P, WIDE)
    local = block % span_blocks * BLOCK_C + _lanes(BLOCK_C, WIDE)[None, :]
    channel = block // span_blocks * SPAN + local
    exists = local < SPAN
    source += image * CHANNELS * height * width
    offset += image * (2 * DEFORM_GROUPS * TAPS) * length
    mask += image * (DEFORM_GROUPS * TAPS) * length

    total = tl.zeros((BLOCK_P, BLOCK_C), dtype=ACC)
    for tap in range(TAPS):
        if SHARED:
            point = block // span_blocks * TAPS + tap
            placed = inside
        else:
            point = channel * TAPS + tap
            placed = inside & exists
        column = _sample(
            source, offset, mask, point, tap, pixel, placed, channel * step, exists, height, width, out_width, length,
            stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, CHANNELS, KERNEL_WIDTH, CHANNELS_LAST,
            WIDE, ACC,
        )  # fmt: skip
        total += column * tl.load(weight + tap * CHANNELS + channel, mask=exists, other=0.0).to(ACC)

    if HAS_BIAS:
        total += tl.load(bias + channel, mask=exists, other=0.0).to(ACC)
    out += image * CHANNELS * length
    target = pixel * CHANNELS + channel if OUT_LAST else channel * length + pixel
    tl.store(out + target, total.to(out.dtype.element_ty), mask=inside & exists)


@triton.jit
def _scatter(target, value, keep, scale, FIXED_POINT: tl.constexpr):
    # Integers add up to the same bits in any order.
    if FIXED_POINT:
        tl.atomic_add(target, (value.to(tl.float64) * scale).to(tl.int64), mask=keep, sem='relaxed')
    else:
        tl.atomic_add(target, value, mask=keep, sem='relaxed')


@triton.jit
def points_backward(
    grad_out, source, offset, mask, weight, grad_source, grad_offset, grad_mask, scale, height, width, step, out_width,
    length, tiles, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, CHANNELS: tl.constexpr,
    OUT_CHANNELS: tl.constexpr, GROUPS: tl.constexpr, DEFORM_GROUPS: tl.constexpr, TAPS: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr, SPAN: tl.constexpr, SHARED: tl.constexpr, DEPTHWISE: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, NEED_SOURCE: tl.constexpr, NEED_POINTS: tl.constexpr, FIXED_POINT: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr, DOT: tl.constexpr, WIDE: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr, TAPS_EACH: tl.constexpr,
):  # fmt: skip
    """Gradients of offset, mask and input.

    A program owns one pixel block and ``TAPS_EACH`` taps of one deformable group (``SHARED``), whose channels it sums
    in registers, or of ``BLOCK_C`` channels with offsets of their own. Only the input's gradient needs atomics.
    """
    group_in: tl.constexpr = CHANNELS // GROUPS
    group_out: tl.constexpr = OUT_CHANNELS // GROUPS
    span_blocks: tl.constexpr = (SPAN + BLOCK_C - 1) // BLOCK_C
    owners: tl.constexpr = DEFORM_GROUPS if SHARED else CHANNELS // SPAN * span_blocks
    parts: tl.constexpr = (TAPS + TAPS_EACH - 1) // TAPS_EACH
    program = tl.program_id(0)
    owner = _wide(program % owners, WIDE)
    first_tap = program // owners % parts * TAPS_EACH
    image, pixel, inside = _place(program // (owners * parts), tiles, length, BLOCK_P, WIDE)
    grad_out += image * OUT_CHANNELS * length
    source += image * CHANNELS * height * width
    grad_source += image * CHANNELS * height * width
    offset += image * (2 * DEFORM_GROUPS * TAPS) * length
    grad_offset += image * (2 * DEFORM_GROUPS * TAPS) * length
    mask += image * (DEFORM_GROUPS * TAPS) * length
    grad_mask += image * (DEFORM_GROUPS * TAPS) * length
    lane = _lanes(BLOCK_C, WIDE)
    factor = tl.load(scale) if FIXED_POINT else 1.0

    reach: tl.constexpr = CHANNELS // DEFORM_GROUPS if SHARED else BLOCK_C
    stretch: tl.constexpr = SPAN if SHARED else BLOCK_C
    if SHARED:
        begin = owner * reach
        end = begin + reach
    else:
        begin = owner // span_blocks * SPAN + owner % span_blocks * BLOCK_C
        end = (owner // span_blocks + 1) * SPAN

    for tap in range(first_tap, tl.minimum(first_tap + TAPS_EACH, TAPS)):
        if SHARED:
            point = owner * TAPS + tap
            placed = inside
            sum_y = tl.zeros((BLOCK_P, 1), dtype=ACC)
            sum_x = tl.zeros((BLOCK_P, 1), dtype=ACC)
            sum_mask = tl.zeros((BLOCK_P, 1), dtype=ACC)
        else:
            point = ((begin + lane) * TAPS + tap)[None, :]
            placed = inside & (begin + lane < end)[None, :]
            sum_y = tl.zeros((BLOCK_P, BLOCK_C), dtype=ACC)
            sum_x = tl.zeros((BLOCK_P, BLOCK_C), dtype=ACC)
            sum_mask = tl.zeros((BLOCK_P, BLOCK_C), dtype=ACC)
        top, left, fy, fx, modulation, counts = _locate(
            offset, mask, point, tap, pixel, placed, height, width, out_width, length, stride_y, stride_x, padding_y,
            padding_x, dilation_y, dilation_x, KERNEL_WIDTH, ACC,
        )  # fmt: skip
        at, down, right, a, b, c, d = _corners(top, left, counts, height, width, CHANNELS, CHANNELS_LAST, WIDE)

        for span in range(begin, begin + reach, stretch):
            for first in range(span, span + stretch, BLOCK_C):
                channel = first + lane
                exists = (channel < span + stretch) & (channel < end)
                if DEPTHWISE:
                    target = channel[None, :]
                    target = pixel * OUT_CHANNELS + target if CHANNELS_LAST else target * length + pixel
                    flow = tl.load(grad_out + target, mask=inside & exists[None, :], other=0.0).to(ACC)
                    kernel = tl.load(weight + tap * CHANNELS + channel, mask=exists, other=0.0).to(ACC)
                    grad_column = flow * kernel[None, :]
                else:
                    grad_column = tl.zeros((BLOCK_P, BLOCK_C), dtype=ACC)
                    group = span // group_in
                    for first_row in range(0, group_out, BLOCK_O):
                        row = first_row + _lanes(BLOCK_O, WIDE)[None, :]
                        target = group * group_out + row
                        target = pixel * OUT_CHANNELS + target if CHANNELS_LAST else target * length + pixel
                        flow = tl.load(grad_out + target, mask=inside & (row < group_out), other=0.0)
                        kernel = tl.load(
                            weight + (tap * CHANNELS + channel)[:, None] * group_out + row,
                            mask=exists[:, None] & (row < group_out),
                            other=0.0,
                        )
                        grad_column = _multiply(flow, tl.trans(kernel), grad_column, PRECISION, DOT, ACC)

                here = at + channel[None, :] * step
                if NEED_POINTS:
                    v00, v01, v10, v11 = _read(source, here, down, right, a, b, c, d, exists[None, :], ACC)
                    slope_y = (1 - fx) * (v10 - v00) + fx * (v11 - v01)
                    slope_x = (1 - fy) * (v01 - v00) + fy * (v11 - v10)
                    value = (1 - fy) * ((1 - fx) * v00 + fx * v01) + fy * ((1 - fx) * v10 + fx * v11)
                    if SHARED:
                        sum_y += tl.sum(grad_column * slope_y, axis=1, keep_dims=True)
                        sum_x += tl.sum(grad_column * slope_x, axis=1, keep_dims=True)
                        sum_mask += tl.sum(grad_column * value, axis=1, keep_dims=True)
                    else:
                        sum_y = grad_column * slope_y
                        sum_x = grad_column * slope_x
                        sum_mask = grad_column * value
                if NEED_SOURCE:
                    grad_sample = grad_column * modulation
                    found = exists[None, :]
                    there = grad_source + here
                    _scatter(there, grad_sample * ((1 - fy) * (1 - fx)), a & found, factor, FIXED_POINT)
                    _scatter(there + right, grad_sample * ((1 - fy) * fx), b & found, factor, FIXED_POINT)
                    _scatter(there + down, grad_sample * (fy * (1 - fx)), c & found, factor, FIXED_POINT)
                    _scatter(there + down + right, grad_sample * (fy * fx), d & found, factor, FIXED_POINT)

        if NEED_POINTS:
            # A sample that does not count has no gradient, not even that of an infinite one.
            sum_y = tl.where(counts, sum_y * modulation, 0.0).to(grad_offset.dtype.element_ty)
            sum_x = tl.where(counts, sum_x * modulation, 0.0).to(grad_offset.dtype.element_ty)
            sum_mask = tl.where(counts, sum_mask, 0.0).to(grad_mask.dtype.element_ty)
            tl.store(grad_offset + 2 * point * length + pixel, sum_y, mask=placed)
            tl.store(grad_offset + (2 * point + 1) * length + pixel, sum_x, mask=placed)
            tl.store(grad_mask + point * length + pixel, sum_mask, mask=placed)


@triton.jit
def weight_backward(
    grad_out, source, offset, mask, partial, height, width, step, out_width, length, tiles, all_tiles, tiles_each,
    stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, CHANNELS: tl.constexpr,
    OUT_CHANNELS: tl.constexpr, GROUPS: tl.constexpr, DEFORM_GROUPS: tl.constexpr, TAPS: tl.constexpr,
    KERNEL_WIDTH: tl.constexpr, SPAN: tl.constexpr, SHARED: tl.constexpr, DEPTHWISE: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, DOT: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """Gradient of the weight, summed over ``tiles_each`` pixel blocks; ``partial`` is (parts, K, C, C_out / groups).

    A program owns one part, one tap, ``BLOCK_C`` channels and ``BLOCK_O`` output channels. It samples again, once for
    each block of output channels: cheaper than a column matrix.
    """
    group_in: tl.constexpr = CHANNELS // GROUPS
    group_out: tl.constexpr = OUT_CHANNELS // GROUPS
    span_blocks: tl.constexpr = (SPAN + BLOCK_C - 1) // BLOCK_C
    out_blocks: tl.constexpr = 1 if DEPTHWISE else (group_out + BLOCK_O - 1) // BLOCK_O
    blocks: tl.constexpr = CHANNELS // SPAN * span_blocks
    program = tl.program_id(0)
    out_block = program % out_blocks
    block = _wide(program // out_blocks % blocks, WIDE)
    tap = program // (out_blocks * blocks) % TAPS
    part = program // (out_blocks * blocks * TAPS)
    begin = block // span_blocks * SPAN
    local = block % span_blocks * BLOCK_C + _lanes(BLOCK_C, WIDE)
    exists = local < SPAN
    channel = begin + local
    point = begin // (CHANNELS // DEFORM_GROUPS) * TAPS + tap if SHARED else (channel * TAPS + tap)[None, :]
    row = out_block * BLOCK_O + _lanes(BLOCK_O, WIDE)[None, :]
    group = begin // group_in

    total = tl.zeros((BLOCK_P, BLOCK_C), dtype=ACC) if DEPTHWISE else tl.zeros((BLOCK_C, BLOCK_O), dtype=ACC)
    for tile in range(part * tiles_each, tl.minimum((part + 1) * tiles_each, all_tiles)):
        image, pixel, inside = _place(tile, tiles, length, BLOCK_P, WIDE)
        placed = inside if SHARED else inside & exists[None, :]
        column = _sample(
            source + image * CHANNELS * height * width, offset + image * (2 * DEFORM_GROUPS * TAPS) * length,
            mask + image * (DEFORM_GROUPS * TAPS) * length, point, tap, pixel, placed, channel[None, :] * step,
            exists[None, :], height, width, out_width, length, stride_y, stride_x, padding_y, padding_x, dilation_y,
            dilation_x, CHANNELS, KERNEL_WIDTH, CHANNELS_LAST, WIDE, ACC,
        )  # fmt: skip
        flows = grad_out + image * OUT_CHANNELS * length
        if DEPTHWISE:
            target = channel[None, :]
            target = pixel * OUT_CHANNELS + target if CHANNELS_LAST else target * length + pixel
            total += column * tl.load(flows + target, mask=inside & exists[None, :], other=0.0).to(ACC)
        else:
            target = group * group_out + row
            target = pixel * OUT_CHANNELS + target if CHANNELS_LAST else target * length + pixel
            flow = tl.load(flows + target, mask=inside & (row < group_out), other=0.0)
            total = _multiply(tl.trans(column.to(flow.dtype)), flow, total, PRECISION, DOT, ACC)

    if DEPTHWISE:
        tl.store(partial + (part * TAPS + tap) * CHANNELS + channel, tl.sum(total, axis=0), mask=exists)
    else:
        line = ((part * TAPS + tap).to(tl.int64) * CHANNELS + channel)[:, None]
        tl.store(partial + line * group_out + row, total, mask=exists[:, None] & (row < group_out))
