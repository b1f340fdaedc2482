from __future__ import annotations

import json
import math
import threading
import time

import pytest
import sweep_cases as cases

from mmseg_medical.engine.ablation.children import Children
from mmseg_medical.engine.sweep import search as module
from mmseg_medical.engine.sweep.measured import WrongMetricError
from mmseg_medical.engine.sweep.results import entry, importances, read_results, write_results
from mmseg_medical.engine.sweep.search import search
from mmseg_medical.engine.sweep.table import sweep_markdown, sweep_text
from mmseg_medical.errors import ConfigError

pytest.importorskip('optuna')
BEST = 'best_dice_epoch_2.pth'


def run(sweep, **options):
    """Search, and give back what was said and found."""
    retry, folder = options.pop('retry', False), sweep.config.parent
    slots = cases.slots(sweep)
    executor, said = cases.executor(folder, **options)
    search(sweep, slots, executor, retry)
    return said, read_results(sweep, slots.store), slots.store


def statuses(results) -> dict[int, str]:
    return {result.number: result.status for result in results}


def test_a_crash_stops_no_other_and_is_tried_again_on_request(tmp_path, monkeypatch):
    cases.in_process(monkeypatch)
    cases.write(tmp_path)
    (tmp_path / 'broken').write_text('[8]')
    sweep = cases.sweep(tmp_path, seeds=(0, 2))
    said, results, store = run(sweep)
    assert statuses(results) == {0: 'finished', 2: 'finished', 1: 'failed'}
    assert 'CUDA out of memory' in results[-1].error
    assert any('trial 1 (width=8): FAILED, seed 0: training ended with status 3' in line for line in said)
    first = cases.calls(tmp_path)
    assert first == [*_both(2, 0), *_both(2, 2), 'train 8 0', *_both(16, 0), *_both(16, 2)]
    text = sweep_text(sweep, results)
    assert '3 trials: 2 finished, 1 failed.' in text
    assert 'trial 1 (width=8) failed: seed 0: training ended with status 3' in text
    assert 'CUDA out of memory' in sweep_markdown(sweep, results)
    assert importances(store) == {}
    # what is done stays done, a failure too
    run(sweep)
    assert cases.calls(tmp_path) == first
    (tmp_path / 'broken').unlink()
    _, results, _ = run(sweep, retry=True)
    assert cases.calls(tmp_path)[len(first) :] == [*_both(8, 0), *_both(8, 2)]
    assert statuses(results) == {3: 'finished', 0: 'finished', 2: 'finished'}
    # over seeds 0 and 2: 0.9 and 0.902
    assert results[0].value == pytest.approx(0.901)
    assert results[0].std == pytest.approx(0.002 / 2**0.5)
    assert 'The best two differ by 0.06, more than the spread of their seeds, 0.001414.' in sweep_text(sweep, results)
    files = write_results(sweep, results)
    content = json.loads(files[0].read_text())
    assert [one['config_str'] for one in content] == ['width=8', 'width=2', 'width=16']
    assert content[0] == json.loads(json.dumps(entry(results[0]))) == json.loads(files[1].read_text())
    assert set(content[0]) == {'config', 'config_str', 'metrics', 'timestamp'}
    assert content[0]['config'] == {'model.width': 8}
    expected = dict(best_dice=0.901, mean_dice=0.881, final_dice_anterior=0.891, mean_nsd=0.98)
    expected |= dict(final_nsd_anterior=0.99, test_dice=0.851, num_params=1234567)
    assert content[0]['metrics'] == pytest.approx(expected)


def _both(width: int, seed: int) -> list[str]:
    return [f'train {width} {seed}', f'test {width} {seed} {BEST}']


def test_a_hopeless_trial_is_given_up(tmp_path):
    """The median of five is better than the sixth, whose training would not end by itself."""
    cases.write(tmp_path, "parameters = {'model.width': [8, 7, 9, 6, 10, 60]}\n")
    (tmp_path / 'endless').write_text('[60]')
    _, results, _ = run(cases.sweep(tmp_path, pruner='median'))
    assert statuses(results)[5] == 'given up'
    assert results[-1].curve == {1: pytest.approx(0.28)}
    assert cases.calls(tmp_path)[-2:] == ['train 60 0', 'waiting']  # and no test
    assert [result.value for result in results[:2]] == pytest.approx([0.9, 0.89])


def test_hyperband_gives_up_at_its_first_step(tmp_path):
    """The first trial passes, a worse one of its bracket does not."""
    cases.write(tmp_path, "parameters = {'model.width': [8, 60, 61, 62]}\n")
    (tmp_path / 'endless').write_text('[60, 61, 62]')
    sweep = cases.sweep(tmp_path, pruner='hyperband', objective='test', cfg_options={'train_cfg.max_epochs': 2})
    assert sweep.steps() == (1, 2)
    _, results, _ = run(sweep)
    assert [result.status for result in results] == ['finished', *['given up'] * 3]
    assert results[0].value == pytest.approx(0.85)
    assert math.isnan(results[1].value)


def test_judged_by_the_test(tmp_path, monkeypatch):
    cases.in_process(monkeypatch)
    cases.write(tmp_path)
    sweep = cases.sweep(tmp_path, objective='test')
    _, results, _ = run(sweep)
    assert [result.value for result in results] == pytest.approx([0.85, 0.79, 0.77])
    assert 'of the test.' in sweep_text(sweep, results)


def test_a_metric_that_no_trial_has_ends_the_sweep(tmp_path):
    cases.write(tmp_path)
    (tmp_path / 'endless').write_text('[2, 8, 16]')
    sweep = cases.sweep(tmp_path, metric='dise')
    with pytest.raises(WrongMetricError, match=r'the validation has no such number.*Did you mean dice'):
        run(sweep)
    assert cases.calls(tmp_path) == ['train 2 0', 'waiting']
    with pytest.raises(WrongMetricError, match=r'the test has no such number, it has dice'):
        run(cases.sweep(tmp_path / 'b', metric='dise', objective='test')) if cases.write(tmp_path / 'b') else None


def test_stopped_and_called_again(tmp_path):
    cases.write(tmp_path)
    (tmp_path / 'endless').write_text('[8]')
    sweep = cases.sweep(tmp_path)
    slots = cases.slots(sweep)
    executor, _ = cases.executor(tmp_path)
    stopper = threading.Thread(target=_stop_when_waiting, args=(tmp_path, executor.children))
    stopper.start()
    search(sweep, slots, executor)
    stopper.join()
    (tmp_path / 'endless').unlink()
    _, results, _ = run(sweep)
    assert cases.calls(tmp_path)[2:] == ['train 8 0', 'waiting', *_both(16, 0), 'train 8 0 resumed', *_both(8, 0)[1:]]
    assert [result.status for result in results] == ['finished'] * 3


def _stop_when_waiting(folder, children: Children) -> None:
    deadline = time.monotonic() + 120
    while 'waiting' not in cases.calls(folder) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    children.stop()


def test_draws_depend_on_the_number_of_a_trial_alone(tmp_path, monkeypatch):
    """In one call or two, one after the other or side by side."""
    space = (
        "parameters = {'model.width': dict(low=1, high=40), 'model.depth': [1, 2, 3]}\n"
        'def allowed(**values):\n    return values["model.width"] <= 12\n'
    )
    cases.in_process(monkeypatch)
    drawn = []
    for name, calls in (('a', [(4, 1)]), ('b', [(2, 1), (4, 2)])):
        cases.write(tmp_path / name, space)
        for trials, jobs in calls:
            sweep = cases.sweep(tmp_path / name, sampler='random', trials=trials)
            _, results, store = run(sweep, jobs=jobs)
        assert len(results) == trials == sum(result.status == 'finished' for result in results)
        drawn.append({trial.number: trial.params for trial in store.trials()})
    common = set(drawn[0]) & set(drawn[1])
    assert len(common) >= 4
    assert [drawn[0][number] for number in common] == [drawn[1][number] for number in common]
    assert any(values['model.width'] > 12 for values in drawn[0].values())
    assert all(result.values['model.width'] <= 12 for result in results)
    assert len({json.dumps(values) for values in drawn[0].values()}) > 1


def test_equal_values_are_trained_once(tmp_path):
    cases.write(tmp_path, "parameters = {'model.width': [8]}\n")
    _, results, _ = run(cases.sweep(tmp_path, sampler='tpe', trials=3), jobs=2)
    assert sorted(cases.calls(tmp_path)) == sorted(_both(8, 0))
    assert [result.value for result in results] == [0.9] * 3


def test_tpe_learns(tmp_path, monkeypatch):
    cases.in_process(monkeypatch)
    cases.write(tmp_path, "parameters = {'model.width': dict(low=1, high=99), 'model.depth': [1, 2]}\n")
    sweep = cases.sweep(tmp_path, sampler='tpe', trials=16)
    _, results, store = run(sweep)
    assert len(results) == 16
    late = [result.value for result in results if result.number >= 12]
    early = [result.value for result in results if result.number < 10]
    assert sum(late) / len(late) > sum(early) / len(early)
    shares = importances(store)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares['model.width'] > shares['model.depth']


def test_a_space_that_allows_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_MOST_REFUSED', 5)
    cases.write(tmp_path, "parameters = {'model.width': [1, 2]}\ndef allowed(**values):\n    return False\n")
    with pytest.raises(ConfigError, match='let none of 5 drawn combinations pass'):
        run(cases.sweep(tmp_path, sampler='random', trials=2))
    assert cases.calls(tmp_path) == []
