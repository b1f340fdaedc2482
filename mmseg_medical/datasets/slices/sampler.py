"""Batches of slices in which rare classes are met as often as one wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from torch.utils.data import Sampler

from mmseg_medical.datasets.samplers import SeededIndex
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ClassExposureSampler(Sampler):
    """Draw slices so that classes are seen, and say how often each will be.

    With probability ``foreground_prob`` a class is drawn and one of the slices that show it, else any slice, empty ones
    too; with replacement. An epoch has as many draws as the data set has slices. Draws follow from the seed, the epoch
    and their place, not from the number of loading workers.

    Args:
        dataset (SliceDataset): Labelled slices.
        foreground_prob (float): See above; 0 draws uniformly.
        class_probs (Mapping[int, float] | None): Weight of each class, by number; classes without one are not drawn.
            None weighs all but the background the same. Classes that no slice shows are left out.
        shuffle (bool): Must be True; for configs that say so.
        seed (int | None): Of the draws; None agrees on one over all processes.

    Raises:
        ConfigError: The data set is no data set of slices, a probability or weight is wrong, or no weighted class
            occurs.
        DataError: Labels are missing or cannot be read.
    """

    def __init__(
        self,
        dataset: Any,
        foreground_prob: float = 0.5,
        class_probs: Mapping[int, float] | None = None,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        if not isinstance(dataset, SliceDataset):
            raise ConfigError(
                f'ClassExposureSampler counts the classes of a data set of slices (ACDCDataset, ...), found '
                f'{type(dataset).__name__}; without wrappers around it'
            )
        if not shuffle or not 0 <= foreground_prob <= 1:
            raise ConfigError(
                f'ClassExposureSampler draws at random (shuffle=True) with foreground_prob in [0, 1], found '
                f'shuffle={shuffle}, foreground_prob={foreground_prob}'
            )
        self.shown = dataset.class_counts() > 0
        self.classes: Sequence[str] = dataset.metainfo['classes']
        self.foreground_prob = foreground_prob
        self.weights = _weights(self.shown, class_probs)
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.rank, self.world_size = get_dist_info()
        self.exposure = expected_exposure(self.shown, foreground_prob, self.weights)
        print_log(exposure_text(self.classes, self.shown, self.exposure), logger='current')

    def __iter__(self) -> Iterator[int]:
        """Draw an epoch; each rank gets every ``world_size``-th draw."""
        generator = np.random.default_rng((self.seed, self.epoch))
        number = len(self.shown)
        asked = generator.random(number) < self.foreground_prob
        classes = generator.choice(len(self.weights), number, p=self.weights)
        places = generator.random(number)
        slices_of = [np.flatnonzero(column) for column in self.shown.T]
        for place in range(self.rank, len(self) * self.world_size, self.world_size):
            draw = place % number  # ranks are filled up with draws from the front
            among = slices_of[classes[draw]] if asked[draw] else None
            count = number if among is None else len(among)
            chosen = min(int(places[draw] * count), count - 1)
            index = chosen if among is None else int(among[chosen])
            yield SeededIndex(index, (self.seed, self.epoch, place))

    def __len__(self) -> int:
        """Draws of this rank in an epoch."""
        return -(-len(self.shown) // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next."""
        self.epoch = epoch


def expected_exposure(shown: np.ndarray, foreground_prob: float, weights: np.ndarray) -> np.ndarray:
    """Probability that a drawn slice shows each class.

    Args:
        shown (np.ndarray): shape (slices, classes), bool.
        foreground_prob (float): Probability that a class is drawn first.
        weights (np.ndarray): shape (classes,), probabilities of the classes, 0 for classes in no slice.

    Returns:
        np.ndarray: shape (classes,): (1 - p) n_c / n + p sum_k w_k n_kc / n_k, with n_kc slices that show both k and c.
    """
    both = shown.T.astype(np.float64) @ shown
    single = np.maximum(np.diag(both), 1)
    return (1 - foreground_prob) * shown.mean(axis=0) + foreground_prob * (weights / single) @ both


def exposure_text(classes: Sequence[str], shown: np.ndarray, exposure: np.ndarray) -> str:
    """Table of the slices that show each class, and of the drawn ones that will."""
    empty = int((~shown[:, 1:].any(axis=1)).sum())
    lines = [f'{len(shown)} slices, {empty} without foreground. Slices that show a class, and drawn ones:']
    lines += [
        f'  {name}: {int(number)} ({number / len(shown):.1%}), drawn {share:.1%}'
        for name, number, share in zip(classes, shown.sum(axis=0), exposure, strict=True)
    ]
    return '\n'.join(lines)


def _weights(shown: np.ndarray, class_probs: Mapping[int, float] | None) -> np.ndarray:
    number = shown.shape[1]
    weights = np.ones(number) if class_probs is None else np.zeros(number)
    weights[0] = 0
    for label, weight in (class_probs or {}).items():
        if not 0 <= int(label) < number or not weight >= 0:
            raise ConfigError(
                f'class_probs of ClassExposureSampler must map classes 0..{number - 1} to weights that are not '
                f'negative, found {dict(class_probs or {})}'
            )
        weights[int(label)] = weight
    weights = weights * shown.any(axis=0)
    if not weights.sum() > 0:
        raise ConfigError(f'no slice shows a class that ClassExposureSampler may draw (class_probs={class_probs})')
    return weights / weights.sum()
