"""A sweep on a real Ray of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import sweep_cases as cases

from mmseg_medical.engine.sweep.cluster import Cluster
from mmseg_medical.engine.sweep.cluster_search import search_cluster
from mmseg_medical.engine.sweep.results import read_results

pytest.importorskip('optuna')
pytest.importorskip('ray.tune')


@pytest.mark.slow
def test_a_crash_an_interruption_and_the_rest(tmp_path, monkeypatch):
    monkeypatch.setenv('TUNE_DISABLE_AUTO_CALLBACK_LOGGERS', '1')
    monkeypatch.setenv('RAY_USAGE_STATS_ENABLED', '0')
    cases.write(tmp_path)
    (tmp_path / 'broken').write_text('[8]')
    (tmp_path / 'endless').write_text('[16]')
    sweep = cases.sweep(tmp_path)
    slots, (executor, said) = cases.slots(sweep), cases.executor(tmp_path, jobs=2)
    cluster = Cluster('local', cpus=1, gpus=0)
    with cluster.connected(said.append) as ray:
        interrupter = threading.Thread(target=_interrupt_the_last, args=(tmp_path, slots))
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            search_cluster(ray, cluster, sweep, slots, executor)
        interrupter.join()
        assert [trial.state.name for trial in slots.store.trials()] == ['COMPLETE', 'FAIL', 'FAIL']
        assert slots.store.trials()[2].user_attrs['died'] == 'interrupted'
        (tmp_path / 'endless').unlink()
        search_cluster(ray, cluster, sweep, slots, executor)
        search_cluster(ray, cluster, sweep, slots, executor)  # nothing is left
    results = read_results(sweep, slots.store)
    assert [(result.title, result.status) for result in results] == [
        ('width=2', 'finished'),
        ('width=16', 'finished'),
        ('width=8', 'failed'),
    ]
    assert 'CUDA out of memory' in results[-1].error
    assert sorted(cases.calls(tmp_path)) == [
        *('test 16 0 best_dice_epoch_2.pth', 'test 2 0 best_dice_epoch_2.pth'),
        *('train 16 0', 'train 16 0 resumed', 'train 2 0', 'train 8 0', 'waiting'),
    ]
    ends = [line.partition(':')[0] for line in said if line.startswith('trial ')]
    assert sorted(ends) == ['trial 0 (width=2)', 'trial 1 (width=8)', 'trial 3 (width=16)']
    assert not list((tmp_path / 'w').glob('.ray_*'))


def _interrupt_the_last(folder, slots) -> None:
    deadline = time.monotonic() + 1500
    ended = ['COMPLETE', 'FAIL', 'RUNNING']
    while time.monotonic() < deadline:
        if 'waiting' in cases.calls(folder) and [t.state.name for t in slots.store.trials()] == ended:
            break
        threading.Event().wait(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
