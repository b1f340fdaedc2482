"""Samples of dropout that are the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.segmentors.uncertainty import switch_on_dropout


class DropoutSamples:
    """Switches on the dropout of models; as a context it makes what they draw follow from the seed alone.

    The generators of torch are as before when the context ends.

    Args:
        models (Sequence[nn.Module]): In evaluation mode.
        number (int): Samples of each; 0 switches nothing on and touches no generator.
        seed (int): Of what is drawn.

    Raises:
        ConfigError: The number is negative, or a model has no dropout.
    """

    def __init__(self, models: Sequence[nn.Module], number: int, seed: int = 0) -> None:
        if not isinstance(number, int) or number < 0:
            raise ConfigError(f'mc_dropout is a number of samples, 0 for none, found {number!r}')
        self.number, self.seed = number, seed
        self._devices: list[torch.device] = []
        self._entered: list[ExitStack] = []
        for model in models if number else ():
            switch_on_dropout(model)
            device = next(model.parameters()).device
            if device.type == 'cuda' and device not in self._devices:
                self._devices.append(device)

    def __enter__(self) -> None:
        stack = ExitStack()
        if self.number:
            stack.enter_context(torch.random.fork_rng(devices=self._devices))
            torch.manual_seed(self.seed)
        self._entered.append(stack)

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().close()
