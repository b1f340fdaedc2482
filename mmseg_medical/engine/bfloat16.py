"""Mixed precision without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg_medical.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """mmengine's ``OptimWrapper`` whose forward pass runs under autocast in bfloat16, on the CPU too.

    bfloat16 has the range of float32, so losses need no scaling. mmengine's ``AmpOptimWrapper`` refuses to run without
    a GPU. Processors with AVX512-BF16 or AMX train several times faster so, others slower.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run what is inside in mixed precision on the device of ``model``."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
