"""Vectors of a machine's register width for numba kernels.

numba leaves vectorisation to LLVM's guess; sampling at computed positions defeats it. With these types a kernel says
what a vector is: ``a * b + c`` on :class:`Vector` values is one instruction a line, whatever the processor (LLVM splits
a vector that is wider than its registers).
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic as _intrinsic
from numba.extending import lower_builtin, models, overload, register_model

# An intrinsic's first parameter is the compiler's, not the caller's; type checkers would miss an argument.
intrinsic: Any = _intrinsic

_FEATURES = llvm.get_host_cpu_features()
VECTOR_BYTES = 64 if _FEATURES.get('avx512f') else 32 if _FEATURES.get('avx2') else 16
# x86 before AVX-512 has 16 vector registers, the others 32.
VECTOR_REGISTERS = 16 if 'sse2' in _FEATURES and VECTOR_BYTES < 64 else 32

_ELEMENTS = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.int32: ir.IntType(32),
    types.boolean: ir.IntType(1),
}


def lanes_of(item_bytes: int) -> int:
    """Numbers of one vector whose elements take ``item_bytes``."""
    return VECTOR_BYTES // item_bytes


class Vector(types.Type):
    """``lanes`` elements in one register; comparison yields a vector of booleans."""

    def __init__(self, element: types.Type, lanes: int) -> None:
        self.element = element
        self.lanes = lanes
        super().__init__(name=f'Vector({element}, {lanes})')

    @property
    def llvm(self) -> ir.VectorType:
        """The type in LLVM's terms."""
        return ir.VectorType(_ELEMENTS[self.element], self.lanes)

    def of(self, element: types.Type) -> Vector:
        """As many lanes of another element."""
        return Vector(element, self.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.llvm)


def _float_vector(element: Any) -> Vector:
    return Vector(element, lanes_of(element.bitwidth // 8))


def _constant(vector: Vector, value: float) -> ir.Constant:
    return ir.Constant(vector.llvm, [ir.Constant(vector.llvm.element, value)] * vector.lanes)


def _splat(builder: ir.IRBuilder, scalar: ir.Value, vector: Vector) -> ir.Value:
    one = builder.insert_element(ir.Constant(vector.llvm, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, ir.Constant(vector.llvm, ir.Undefined), _numbers([0] * vector.lanes))


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *values: ir.Value) -> ir.Value:
    function_type = ir.FunctionType(result, [value.type for value in values])
    known = builder.module.globals.get(name)
    return builder.call(known or ir.Function(builder.module, function_type, name), values)


def _suffix(vector: Vector) -> str:
    kind = {types.float32: 'f32', types.float64: 'f64', types.int32: 'i32'}[vector.element]
    return f'v{vector.lanes}{kind}'


def _as_vector_pointer(builder: ir.IRBuilder, pointer: ir.Value, vector: Vector) -> ir.Value:
    return builder.bitcast(pointer, vector.llvm.as_pointer())


# --- operators -------------------------------------------------------------------------------------------------------


def _register_operator(function: Any, float_op: str, int_op: str) -> None:
    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple, kws: dict) -> Any:
            known = len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]
            return signature(args[0], *args) if known else None

    @lower_builtin(function, Vector, Vector)
    def _(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        name = int_op if sig.args[0].element in (types.int32, types.boolean) else float_op
        return getattr(builder, name)(*args)


_register_operator(operator.add, 'fadd', 'add')
_register_operator(operator.sub, 'fsub', 'sub')
_register_operator(operator.mul, 'fmul', 'mul')
_register_operator(operator.truediv, 'fdiv', 'sdiv')
_register_operator(operator.and_, 'and_', 'and_')


def _register_comparison(function: Any, sign: str) -> None:
    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple, kws: dict) -> Any:
            known = len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]
            return signature(args[0].of(types.boolean), *args) if known else None

    @lower_builtin(function, Vector, Vector)
    def _(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        compare = builder.icmp_signed if sig.args[0].element == types.int32 else builder.fcmp_ordered
        return compare(sign, *args)


for _function, _sign in ((operator.lt, '<'), (operator.gt, '>'), (operator.ge, '>='), (operator.le, '<=')):
    _register_comparison(_function, _sign)


# --- memory ----------------------------------------------------------------------------------------------------------
# Kernels work on pointers: numba counts references to arrays, atomically, in the midst of loops. An index counts
# elements; nothing is checked.


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """To the first element of a contiguous array; the caller of the kernel keeps the array alive."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def shift(typingctx: Any, memory: Any, count: Any) -> Any:
    """The pointer ``count`` elements further."""
    return memory(memory, types.int64), lambda context, builder, sig, args: builder.gep(args[0], [args[1]])


@intrinsic
def as_int32(typingctx: Any, memory: Any) -> Any:
    """The same memory, to hold 32-bit integers."""
    result = types.CPointer(types.int32)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        return builder.bitcast(args[0], ir.IntType(32).as_pointer())

    return result(memory), generate


@intrinsic
def load(typingctx: Any, memory: Any, index: Any) -> Any:
    """The vector that begins at ``memory[index]``."""
    vector = Vector(memory.dtype, lanes_of(memory.dtype.bitwidth // 8))

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        pointer = builder.gep(args[0], [args[1]])
        return builder.load(_as_vector_pointer(builder, pointer, vector), align=memory.dtype.bitwidth // 8)

    return vector(memory, types.int64), generate


@intrinsic
def store(typingctx: Any, memory: Any, index: Any, value: Any) -> Any:
    """Write a vector to ``memory[index:]``; booleans become 0 or 1."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> Any:
        pointer = builder.gep(args[0], [args[1]])
        builder.store(args[2], _as_vector_pointer(builder, pointer, value), align=memory.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(memory, types.int64, value), generate


def _first(builder: ir.IRBuilder, count: ir.Value, vector: Vector) -> ir.Value:
    limit = _splat(builder, builder.trunc(count, ir.IntType(32)), vector.of(types.int32))
    return builder.icmp_signed('<', _numbers(range(vector.lanes)), limit)


@intrinsic
def load_first(typingctx: Any, memory: Any, index: Any, count: Any) -> Any:
    """As :func:`load`, but only ``count`` elements are read; the other lanes are zero."""
    vector = Vector(memory.dtype, lanes_of(memory.dtype.bitwidth // 8))

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        pointer = _as_vector_pointer(builder, builder.gep(args[0], [args[1]]), vector)
        align = ir.Constant(ir.IntType(32), memory.dtype.bitwidth // 8)
        name = f'llvm.masked.load.{_suffix(vector)}.p0'
        return _call(builder, name, vector.llvm, pointer, align, _first(builder, args[2], vector), _constant(vector, 0))

    return vector(memory, types.int64, types.int64), generate


@intrinsic
def store_first(typingctx: Any, memory: Any, index: Any, count: Any, value: Any) -> Any:
    """As :func:`store`, but only the first ``count`` lanes are written."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> Any:
        pointer = _as_vector_pointer(builder, builder.gep(args[0], [args[1]]), value)
        align = ir.Constant(ir.IntType(32), memory.dtype.bitwidth // 8)
        mask = _first(builder, args[2], value)
        _call(builder, f'llvm.masked.store.{_suffix(value)}.p0', ir.VoidType(), args[3], pointer, align, mask)
        return context.get_dummy_value()

    return types.void(memory, types.int64, types.int64, value), generate


@intrinsic
def gather_pair(typingctx: Any, memory: Any, start: Any, index: Any) -> Any:
    """``memory[start + index]`` and ``memory[start + index + 1]``, lane by lane, as two vectors.

    A pair is fetched by one load a lane: gather instructions took five times longer where this was measured (Zen 5).
    """
    vector = index.of(memory.dtype)
    bits = memory.dtype.bitwidth

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        base = builder.gep(args[0], [args[1]])
        pair = ir.VectorType(vector.llvm.element, 2)
        pairs = []
        for lane in range(vector.lanes):
            number = builder.extract_element(args[2], ir.Constant(ir.IntType(32), lane))
            place = builder.gep(base, [builder.sext(number, ir.IntType(64))])
            pairs.append(builder.load(builder.bitcast(place, pair.as_pointer()), align=bits // 8))
        while len(pairs) > 1:
            pairs = [_concatenate(builder, a, b) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
        undefined = ir.Constant(pairs[0].type, ir.Undefined)
        halves = [
            builder.shuffle_vector(pairs[0], undefined, _numbers(range(part, 2 * vector.lanes, 2))) for part in (0, 1)
        ]
        return context.make_tuple(builder, sig.return_type, halves)

    return types.UniTuple(vector, 2)(memory, types.int64, index), generate


def _numbers(values: Sequence[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), list(values))


def _concatenate(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.shuffle_vector(a, b, _numbers(range(a.type.count + b.type.count)))


# --- numbers ---------------------------------------------------------------------------------------------------------


@intrinsic
def splat(typingctx: Any, scalar: Any, like: Any) -> Any:
    """A vector of one number, converted to the elements of ``like``, a vector or a pointer."""
    vector = like if isinstance(like, Vector) else _float_vector(like.dtype)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        return _splat(builder, context.cast(builder, args[0], sig.args[0], vector.element), vector)

    return vector(scalar, like), generate


@intrinsic
def lanes(typingctx: Any, memory: Any) -> Any:
    """How many elements a vector of this memory has, a constant."""
    count = lanes_of(memory.dtype.bitwidth // 8)
    return types.int64(memory), lambda context, builder, sig, args: ir.Constant(ir.IntType(64), count)


@intrinsic
def to_int(typingctx: Any, value: Any) -> Any:
    """Round towards zero; the value must fit into 32 bits."""
    vector = value.of(types.int32)
    return vector(value), lambda context, builder, sig, args: builder.fptosi(args[0], vector.llvm)


@intrinsic
def floor(typingctx: Any, value: Any) -> Any:
    """Largest whole number not above."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        return _call(builder, f'llvm.floor.{_suffix(value)}', value.llvm, args[0])

    return value(value), generate


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        return _call(builder, f'llvm.fma.{_suffix(a)}', a.llvm, *args)

    return a(a, b, c), generate


@intrinsic
def select(typingctx: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes`` where the condition holds, else ``no``."""
    return yes(condition, yes, no), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def _power_of_two(typingctx: Any, exponent: Any) -> Any:
    """2 to whole exponents within the normal range, by writing the exponent's bits."""
    bits, bias = (23, 127) if exponent.element == types.float32 else (52, 1023)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        whole = ir.VectorType(ir.IntType(exponent.element.bitwidth), exponent.lanes)

        def number(value: int) -> ir.Constant:
            return ir.Constant(whole, [ir.Constant(whole.element, value)] * exponent.lanes)

        biased = builder.add(builder.fptosi(args[0], whole), number(bias))
        return builder.bitcast(builder.shl(biased, number(bits)), exponent.llvm)

    return exponent(exponent), generate


# Taylor coefficients of exp, highest first: to within half a unit in the last place for |x| <= ln(2) / 2.
_EXP_TERMS = {types.float32: 8, types.float64: 14}
# ln(2) in two parts, of which the first has zeros at its end: multiples of it are exact.
_LOG_2 = {types.float32: (0.693359375, -2.12194440e-4), types.float64: (0.6931471803691238, 1.9082149292705877e-10)}
_EXP_LIMIT = {types.float32: 87.0, types.float64: 700.0}


def sigmoid(value: Any) -> Any:
    """1 / (1 + exp(-value)); NaN stays NaN."""
    raise NotImplementedError('compiled by numba only')


@overload(sigmoid, inline='never', jit_options=dict(error_model='numpy', forceinline=True))
def _sigmoid(value: Any) -> Any:
    coefficients = tuple(1 / math.factorial(k) for k in reversed(range(_EXP_TERMS[value.element])))
    limit = _EXP_LIMIT[value.element]
    log_2_e, high, low = 1 / math.log(2), *_LOG_2[value.element]

    def implementation(value: Any) -> Any:
        x = splat(0.0, value) - value
        x = select(x > splat(limit, value), splat(limit, value), x)
        x = select(x < splat(-limit, value), splat(-limit, value), x)
        exponent = floor(fma(x, splat(log_2_e, value), splat(0.5, value)))
        rest = fma(exponent, splat(-low, value), fma(exponent, splat(-high, value), x))
        power = splat(0.0, value)
        for coefficient in coefficients:
            power = fma(power, rest, splat(coefficient, value))
        return splat(1.0, value) / fma(power, _power_of_two(exponent), splat(1.0, value))

    return implementation


@intrinsic
def total(typingctx: Any, value: Any) -> Any:
    """Sum over the lanes, in an order that is fixed by the machine's vector width."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        element = value.llvm.element
        name = f'llvm.vector.reduce.fadd.{_suffix(value)}'
        function_type = ir.FunctionType(element, [element, value.llvm])
        function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
        return builder.call(function, [ir.Constant(element, -0.0), args[0]], fastmath=('reassoc',))

    return value.element(value), generate


@intrinsic
def smallest(typingctx: Any, value: Any) -> Any:
    """Minimum of the lanes, none of which may be NaN."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        element = value.llvm.element
        name = f'llvm.vector.reduce.fmin.{_suffix(value)}'
        function_type = ir.FunctionType(element, [value.llvm])
        function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
        return builder.call(function, [args[0]], fastmath=('nnan', 'nsz'))

    return value.element(value), generate


@intrinsic
def fetch_add(typingctx: Any, memory: Any, amount: Any) -> Any:
    """Add to ``memory[0]`` (int64) atomically and return what it was before: hands out tasks to threads."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        return builder.atomic_rmw('add', args[0], args[1], 'acq_rel')

    return types.int64(memory, types.int64), generate


@intrinsic
def load_shared(typingctx: Any, memory: Any) -> Any:
    """``memory[0]`` (int64) as other threads left it, and with it all that they wrote before."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> ir.Value:
        return builder.load_atomic(args[0], 'acquire', 8)

    return types.int64(memory), generate


@intrinsic
def pause(typingctx: Any) -> Any:
    """Let the core's other work go first while waiting."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> Any:
        if 'sse2' in _FEATURES:
            _call(builder, 'llvm.x86.sse2.pause', ir.VoidType())
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def doze(typingctx: Any) -> Any:
    """Leave the core to somebody else for some ten microseconds, where the system offers that."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> Any:
        if os.name == 'posix':
            _call(builder, 'usleep', ir.IntType(32), ir.Constant(ir.IntType(32), 10))
        return context.get_dummy_value()

    return types.void(), generate


def multiply_block(rows: int, vectors: int) -> Callable[..., Any]:
    """An intrinsic that keeps a block of ``rows`` x ``vectors`` sums in registers.

    ``block(a, a_row, a_step, b, b_vector, b_step, steps, c, c_row, accumulate)`` computes
    ``c[i, j] (+)= sum_k a[i, k] * b[k, j]``: ``a`` is read number by number (``a_row`` and ``a_step`` apart), ``b`` and
    ``c`` vector by vector (those of ``b`` ``b_vector`` apart, those of ``c`` adjacent).
    """

    @intrinsic
    def block(
        typingctx: Any, a: Any, a_row: Any, a_step: Any, b: Any, b_vector: Any, b_step: Any, steps: Any, c: Any,
        c_row: Any, accumulate: Any,
    ) -> Any:  # fmt: skip
        vector = _float_vector(a.dtype)
        align = a.dtype.bitwidth // 8
        int64 = types.int64

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: tuple) -> Any:
            a_pointer, a_row, a_step, b_pointer, b_vector, b_step, steps, c_pointer, c_row, accumulate = args

            def scaled(stride: ir.Value, times: int) -> ir.Value:
                return builder.mul(stride, ir.Constant(ir.IntType(64), times))

            def vector_at(pointer: ir.Value, offset: ir.Value) -> ir.Value:
                return _as_vector_pointer(builder, builder.gep(pointer, [offset]), vector)

            places = [
                builder.add(scaled(c_row, i), ir.Constant(ir.IntType(64), j * vector.lanes))
                for i in range(rows)
                for j in range(vectors)
            ]
            before = builder.block
            load_block, head, body, done = (builder.append_basic_block(n) for n in ('load', 'head', 'body', 'done'))
            builder.cbranch(accumulate, load_block, head)
            builder.position_at_end(load_block)
            loaded = [builder.load(vector_at(c_pointer, place), align=align) for place in places]
            builder.branch(head)

            builder.position_at_end(head)
            step = builder.phi(ir.IntType(64))
            sums = [builder.phi(vector.llvm) for _ in places]
            for value, phi in zip(loaded, sums, strict=True):
                phi.add_incoming(_constant(vector, 0), before)
                phi.add_incoming(value, load_block)
            step.add_incoming(ir.Constant(ir.IntType(64), 0), before)
            step.add_incoming(ir.Constant(ir.IntType(64), 0), load_block)
            builder.cbranch(builder.icmp_signed('<', step, steps), body, done)

            builder.position_at_end(body)
            a_here = builder.gep(a_pointer, [builder.mul(step, a_step)])
            b_here = builder.gep(b_pointer, [builder.mul(step, b_step)])
            b_values = [builder.load(vector_at(b_here, scaled(b_vector, j)), align=align) for j in range(vectors)]
            for i in range(rows):
                number = builder.load(builder.gep(a_here, [scaled(a_row, i)]), align=align)
                spread = _splat(builder, number, vector)
                for j in range(vectors):
                    phi = sums[i * vectors + j]
                    name = f'llvm.fma.{_suffix(vector)}'
                    phi.add_incoming(_call(builder, name, vector.llvm, spread, b_values[j], phi), body)
            step.add_incoming(builder.add(step, ir.Constant(ir.IntType(64), 1)), body)
            builder.branch(head)

            builder.position_at_end(done)
            for value, place in zip(sums, places, strict=True):
                builder.store(value, vector_at(c_pointer, place), align=align)
            return context.get_dummy_value()

        sig = types.void(a, int64, int64, b, int64, int64, int64, c, int64, types.boolean)
        return sig, generate

    return block
