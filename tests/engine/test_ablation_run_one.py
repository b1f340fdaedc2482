from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import ablation_cases as cases
import pytest

from mmseg_medical.engine.ablation.children import Children, interruptible, locked
from mmseg_medical.engine.ablation.commands import Commands, find_checkpoint
from mmseg_medical.engine.ablation.run_one import failure, run_one, tail
from mmseg_medical.engine.ablation.state import State, read_state, write_state
from mmseg_medical.errors import ConfigError


@pytest.fixture
def config(tmp_path):
    return cases.write_config(tmp_path / 'configs', 'a')


@pytest.fixture
def run(config, tmp_path):
    (run,) = cases.plan(tmp_path / 'w', config, cfg_options={'model.note': "a, 'b' [c]", 'model.sizes': (1, 2)})
    return run


@pytest.fixture
def do(tmp_path):
    """Do a run with the stand-ins of the tools."""
    commands = Commands(cases.write_tools(tmp_path / 'tools'))
    said = []

    def do(run, **options):
        return run_one(run, commands, Children(), os.environ, said.append, **options), said

    return do


def test_trains_tests_the_best_checkpoint_and_is_done(do, run, config):
    error, said = do(run)
    assert error is None
    assert said == ['a, seed 0: training', 'a, seed 0: testing best_dice_iter_1.pth']
    assert cases.calls(config.parent) == ['train a 0', 'test a 0 best_dice_iter_1.pth']
    state = read_state(run)
    assert (state.status, state.trained, state.checkpoint) == ('finished', True, 'best_dice_iter_1.pth')
    assert do(run)[0] is None
    assert len(cases.calls(config.parent)) == 2


def test_options_arrive_as_they_were_given(do, run):
    """The words of --cfg-options are read by the same parser as those of a user."""
    from mmseg_medical.cli import parse_value

    do(run)
    command = (run.folder / 'train.log').read_text().splitlines()[0]
    assert command.startswith(f'$ {sys.executable} ')
    words = Commands(run.folder).test(run, 'x.pth')
    pairs = dict(word.split('=', 1) for word in words[words.index('--cfg-options') + 1 :])
    assert {key: parse_value(value) for key, value in pairs.items()} == {
        'randomness.seed': 0,
        'model.note': "a, 'b' [c]",
        'model.sizes': (1, 2),
        'default_hooks.record': {'type': 'RecordHook'},
    }


def test_a_failed_training_is_recorded_and_tried_again(do, run, config):
    (config.parent / 'a.broken').touch()
    error, _ = do(run)
    assert 'training ended with status 3' in error
    assert error.endswith('the broken of a')
    assert (read_state(run).status, read_state(run).error) == ('failed', error)
    (config.parent / 'a.broken').unlink()
    assert do(run)[0] is None
    assert read_state(run).error is None


def test_a_failed_test_is_repeated_without_training(do, run, config):
    (config.parent / 'a.untestable').touch()
    assert 'testing ended with status 4' in do(run)[0]
    (config.parent / 'a.untestable').unlink()
    assert do(run)[0] is None
    assert [call.split()[0] for call in cases.calls(config.parent)] == ['train', 'test', 'test']


def test_a_test_without_its_record_has_failed(do, run, config):
    (config.parent / 'a.test_record.0.json').unlink()
    assert 'testing ended with status 0' in do(run)[0]
    assert read_state(run).status == 'failed'


def test_a_record_of_an_earlier_test_does_not_count(do, run, config):
    do(run)
    write_state(run, replace(read_state(run), status='testing'))
    (config.parent / 'a.test_record.0.json').unlink()
    assert do(run)[0] is not None


def test_an_interrupted_training_is_resumed_from_its_checkpoint(do, run, config):
    write_state(run, State('training', settings=run.settings))
    assert do(run)[1][0] == 'a, seed 0: training'  # none was written yet
    write_state(run, State('training', settings=run.settings))
    assert 'a, seed 0: training, resumed from iter_2.pth' in do(run)[1]
    assert cases.calls(config.parent)[2] == 'train a 0 resumed'


def test_a_training_without_checkpoints(do, run, config):
    (config.parent / 'a.forgetful').touch()
    assert 'left no checkpoint' in do(run)[0]
    assert not read_state(run).trained


def test_a_changed_config_begins_afresh_only_when_told(do, run):
    do(run)
    changed = replace(run, settings={**run.settings, 'model.type': "'new'"})
    with pytest.raises(ConfigError, match='--again'):
        do(changed)
    assert do(changed, again=True)[0] is None
    assert (run.folder.parent / 'seed0_old' / 'iter_2.pth').exists()
    assert read_state(changed).status == 'finished'
    assert len(do(changed, again=True)[1]) == 4  # nothing further was said


def test_a_folder_belongs_to_one_call_as_long_as_a_child_lives(do, run):
    with locked(run.folder) as descriptors:
        with pytest.raises(ConfigError, match='another process is at work'):
            do(run)
        heir = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, pass_fds=descriptors)
    with pytest.raises(ConfigError, match='another process is at work'):
        do(run)
    heir.communicate(b'\n')
    assert do(run)[0] is None


@pytest.mark.parametrize('kept', [True, False])
def test_a_child_inherits_the_lock_and_nothing_else(tmp_path, kept):
    command = [sys.executable, '-c', 'import os, sys; os.fstat(int(sys.argv[1]))']
    with locked(tmp_path) as (descriptor,):
        words = [*command, str(descriptor)]
        status = Children().call(words, tmp_path / 'log', os.environ, [descriptor] if kept else [])
    assert (status == 0) == kept


@pytest.fixture
def hup():
    """Restore what becomes of SIGHUP: who runs the tests may have said nohup."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures('hup')
def test_signals_end_the_call_but_for_what_nohup_ignores():
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGTERM) == before
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_the_first_number_chooses_the_best_checkpoint(run):
    run.folder.mkdir(parents=True)
    both = replace(run, best_by=('dice', 'hd95/mm'))
    names = ['best_dice_fg_iter_9.pth', 'best_hd95_mm_epoch_2.pth', 'epoch_3.pth', 'best_dice_iter_4.pth']
    for name in names:
        (run.folder / name).touch()
    assert find_checkpoint(both).name == 'best_dice_iter_4.pth'
    (run.folder / names[3]).unlink()
    assert find_checkpoint(both).name == 'best_hd95_mm_epoch_2.pth'
    assert find_checkpoint(replace(run, best_by=('auto',))).name.startswith('best_')
    assert find_checkpoint(replace(run, best_by=())).name == 'epoch_3.pth'


def test_how_a_command_ended(tmp_path):
    log = tmp_path / 'log'
    log.write_bytes(b'x' * 9000 + b'\n' + b''.join(b'line %d\n' % n for n in range(40)) + b'\xff\n')
    assert tail(log).splitlines()[0] == 'line 26'
    assert tail(log).endswith('\ufffd')
    assert failure(-9, log).startswith('was killed by SIGKILL, perhaps because memory ran out; the end of')
    assert failure(-11, log).startswith('was killed by SIGSEGV; ')
    assert failure(7, log).startswith('ended with status 7; ')
