from __future__ import annotations

from pathlib import Path

import pytest

from mmseg_medical.engine.ablation.group import group_name, read_group
from mmseg_medical.errors import ConfigError


@pytest.fixture
def folder(tmp_path) -> Path:
    ablations = tmp_path / 'ablations'
    ablations.mkdir()
    for name in ('loss_dice', 'loss_focal', 'depth_10', 'depth_9', '_shared'):
        (ablations / f'{name}.py').touch()
    (tmp_path / 'base.py').touch()
    return tmp_path


def names(*words: object) -> list[str]:
    return [experiment.name for experiment in read_group([str(word) for word in words])]


def test_a_folder_in_natural_order_without_what_is_only_inherited(folder):
    assert names(folder / 'ablations') == ['depth_9', 'depth_10', 'loss_dice', 'loss_focal']


def test_an_axis_a_pattern_and_single_files_in_the_order_given(folder):
    assert names(folder / 'base.py', folder / 'ablations' / 'loss') == ['base', 'loss_dice', 'loss_focal']
    assert names(folder / 'ablations' / '*_9.py') == ['depth_9']
    assert names(folder / 'ablations' / 'loss_dice.py', folder / 'base.py') == ['loss_dice', 'base']


def test_a_list_with_comments(folder):
    listed = folder / 'group.txt'
    listed.write_text(f'# the axes\n{folder}/base.py  # reference\n\nmine={folder}/ablations/loss_dice.py\n')
    assert names(listed) == ['base', 'mine']
    assert [str(e.config) for e in read_group([str(listed)])][1] == f'{folder}/ablations/loss_dice.py'


def test_the_same_file_twice_is_one_config(folder):
    assert names(folder / 'base.py', folder / 'ablations' / '..' / 'base.py') == ['base']


def test_two_files_of_one_name_are_told_apart_by_a_given_name(folder):
    other = folder / 'ablations' / 'base.py'
    other.touch()
    with pytest.raises(ConfigError, match=r"two configs of the group are called 'base'.*NAME="):
        read_group([str(folder / 'base.py'), str(other)])
    assert names(folder / 'base.py', f'other={other}') == ['base', 'other']


@pytest.mark.parametrize(
    ('word', 'message'),
    [
        ('{}/ablations/los', r'no file in .*ablations is called los_\*\.py\. Did you mean loss'),
        ('{}/nothing.txt', 'there is no list of configs'),
        ('{}/empty', r'holds no config'),
        ('{}/note.md', r'is no config: a \.py file'),
        ('mine={}/absent.py', 'is not of the form NAME=FILE'),
        ('={}/base.py', 'is not of the form NAME=FILE'),
        ('{}/outer.txt', r'names another list, group\.txt'),
        ('{}/blank.txt', 'names no config'),
    ],
)
def test_what_names_nothing(folder, word, message):
    (folder / 'empty').mkdir()
    (folder / 'note.md').touch()
    (folder / 'outer.txt').write_text('group.txt\n')
    (folder / 'blank.txt').write_text('# nothing\n')
    with pytest.raises(ConfigError, match=message):
        read_group([word.format(folder)])


def test_the_configs_of_this_project():
    assert 'loss_mining_only' in names('configs/hacdr/ablations')
    assert all(name.startswith('loss_') for name in names('configs/hacdr/ablations/loss'))


@pytest.mark.parametrize(
    ('word', 'name'),
    [
        ('configs/hacdr/ablations/', 'hacdr'),
        ('configs/hacdr/ablations/loss', 'loss'),
        ('configs/hacdr/ablations/loss_*.py', 'loss'),
        ('mine=configs/hacdr/idrid.py', 'mine'),
        ('*.py', 'group'),
    ],
)
def test_the_name_of_a_group(word, name):
    assert group_name([word]) == name
