"""How many cores a process may really use."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_CGROUP_QUOTA = Path('/sys/fs/cgroup/cpu.max')


def usable_cpus(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Cores this process may run on: those of its affinity, at most its container's CPU quota (cgroup v2)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    if quota_file.is_file():
        quota, _, period = quota_file.read_text().strip().partition(' ')
        if quota.isdigit() and period.isdigit():
            cpus = min(cpus, max(1, round(int(quota) / int(period))))
    return cpus


def use_all_cpus() -> None:
    """Let torch's operators use the cores there are, unless ``OMP_NUM_THREADS`` says otherwise.

    By default torch starts a thread for every core of the machine, also in a container that may use two of them;
    the threads then wait for each other and training is many times slower.
    """
    if 'OMP_NUM_THREADS' not in os.environ:
        torch.set_num_threads(usable_cpus())
