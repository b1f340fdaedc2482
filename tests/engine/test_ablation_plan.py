from __future__ import annotations

import ablation_cases as cases
import pytest

from mmseg_medical.cli import parse_value
from mmseg_medical.engine.ablation.group import Experiment
from mmseg_medical.engine.ablation.plan import choose_baseline, flatten
from mmseg_medical.errors import ConfigError


@pytest.fixture
def configs(tmp_path):
    return [cases.write_config(tmp_path / 'configs', name) for name in ('a', 'b')]


def test_all_configs_with_the_first_seed_come_first(configs, tmp_path):
    runs = cases.plan(tmp_path / 'w', *configs, seeds=(3, 5))
    assert [(run.name, run.seed) for run in runs] == [('a', 3), ('b', 3), ('a', 5), ('b', 5)]
    assert runs[3].folder == tmp_path / 'w' / 'b' / 'seed5'
    assert runs[3].settings['randomness.seed'] == '5'
    assert runs[0].best_by == ('dice',)
    assert runs[0].title == 'a, seed 3'


def test_options_reach_every_config_and_its_fingerprint(configs, tmp_path):
    plain = cases.plan(tmp_path, *configs)
    same = cases.plan(tmp_path / 'elsewhere', *configs)
    changed = cases.plan(tmp_path, *configs, cfg_options={'train_dataloader.batch_size': 2})
    assert [run.fingerprint for run in plain] == [run.fingerprint for run in same]
    assert changed[1].settings['train_dataloader.batch_size'] == '2'
    assert len({run.fingerprint for run in plain + changed}) == 4


def test_an_inherited_change_is_seen(configs, tmp_path):
    heir = configs[0].with_name('heir.py')
    heir.write_text("_base_ = './a.py'\nmodel = dict(width=1)\n")
    (before,) = cases.plan(tmp_path, heir)
    configs[0].write_text(configs[0].read_text() + 'train_dataloader = dict(batch_size=7)\n')
    (after,) = cases.plan(tmp_path, heir)
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize(
    ('more', 'options', 'message'),
    [
        ('', {'cfg_options': {'randomness.seed': 1}}, 'given with --seeds'),
        ('', {'seeds': (1, 2, 1)}, 'a seed is given twice'),
        ('test_evaluator = None\n', {}, r'a\.py has no test_evaluator'),
        ("test_evaluator = [dict(type='A', output_dir='x')]\n", {}, 'sets output_dir of test_evaluator'),
    ],
)
def test_what_cannot_be_run_is_refused_before(configs, tmp_path, more, options, message):
    configs[0].write_text(configs[0].read_text() + more)
    with pytest.raises(ConfigError, match=message):
        cases.plan(tmp_path, *configs, **options)


def test_flat_settings_name_functions_and_order_sets():
    flat = dict(flatten({'f': parse_value, 's': {3, 1, 2}, 'd': {}, 't': (), 'n': {1: {'x': None}}}))
    assert flat == {'f': 'mmseg_medical.cli.parse_value', 's': '{1, 2, 3}', 'd': '{}', 't': '[]', 'n.1.x': 'None'}


def test_baseline(configs):
    group = [Experiment(path.stem, path) for path in configs]
    assert choose_baseline(group, None) == 'a'
    assert choose_baseline(group, 'b') == 'b'
    with pytest.raises(ConfigError, match=r'no config of this name, it has a, b'):
        choose_baseline(group, 'c')
