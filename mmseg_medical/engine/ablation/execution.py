"""Runs in order or side by side, on this machine or on a cluster."""

from __future__ import annotations

import os
import queue
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace

from mmseg_medical.engine.ablation.children import Children, interruptible
from mmseg_medical.engine.ablation.commands import Commands, Slurm, find_checkpoint, last_checkpoint
from mmseg_medical.engine.ablation.plan import Run
from mmseg_medical.engine.ablation.run_one import failure, run_one
from mmseg_medical.engine.ablation.state import read_state, write_state
from mmseg_medical.engine.cpu import usable_cpus
from mmseg_medical.errors import ConfigError


@dataclass(frozen=True)
class Executor:
    """How runs are done.

    Attributes:
        commands (Commands): command lines.
        jobs (int | None): runs at once; None: one on each of ``gpus``, all on a cluster, otherwise one.
        gpus (tuple[str, ...]): as CUDA_VISIBLE_DEVICES takes them, one run on each at a time; () leaves it alone.
        slurm (Slurm | None): submit each run as a job of a cluster and wait for it.
        again (bool): begin runs afresh whose config has changed; what is there is kept beside.
        threads (int | None): of each run; None: a fair share of the cores where several run at once.
        say (Callable): takes a line for the user.
        children (Children): the processes.

    Raises:
        ConfigError: these contradict each other.
    """

    commands: Commands
    jobs: int | None = None
    gpus: tuple[str, ...] = ()
    slurm: Slurm | None = None
    again: bool = False
    threads: int | None = None
    say: Callable[[str], None] = print
    children: Children = field(default_factory=Children)

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError(f'--jobs {self.jobs}: at least one run at a time')
        if len(set(self.gpus)) != len(self.gpus):
            raise ConfigError(f'--gpus {" ".join(self.gpus)}: one of them is named twice')
        if self.gpus and self.slurm:
            raise ConfigError(
                '--gpus are those of this machine; jobs of SLURM ask for theirs: --srun-args=--gres=gpu:1'
            )
        if self.gpus and (self.jobs or 0) > len(self.gpus):
            raise ConfigError(f'--jobs {self.jobs}: each of the {len(self.gpus)} --gpus takes one run at a time')

    def check(self, runs: Sequence[Run]) -> None:
        """Refuse what cannot be done, before anything begins.

        Raises:
            ConfigError: a run cannot be taken up, see :func:`~mmseg_medical.engine.ablation.state.read_state`; or
                there is no srun.
        """
        for run in runs:
            if not self.again:
                read_state(run)
        if self.slurm and shutil.which('srun') is None:
            raise ConfigError('--launcher slurm: there is no srun here; call this on a machine that submits jobs')

    def pending(self, runs: Sequence[Run]) -> list[list[str]]:
        """Command lines of what is left to do, in order; the checkpoint of a training to come is ``CHECKPOINT``."""
        lines = []
        for run in runs:
            try:
                state = read_state(run)
            except ConfigError:
                if not self.again:
                    raise
                state = None
            if state is not None and state.status == 'finished':
                continue
            if self.slurm:
                lines.append(self.commands.job(run, self.slurm, self.again))
                continue
            trained = state is not None and state.trained
            if not trained:
                lines.append(self.commands.train(run, state is not None and last_checkpoint(run) is not None))
            lines.append(self.commands.test(run, (find_checkpoint(run) if trained else None) or 'CHECKPOINT'))
        return lines

    def execute(self, runs: Sequence[Run]) -> dict[str, str]:
        """Do all runs that are not finished.

        Args:
            runs (Sequence[Run]): in the order in which they begin.

        Returns:
            dict[str, str]: title of each run that failed -> why, in the order of the runs.

        Raises:
            ConfigError: see :meth:`check`.
            KeyboardInterrupt: of Ctrl-C, SIGTERM or the end of the terminal; all processes have ended then, and the
                next call takes the runs up.
        """
        self.check(runs)
        slots: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        names = self.places(len(runs))
        for name in names:
            slots.put(name)
        failed: dict[str, str] = {}
        with interruptible(), ThreadPoolExecutor(len(names)) as pool:
            futures = {pool.submit(self._in_slot, run, slots, len(names)): run for run in runs}
            try:
                for future in as_completed(futures):
                    title, error = futures[future].title, future.result()
                    self.say(f'{title}: {"finished" if error is None else "FAILED"}')
                    if error is not None:
                        failed[title] = error
            except BaseException:
                self.say('Ending the runs; the same call goes on with them')
                for future in futures:
                    future.cancel()
                self.children.stop()
                raise
        return {run.title: failed[run.title] for run in runs if run.title in failed}

    def places(self, number: int) -> list[str | None]:
        """The GPU of each place in which one of ``number`` runs can be, None for the environment's."""
        if self.gpus:
            return list(self.gpus[: self.jobs or len(self.gpus)])
        return [None] * min(self.jobs or (number if self.slurm else 1), number)

    def _in_slot(self, run: Run, slots: queue.SimpleQueue, number: int) -> str | None:
        slot = slots.get()
        try:
            return self._submit(run, self.slurm) if self.slurm else self.run_here(run, slot, number)
        except (ConfigError, OSError) as error:  # of this run only
            return str(error)
        finally:
            slots.put(slot)

    def run_here(self, run: Run, gpu: str | None, number: int, watch: Callable[[], bool] | None = None) -> str | None:
        """Do what is left of a run on this machine.

        Args:
            run (Run): which.
            gpu (str | None): its place, see :meth:`places`.
            number (int): places.
            watch (Callable | None): see :func:`~mmseg_medical.engine.ablation.run_one.run_one`, as for what it returns
                and raises.
        """
        environment = dict(os.environ)
        if self.threads is not None:
            environment['OMP_NUM_THREADS'] = str(self.threads)
        elif number > 1:  # or every run would take all cores
            environment.setdefault('OMP_NUM_THREADS', str(max(1, usable_cpus() // number)))
        if gpu is not None:
            environment['CUDA_VISIBLE_DEVICES'] = gpu
        return run_one(run, self.commands, self.children, environment, self.say, number, self.again, watch)

    def _submit(self, run: Run, slurm: Slurm) -> str | None:
        """Wait for the job of a run; what it did is told by the state that it leaves."""
        try:
            state = read_state(run)
        except ConfigError:
            if not self.again:
                raise
        else:
            if state.status == 'finished':
                return None
            write_state(run, replace(state, status='waiting', error=None))
        self.say(f'{run.title}: submitted')
        log = run.folder.parent / f'{run.folder.name}_srun.log'
        status = self.children.call(self.commands.job(run, slurm, self.again), log, os.environ)
        state = read_state(run)
        if state.status == 'finished':
            return None
        if state.status == 'failed' and state.error:
            return state.error
        error = f'the job {failure(status, log)}'
        write_state(run, replace(state, status='failed', error=error))
        return error
