"""Memory of fresh processes, and the library's networks in other memory formats and compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from networks_cases import (
    OURS,
    SIDES,
    Case,
    Network,
    available_sides,
    child,
)
from networks_timing import compared, seconds_of, take_turns
from resident_memory import peak_growth_mb

MODES = ('plain', 'channels last', 'compiled', 'channels last, compiled')


def measure_memory(plan: list[tuple[Case, list[str]]], threads: int, device: str) -> dict[str, Any]:
    """Growth of a fresh process a side, see :func:`memory_in_child`."""
    rows: dict[str, Any] = {}
    for case, names in plan:
        known = [name for name in names if name in available_sides(device)]
        rows[case.name] = {name: child('memory', case, name, threads, device) for name in known}
        print(case.name, rows[case.name], flush=True)
    return rows


def memory_in_child(case: list[Any], name: str, threads: int, device: str) -> dict[str, float]:
    """Peaks of one forward of evaluation and of one training step, less what was there before them.

    Optimiser and gradients exist before the step that counts: a step with a smaller image went ahead.
    """
    torch.set_num_threads(threads)
    wanted = Case(*case)
    network = Network(wanted, device)
    image, target, samples = network.image, network.target, network.samples
    small = Network(wanted._replace(size=32 if wanted.stem == 'full' else 64), device)
    network.image, network.target, network.samples = small.image, small.target, small.samples
    del small
    for call in (network.step, network.forward):
        call(SIDES[name])
    network.image, network.target, network.samples = image, target, samples
    measure = _cuda_growth_mb if device == 'cuda' else peak_growth_mb
    found = {}
    for what, call in (('forward_mb', network.forward), ('training_step_mb', network.step)):
        found[what] = round(measure(lambda call=call: call(SIDES[name])), 1)
    return found


def _cuda_growth_mb(call: Callable[[], object]) -> float:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def measure_modes(cases: list[Case], names: tuple[str, ...], repeats: int, device: str) -> dict[str, Any]:
    """Ours with another memory format and compiled; the modes of a case take turns."""
    rows: dict[str, Any] = {}
    for case in cases:
        networks, failures, warm_up = {}, {}, {}
        for name in names:
            network = _in_mode(Network(case, device), name)
            try:
                warm_up[name] = round(seconds_of(lambda network=network: _both(network), device), 2)
                networks[name] = network
            except Exception as error:  # compilers fail in ways of their own; the reason goes to the results
                failures[name] = f'{type(error).__name__}: {str(error).splitlines()[0]}'
        runs = {
            name: {
                'forward': partial(network.forward, SIDES[OURS]),
                'training step': partial(network.step, SIDES[OURS]),
            }
            for name, network in networks.items()
        }
        times = take_turns(runs, repeats, device)
        rows[case.name] = compared(times, base='plain') | {'first_call_s': warm_up, 'not available': failures}
        print(case.name, rows[case.name], flush=True)
    return rows


def _in_mode(network: Network, mode: str) -> Network:
    if 'channels last' in mode:
        network.model.to(memory_format=torch.channels_last)
        network.image = network.image.to(memory_format=torch.channels_last)
    if 'compiled' in mode:
        network.model.backbone.compile()
        network.model.decode_head.compile()
    return network


def _both(network: Network) -> None:
    network.step(SIDES[OURS])
    network.forward(SIDES[OURS])
