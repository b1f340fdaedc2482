"""Samples of dropout that are the same every time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.segmentors.uncertainty import switch_on_dropout


class DropoutSamples:
    """Switches on the dropout of models, and makes what they draw follow from a seed alone.

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
        for model in models if number else ():
            switch_on_dropout(model)
        devices = {next(model.parameters()).device for model in models}
        self._devices = [device for device in devices if device.type == 'cuda']

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Draw from the seed on. The generators of torch are as before when the context ends."""
        if not self.number:
            yield
            return
        with torch.random.fork_rng(self._devices):
            # torch.manual_seed would seed all devices, also those that are not put back
            torch.default_generator.manual_seed(self.seed)
            for device in self._devices:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(self.seed)
            yield
