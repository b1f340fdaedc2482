"""The specifications' rule for filling a network with reproducible numbers."""

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def fill(module: nn.Module, *, layer_scale: str = 'layer_scale') -> nn.Module:
    """Fill parameters tensor by tensor, independent of their order; BatchNorm statistics stay 0 and 1."""
    for name, parameter in module.named_parameters():
        if layer_scale in name:
            parameter.fill_(0.5)
        elif parameter.ndim >= 2:
            n = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((2 * torch.sin(n + 1) / math.sqrt(parameter[0].numel())).reshape(parameter.shape))
        else:
            parameter.fill_(0.0 if name.endswith('bias') else 1.0)
    return module


def wave(*shape: int) -> Tensor:
    """Input with sin(0.1 + 0.1 n) at flat index n."""
    return torch.sin(0.1 + 0.1 * torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape)
