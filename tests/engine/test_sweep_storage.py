from __future__ import annotations

import importlib.util

import pytest
import sweep_cases as cases

from mmseg_medical.engine.sweep.search import search
from mmseg_medical.engine.sweep.storage import JOURNAL, open_storage
from mmseg_medical.errors import ConfigError

optuna = pytest.importorskip('optuna')


@pytest.mark.parametrize(
    ('url', 'message'),
    [
        ('sqlite:////nowhere/at/all/x.db', 'unable to open database file'),
        ('nosql://host/x', 'NoSuchModuleError'),
        ('sqlite3://', 'NoSuchModuleError|not parse'),
    ],
)
def test_storages_that_cannot_be_reached(tmp_path, url, message):
    with pytest.raises(ConfigError, match=rf'--storage {url} cannot be reached: .*({message})'):
        open_storage(url, tmp_path)


def test_a_journal_in_a_place_that_is_a_file(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match=r'cannot be reached: (NotADirectory|FileExists)Error'):
        open_storage(str(tmp_path / 'file' / 'x.journal'), tmp_path)


def test_a_file_that_is_no_journal(tmp_path):
    config = cases.write(tmp_path)
    text = config.read_text()
    with pytest.raises(ConfigError, match=r'net\.py cannot be reached: JSONDecodeError'):
        open_storage(str(config), tmp_path)
    assert config.read_text() == text


def test_a_storage_that_is_lost(tmp_path, monkeypatch):
    cases.write(tmp_path)
    slots = cases.slots(cases.sweep(tmp_path))
    lost = optuna.exceptions.StorageInternalError('the server has gone away')

    def fail(*args, **options):
        raise lost

    monkeypatch.setattr(type(slots.store.storage), 'get_all_trials', fail)
    with pytest.raises(ConfigError, match='storage of the sweep was lost: the server has gone away; the same call'):
        search(cases.sweep(tmp_path), slots, cases.executor(tmp_path)[0])
    monkeypatch.setattr(optuna, 'create_study', fail)
    with pytest.raises(ConfigError, match=r"storage of the sweep 'net' cannot be used: .*gone away"):
        cases.store(cases.sweep(tmp_path))


def test_passwords_stay_secret(tmp_path):
    with pytest.raises(ConfigError, match=r'--storage nosql://me:\*\*\*@host/x cannot') as caught:
        open_storage('nosql://me:secret@host/x', tmp_path)
    assert 'secret' not in str(caught.value)


def test_the_default_is_a_journal_in_the_work_dir(tmp_path):
    cases.write(tmp_path)
    cases.store(cases.sweep(tmp_path))
    assert (tmp_path / 'w' / JOURNAL).stat().st_size > 0


def test_a_sweep_that_has_changed(tmp_path):
    cases.write(tmp_path)
    cases.store(cases.sweep(tmp_path))
    cases.store(cases.sweep(tmp_path, trials=2, pruner='median', cfg_options={'train_dataloader.num_workers': 3}))
    with pytest.raises(ConfigError, match=r'begun otherwise: seeds was \(0,\), is \(1,\)\. Undo the change, or begin'):
        cases.store(cases.sweep(tmp_path, seeds=(1,)))
    with pytest.raises(ConfigError, match='metric was dice, higher is better, is dice, lower is better'):
        cases.store(cases.sweep(tmp_path, direction='minimize'))
    with pytest.raises(ConfigError, match='begun otherwise: config was'):
        cases.store(cases.sweep(tmp_path, cfg_options={'train_cfg.max_epochs': 5}))
    cases.write(tmp_path, "parameters = {'model.width': [2, 8], 'model.depth': [1]}\n")
    with pytest.raises(ConfigError, match=r'parameter model\.width was .*; parameter model\.depth was absent, is'):
        cases.store(cases.sweep(tmp_path))


def test_without_optuna(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r"optuna is needed.*pip install 'mmseg-medical\[sweeps\]'"):
        open_storage(None, tmp_path)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(sampler='gird'), r'--sampler gird: expected is grid, random, tpe\. Did you mean grid'),
        (dict(pruner='medain'), 'Did you mean median'),
        (dict(trials=0), '--trials 0: at least one'),
        (dict(metric='volume_mm3'), '--direction maximize or minimize'),
        (dict(seeds=()), '--seeds: at least one'),
    ],
)
def test_contradictions(tmp_path, options, message):
    cases.write(tmp_path)
    with pytest.raises(ConfigError, match=message):
        cases.sweep(tmp_path, **options)


def test_which_side_is_better(tmp_path):
    cases.write(tmp_path)
    sides = [cases.sweep(tmp_path, metric=m).higher for m in ('dice', 'mAUPR', 'hd95', 'hd95.LV', 'loss', 'val_loss')]
    assert sides == [True, True, False, False, False, False]
    assert not cases.sweep(tmp_path, direction='minimize').higher


def test_a_config_without_validation(tmp_path):
    config = cases.write(tmp_path)
    config.write_text(config.read_text().replace('val_dataloader = dict(batch_size=1)\n', ''))
    with pytest.raises(ConfigError, match='no val_dataloader: take --objective test'):
        cases.sweep(tmp_path).check()
    cases.sweep(tmp_path, objective='test').check()
    with pytest.raises(ConfigError, match='no val_dataloader'):
        cases.sweep(tmp_path, objective='test', pruner='median').check()
