"""How trials are chosen, and when one is given up."""

from __future__ import annotations

from typing import Any

from mmseg_medical.engine.sweep.storage import import_optuna

SAMPLERS = ('grid', 'random', 'tpe')
PRUNERS = ('none', 'median', 'hyperband')


def make_sampler(kind: str, seed: int, number: int, several: bool = False) -> Any:
    """Sampler of one trial, so that a draw depends on the trial's number and not on the process that makes it.

    Args:
        kind (str): one of :data:`SAMPLERS`; the values of a grid are given, nothing is drawn.
        seed (int): of the sweep.
        number (int): of the trial.
        several (bool): whether trials run side by side: TPE then keeps away from those that run.
    """
    samplers = import_optuna().samplers
    own = (seed * 1_000_003 + number) % 2**32
    if kind == 'tpe':
        return samplers.TPESampler(seed=own, constant_liar=several)
    return samplers.RandomSampler(seed=own)


def make_pruner(kind: str, first: int, last: int) -> Any:
    """Pruner of a sweep.

    Args:
        kind (str): one of :data:`PRUNERS`. ``'median'`` gives up a trial whose best value so far is worse than the
            median of the others at the same step, once five trials have finished. ``'hyperband'`` shares trials out to
            brackets that give up two thirds of theirs at ever later steps.
        first (int): step of the first validation.
        last (int): step of the last.
    """
    pruners = import_optuna().pruners
    if kind == 'median':
        return pruners.MedianPruner(n_startup_trials=5)
    if kind == 'hyperband':
        return pruners.HyperbandPruner(min_resource=first, max_resource=max(first, last), reduction_factor=3)
    return pruners.NopPruner()
