"""Trials on the nodes of a cluster: Ray Tune places and watches them, the storage says which they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mmseg_medical.engine.ablation.children import interruptible
from mmseg_medical.engine.ablation.execution import Executor
from mmseg_medical.engine.sweep.cluster import Cluster, check_nodes, last_line
from mmseg_medical.engine.sweep.cluster_task import Task, Worker, make_task
from mmseg_medical.engine.sweep.plan import Sweep
from mmseg_medical.engine.sweep.search import renew
from mmseg_medical.engine.sweep.slots import Slots
from mmseg_medical.errors import ConfigError


def search_cluster(
    ray: Any,
    cluster: Cluster,
    sweep: Sweep,
    slots: Slots,
    executor: Executor,
    storage: str | None = None,
    retry_failed: bool = False,
) -> None:
    """Run all trials that are left on a cluster.

    Args:
        ray (module): Ray, connected to it.
        cluster (Cluster): what a trial takes of it.
        sweep (Sweep): the sweep.
        slots (Slots): its trials.
        executor (Executor): where the tools are, and how many trials run at once; None: as many as there is room for.
        storage (str | None): where the trials are kept, as a node finds it.
        retry_failed (bool): begin failed trials again.

    Raises:
        ConfigError: a node cannot take part, no trial can succeed, the storage or a worker was lost.
        KeyboardInterrupt: of Ctrl-C, SIGTERM or the end of the terminal; all trials have ended then, and the next call
            goes on.
    """
    waiting = renew(sweep, slots, retry_failed)
    if not waiting:
        return
    places = min(executor.jobs or waiting, cluster.places(cluster.nodes(ray)))
    task = make_task(sweep, slots.store, storage, executor.commands.tools, cluster.cpus, places)
    check_nodes(ray, cluster, task)
    while waiting:
        _run(ray.tune, task, cluster, executor, waiting)
        waiting = renew(sweep, slots)


def _run(tune: Any, task: Task, cluster: Cluster, executor: Executor, trials: int) -> None:
    """Let Ray Tune run a number of trials."""
    # it would write every answer of every worker to three files
    os.environ.setdefault('TUNE_DISABLE_AUTO_CALLBACK_LOGGERS', '1')
    watch = _make_watch(tune, executor.say)
    work_dir = task.settings['work_dir']
    # to Tune a trial is lost with its worker, the storage knows better: its notes are of no use later
    with tempfile.TemporaryDirectory(prefix='.ray_', dir=work_dir, ignore_cleanup_errors=True) as notes:
        tuner = tune.Tuner(
            tune.with_resources(_make_trainable(tune, task), {'cpu': cluster.cpus, 'gpu': cluster.gpus}),
            tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=executor.jobs, reuse_actors=True),
            run_config=tune.RunConfig(
                name='sweep',
                storage_path=notes,
                stop=watch,
                verbose=1,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        # in a thread, where Tune leaves the signals to us
        with interruptible(), ThreadPoolExecutor(1) as pool:
            running = pool.submit(tuner.fit)
            try:
                results = running.result()
            except BaseException:
                executor.say('Ending the trials; the same call goes on with them')
                watch.ending = True
                raise
    if watch.fatal:
        raise ConfigError(watch.fatal)
    if results.errors:
        raise ConfigError(
            f'{len(results.errors)} worker(s) were lost, the same call begins their trials again: '
            f'{last_line(results.errors[0])}'
        )


def _make_trainable(tune: Any, task: Task) -> type:
    class SweepTrial(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.worker = Worker(task)

        def step(self) -> dict[str, Any]:
            return self.worker.step()

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.cleanup()
            self.setup(new_config)
            return True

        def cleanup(self) -> None:
            self.worker.end()

    return SweepTrial


def _make_watch(tune: Any, say: Callable[[str], None]) -> Any:
    class Watch(tune.Stopper):
        """Tells the user what became of the trials, and Tune when to end."""

        ending = False
        fatal = ''

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            if result.get('said'):
                say(result['said'])
            self.fatal = self.fatal or result.get('fatal', '')
            return False

        def stop_all(self) -> bool:
            return self.ending or bool(self.fatal)

    return Watch()
