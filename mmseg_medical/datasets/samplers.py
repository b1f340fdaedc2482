"""Batches that depend on the seed alone, not on the number of loading workers."""

# ruff: noqa: NPY002 - the transforms of mmcv and mmseg draw from numpy's global generator
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dataset import DefaultSampler, InfiniteSampler

from mmseg_medical.registry import DATA_SAMPLERS


class SeededIndex(int):
    """Index of a sample that carries the seed of this one visit to it.

    Attributes:
        seed (tuple[int, ...]): Entropy for the sample's random draws.
    """

    seed: tuple[int, ...]

    def __new__(cls, index: int, seed: tuple[int, ...]) -> SeededIndex:
        """Make an ``int`` with a seed."""
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    def __reduce__(self) -> tuple:
        return SeededIndex, (int(self), self.seed)


def seed_sample(index: Any) -> None:
    """Seed numpy's and Python's global generators if ``index`` carries a seed; torch's, which the model uses, never."""
    if isinstance(index, SeededIndex):
        state = np.random.SeedSequence(index.seed).generate_state(2)
        np.random.seed(state[0])
        random.seed(int(state[1]))


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(InfiniteSampler):
    """mmengine's ``InfiniteSampler`` that hands every sample its own seed.

    mmengine seeds workers, so which draws a sample gets depends on how many there are. Here they follow from the
    run's seed and the sample's place in the sequence of all ranks, which a resumed run continues.

    Args:
        *args: As for ``InfiniteSampler``: ``dataset``, ``shuffle``, ``seed``.
        **kwargs: The same.
    """

    def _indices_of_rank(self) -> Iterator[int]:
        # not in __iter__: resuming (``skip``) cuts the front off this sequence, and every index has to keep its seed
        for place, index in enumerate(super()._indices_of_rank()):
            yield SeededIndex(index, (self.seed, place * self.world_size + self.rank))


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """mmengine's ``DefaultSampler`` for loops of epochs, with a seed for each sample as :class:`SeededInfiniteSampler`.

    Args:
        *args: As for ``DefaultSampler``: ``dataset``, ``shuffle``, ``seed``, ``round_up``.
        **kwargs: The same.
    """

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of this rank and epoch."""
        for place, index in enumerate(super().__iter__()):
            yield SeededIndex(index, (self.seed, self.epoch, place * self.world_size + self.rank))
