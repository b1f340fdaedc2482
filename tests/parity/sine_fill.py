"""Numbers that the specifications of three systems put into weights and images to take fingerprints of networks."""

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def fill(module: nn.Module) -> nn.Module:
    """Fill tensor by tensor: weights of one axis are those of norms."""
    for name, parameter in module.named_parameters():
        i = torch.arange(1, parameter.numel() + 1, dtype=torch.float64)
        if parameter.ndim >= 2:
            values = 0.02 * torch.sin(i)
        elif name.endswith('bias'):
            values = 0.01 * torch.cos(i)
        else:
            values = 1 + 0.1 * torch.sin(i)
        parameter.copy_(values.reshape(parameter.shape))
    return module


def wave(*shape: int) -> Tensor:
    """Input with sin(0.01 k) at flat index k."""
    return torch.sin(0.01 * torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape)
