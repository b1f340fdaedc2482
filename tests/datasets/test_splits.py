import json
from itertools import combinations

import pytest

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.splits import hold_out, k_folds, rare_unet_split, read_split

CASES = [f'case_{i:03d}' for i in range(23)]


def patient(case: str) -> str:
    return str(int(case[-3:]) // 3)


@pytest.mark.parametrize(('number', 'expected'), [(260, (198, 10, 52)), (484, (368, 19, 97))])
def test_the_originals_counts(number, expected):
    cases = [f'hippocampus_{i:03d}' for i in range(number)]
    parts = rare_unet_split(cases)
    assert tuple(len(parts[name]) for name in ('train', 'val', 'test')) == expected
    assert sorted(case for part in parts.values() for case in part) == cases
    assert rare_unet_split(cases[::-1]) == parts
    assert rare_unet_split(cases, seed=1) != parts


@pytest.mark.parametrize('group', [None, patient])
@pytest.mark.parametrize('folds', [2, 5, 8])
def test_every_case_validates_once(folds, group):
    parts = k_folds(CASES, folds, group=group)
    assert sorted(case for part in parts for case in part['val']) == CASES
    for part in parts:
        assert sorted(part['train'] + part['val']) == CASES
        if group is not None:
            assert not {group(c) for c in part['train']} & {group(c) for c in part['val']}
    sizes = [len({(group or str)(c) for c in part['val']}) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert k_folds(CASES[::-1], folds, group=group) == parts


def test_cases_are_held_out():
    parts = hold_out(CASES, 7)
    assert [len(parts[name]) for name in ('train', 'val')] == [16, 7]
    assert not set(parts['train']) & set(parts['val'])
    assert hold_out(CASES, 7, seed=1) != parts
    assert len(hold_out(CASES, 2, group=patient)['val']) in (5, 6)
    for number in (0, 23):
        with pytest.raises(ValueError, match='cannot be held out'):
            hold_out(CASES, number)
    with pytest.raises(ValueError, match='cannot be divided into 24 folds'):
        k_folds(CASES, 24)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_parts_and_folds_are_read(tmp_path):
    path = write(tmp_path / 'a.json', {'seed': 1, 'train': ['a'], 'val': ['b']})
    assert read_split(path, 'val') == ('train', ['b'])
    path = write(path, {'source': 'test', 'folds': [{'train': ['a'], 'val': ['b']}, {'train': ['b'], 'val': ['a']}]})
    assert read_split(path, 'val', 1) == ('test', ['a'])


@pytest.mark.parametrize(
    ('content', 'arguments', 'message'),
    [
        ('{', ('val',), 'expected a JSON file of splits'),
        ([1], ('val',), 'expected a JSON object of splits, found a list'),
        ({'train': []}, ('vall',), r"expected a split out of 'train', found 'vall'"),
        ({'train': [], 'val': []}, ('vall',), 'Did you mean val'),
        ({'train': ['a', 'a']}, ('train',), 'a repeated'),
        ({'train': ['a'], 'val': ['a']}, ('val',), "a in 'train' and 'val'"),
        ({'train': []}, ('train', 0), 'expected folds'),
        ({'folds': [{'train': []}]}, ('train',), 'Set fold of the dataset to 0..0'),
        ({'folds': [{'train': []}]}, ('train', 1), 'expected a fold in 0..0, found 1'),
    ],
)
def test_files_that_cannot_be_used(tmp_path, content, arguments, message):
    path = write(tmp_path / 'bad.json', content)
    with pytest.raises(DataError, match=message):
        read_split(path, *arguments)


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match='Set split_file'):
        read_split(tmp_path / 'none.json', 'val')


def test_the_committed_splits():
    folder = 'configs/rare_unet/splits'
    parts = [set(read_split(f'{folder}/hippocampus_166_42.json', split)[1]) for split in ('train', 'val')]
    assert [len(part) for part in parts] == [166, 42]
    folds = [set(read_split(f'{folder}/hippocampus_5fold.json', 'val', fold)[1]) for fold in range(5)]
    assert all(not a & b for a, b in combinations(folds, 2))
    assert set.union(*folds) == set.union(*parts)
