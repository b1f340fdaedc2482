"""Which back end convolves: the table of rules behind ``backend='auto'``, and what a missing one needs."""

from __future__ import annotations

from typing import NamedTuple

import torch

from mmseg_medical.errors import did_you_mean
from mmseg_medical.ops.deform_conv import mmcv_backend, numba_backend, torch_backend, triton_backend

BACKENDS = {'torch': torch_backend, 'numba': numba_backend, 'triton': triton_backend, 'mmcv': mmcv_backend}


class Rule(NamedTuple):
    """Take ``backend``, where it is available, for tensors on ``device`` of one of ``dtypes``."""

    device: str
    dtypes: tuple[torch.dtype, ...]
    backend: str
    why: str


_HALF = (torch.float16, torch.bfloat16)
_SINGLE, _DOUBLE = (torch.float32,), (torch.float64,)

# The first rule that fits decides; torch takes what is left. Figures: benchmarks/results/deform_conv.json.
RULES = (
    Rule('cpu', _SINGLE + _DOUBLE + _HALF, 'numba', 'measured: faster than the others on every shape of a network'),
    Rule('cuda', _SINGLE + _HALF, 'triton', 'not measured: one launch for the batch, no column matrix'),
    Rule('cuda', _SINGLE + _DOUBLE + (torch.float16,), 'mmcv', 'not measured: compiled; it does not know bfloat16'),
    Rule('meta', _SINGLE + _DOUBLE + _HALF, 'numba', 'nothing is computed; one operator that tools can count'),
)


def available_backends() -> tuple[str, ...]:
    """Names that ``backend=`` accepts on this machine, without ``'auto'``."""
    return tuple(name for name, module in BACKENDS.items() if module.available())


@torch.compiler.assume_constant_result
def choose(backend: str, device: str, dtype: torch.dtype) -> str:
    """The back end for tensors of this device type and dtype.

    Raises:
        ValueError: an unknown name.
        ImportError: a back end was named that cannot run here; the message says what it needs.
    """
    if backend == 'auto':
        fits = (rule.backend for rule in RULES if rule.device == device and dtype in rule.dtypes)
        return next((name for name in fits if device == 'meta' or BACKENDS[name].available()), 'torch')
    if backend not in BACKENDS:
        hint = did_you_mean(backend, BACKENDS)
        raise ValueError(f'backend={backend!r} is unknown; choose one of auto, {", ".join(BACKENDS)}.{hint}')
    if device != 'meta' and not BACKENDS[backend].available():
        raise ImportError(f"backend={backend!r} cannot run here: {BACKENDS[backend].requirement}; or choose 'auto'")
    return backend
