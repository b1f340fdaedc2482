from __future__ import annotations

import json
from dataclasses import replace

import ablation_cases as cases
import pytest

from mmseg_medical.engine.ablation.state import State, read_state, set_aside, write_state
from mmseg_medical.errors import ConfigError


@pytest.fixture
def run(tmp_path):
    (run,) = cases.plan(tmp_path / 'w', cases.write_config(tmp_path / 'configs', 'a'))
    return run


def changed(run):
    return replace(run, settings={**run.settings, 'model.type': "'new'", 'model.width': '3'})


def test_a_run_that_never_began(run):
    assert read_state(run) == State(settings=run.settings)
    assert not run.folder.exists()


def test_what_is_written_is_read(run):
    state = State('failed', True, 'iter_2.pth', 'boom', 3, run.settings)
    write_state(run, state)
    assert read_state(run) == state
    content = json.loads((run.folder / 'run.json').read_text())
    assert content['fingerprint'] == run.fingerprint
    assert (content['name'], content['seed'], content['format']) == ('a', 0, 'mmseg_medical.run/1')


def test_finished_without_its_record_is_tested_again(run):
    write_state(run, State('finished', True, settings=run.settings))
    assert read_state(run).status == 'testing'
    (run.folder / 'test').mkdir()
    (run.folder / 'test' / 'test_record.json').touch()
    assert read_state(run).status == 'finished'


def test_a_changed_config_says_what_changed_and_what_to_do(run):
    write_state(run, State('training', settings=run.settings))
    with pytest.raises(ConfigError) as caught:
        read_state(changed(run))
    message = str(caught.value)
    assert "model.type was 'a', is 'new'; model.width was absent, is 3" in message
    assert '--again' in message
    many = replace(run, settings={**run.settings, **{f'k{i}': '' for i in range(9)}})
    with pytest.raises(ConfigError, match='and 4 more'):
        read_state(many)


def test_a_damaged_file_and_the_folder_of_another_training(run):
    run.folder.mkdir(parents=True)
    (run.folder / 'run.json').write_text('{"status": ')
    with pytest.raises(ConfigError, match=r'run\.json is damaged.*--again'):
        read_state(run)
    (run.folder / 'run.json').unlink()
    (run.folder / 'iter_1.pth').touch()
    for function in (read_state, set_aside):
        with pytest.raises(ConfigError, match='choose another --work-dir'):
            function(run)


def test_what_changed_is_kept_beside(run):
    write_state(run, State('training', settings=run.settings))
    set_aside(run)
    assert run.folder.exists()  # nothing has changed
    for old in ('seed0_old', 'seed0_old2'):
        write_state(run, State('training', settings=run.settings))
        set_aside(changed(run))
        assert not run.folder.exists()
        assert (run.folder.parent / old / 'run.json').exists()
