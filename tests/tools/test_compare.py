"""tools/compare.py as a user calls it."""

import json
import shutil

import numpy as np
import pytest
from command import run


@pytest.fixture
def folders(tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / 'labels').mkdir()
    for case in range(1, 5):
        labels = generator.integers(0, 3, (4, 5, 3), np.uint8).repeat(3, 0).repeat(3, 1)
        np.save(tmp_path / 'labels' / f'case_{case}.npy', labels)
        for number, method in enumerate(('ours', 'theirs')):
            (tmp_path / method).mkdir(exist_ok=True)
            wrong = generator.random(labels.shape) < 0.1 + 0.3 * number
            np.save(tmp_path / method / f'case_{case}.npy', np.where(wrong, 0, labels).astype(np.uint8))
    return tmp_path


def compare(folder, *words, names=('ours', 'theirs'), **options):
    methods = [f'{name}={folder / name}' for name in names]
    return run(
        'compare.py', *methods, '--target', folder / 'labels', '--num-classes', 3, '--spacing-mm', 1, 1, 2, *words,
        **options,
    )  # fmt: skip


def test_comparison(folders):
    out = folders / 'out'
    done = compare(folders, '--class-names', 'a', 'b', '--regions', 'all=1,2', '--seed', 5, '--out', out)
    assert 'Holm' in done.stdout
    assert 'report.html' in done.stdout
    content = json.loads((out / 'comparison.json').read_text())
    assert content['methods'] == ['ours', 'theirs']
    assert content['classes'] == ['a', 'b', 'all']
    assert content['conventions']['seed'] == '5'
    assert content['places']['theirs'] == [str(folders / 'theirs')]
    (pair,) = content['pairs']['all']['dice']
    assert pair['better'] == 'ours'
    assert pair['wilcoxon']['p_value'] == 0.125  # four cases, all better
    assert pair['num_pairs'] == 4
    assert (out / 'figures' / 'difference_hd95_1_ours_theirs.png').exists()
    assert '<html' in (out / 'report.html').read_text()
    assert len((out / 'cases.csv').read_text().splitlines()) == 1 + 2 * 4 * 3


def test_what_was_measured_before(folders):
    options = ('--target', folders / 'labels', '--num-classes', 3, '--spacing-mm', 1, 1, 2, '--surface', 'none')
    compare(folders, '--surface', 'none', '--out', folders / 'from_folders')
    for name in ('ours', 'theirs'):
        run('evaluate.py', '--pred', folders / name, *options, '--out', folders / f'{name}_measured')
    words = [f'{name}={folders / f"{name}_measured" / "metrics.json"}' for name in ('ours', 'theirs')]
    assert 'Holm' in run('compare.py', *words, '--out', folders / 'from_files').stdout
    first, second = (
        json.loads((folders / name / 'comparison.json').read_text()) for name in ('from_folders', 'from_files')
    )
    assert first['pairs'] == second['pairs']
    assert first['summary'] == second['summary']
    mixed = run('compare.py', words[0], f'theirs={folders / "theirs"}', fails=True)
    assert 'is no file: give a metrics.json of every run' in mixed.stderr
    assert '--target DIR' in run('compare.py', 'a=x', 'b=y', fails=True).stderr


def test_several_runs_of_a_method(folders):
    shutil.copytree(folders / 'theirs', folders / 'theirs_again')
    (folders / 'theirs_again' / 'case_2.npy').write_bytes(b'nonsense')
    words = [f'{name}={folders / place}' for name, place in (('a', 'ours'), ('b', 'theirs'), ('b', 'theirs_again'))]
    options = ('--target', folders / 'labels', '--num-classes', 3, '--class-names', 'x', 'y', '--surface', 'none')
    done = run('compare.py', *words, *options, '--out', folders / 'out', code=1)
    assert 'Mean over the runs' in done.stdout
    assert 'b, run 2, case_2: ' in done.stderr
    content = json.loads((folders / 'out' / 'comparison.json').read_text())
    assert content['cases'] == ['case_1', 'case_3', 'case_4']
    (pair,) = content['runs']['x']['dice']
    assert (pair['first_runs']['num_runs'], pair['second_runs']['num_runs']) == (1, 2)
    assert pair['second_runs']['mean'] == content['summary']['b']['x']['dice']['mean']
    assert '<h2>Runs</h2>' in (folders / 'out' / 'report.html').read_text()


def test_a_broken_file_is_left_out_of_all(folders):
    (folders / 'theirs' / 'case_2.npy').write_bytes(b'nonsense')
    done = compare(folders, '--surface', 'none', '--out', folders / 'out', code=1)
    assert 'theirs, case_2: ' in done.stderr
    assert '1 case could not be evaluated for every method' in done.stderr
    content = json.loads((folders / 'out' / 'comparison.json').read_text())
    assert content['cases'] == ['case_1', 'case_3', 'case_4']
    assert 'case_2.npy' in content['failures']['theirs']['case_2']
    assert 'could not be evaluated' in (folders / 'out' / 'report.html').read_text()


def test_a_missing_file(folders):
    (folders / 'theirs' / 'case_2.npy').unlink()
    assert 'case_2' in compare(folders, fails=True).stderr


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['ours=x', 'theirs=y', 'ours=x'], "the method 'ours' has one run twice: x"),
        (['ours=x', 'ours=y'], 'two methods or more, got 1: ours'),
        (['a=nowhere', 'b=nothing'], 'nowhere'),
    ],
)
def test_what_is_wrong_ends_at_once(words, message):
    done = run('compare.py', *words, '--target', 'labels', '--num-classes', 2, fails=True)
    assert message in done.stderr
