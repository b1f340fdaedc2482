"""Folders against folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.folders import CasePair, Failure, evaluate_folder, load_pair, pair_files
from mmseg_medical.geometry import Volume, read_labels, write_volume


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    for name in ('pred', 'target'):
        (tmp_path / name).mkdir()
    return tmp_path / 'pred', tmp_path / 'target'


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_natural_order_and_formats(folders):
    pred, target = folders
    touch(pred, 'img_10.nii.gz', 'img_9.nii.gz', 'img_1.png')
    touch(target, 'img_10.nrrd', 'img_9.nii', 'img_1.npy')
    pairs = pair_files(str(pred), target)
    assert pairs == [
        CasePair('img_1', pred / 'img_1.png', target / 'img_1.npy'),
        CasePair('img_9', pred / 'img_9.nii.gz', target / 'img_9.nii'),
        CasePair('img_10', pred / 'img_10.nii.gz', target / 'img_10.nrrd'),
    ]


def test_what_is_left_out(folders):
    pred, target = folders
    for folder in folders:
        touch(folder, 'a.mhd', 'a.raw', 'b.mhd', 'b.zraw')
    touch(pred, '._a.nii.gz', '.hidden.png', 'plans.json', 'a.npz', 'c.nii.gz.partial', '.d.nii.gz.0a.partial')
    (target / 'more.nii').mkdir()
    assert [pair.case_id for pair in pair_files(pred, target)] == ['a', 'b']


def test_channel_numbers_are_part_of_the_name(folders):
    pred, target = folders
    touch(pred, 'a_0000.nii.gz')
    touch(target, 'a.nii.gz')
    with pytest.raises(
        ValueError, match=r'1 target without prediction in .*pred \(a\); 1 prediction without target in'
    ):
        pair_files(pred, target)


def test_missing_partners_are_listed(folders):
    pred, target = folders
    touch(pred, 'b.nii', *(f'p{k}.nii' for k in range(10)))
    touch(target, 'b.nii', *(f't{k}.nii' for k in range(12)))
    with pytest.raises(ValueError, match='every prediction needs a target') as caught:
        pair_files(pred, target)
    assert str(caught.value) == (
        'every prediction needs a target of the same name and every target a prediction: '
        f'12 targets without prediction in {pred} (t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, and 2 more); '
        f'10 predictions without target in {target} (p0, p1, p2, p3, p4, p5, p6, p7, p8, p9)'
    )


def test_partners_missing_on_one_side(folders):
    pred, target = folders
    touch(pred, 'a.nii')
    touch(target, 'a.nii', 'b.nii')
    with pytest.raises(
        ValueError, match=r'1 target without prediction in .*pred \(b\); 0 predictions without target in \S+$'
    ):
        pair_files(pred, target)


def test_two_files_of_one_name(folders):
    pred, target = folders
    touch(pred, 'a.nii')
    touch(target, 'a.nii', 'a.nii.gz')
    with pytest.raises(ValueError, match=r"target: two files have the name 'a': a\.nii and a\.nii\.gz"):
        pair_files(pred, target)


def test_no_folders(folders, tmp_path):
    pred, target = folders
    with pytest.raises(ValueError, match=r'pred: expected predictions ending in \.nii\.gz, .*, found no files$'):
        pair_files(pred, target)
    touch(pred, 'a.jpg', 'b.json', '.c')
    with pytest.raises(ValueError, match=r'found 2 files of other kinds$'):
        pair_files(pred, target)
    with pytest.raises(ValueError, match='none: expected the folder of the predictions, found nothing'):
        pair_files(tmp_path / 'none', target)
    touch(pred, 'a.nii')
    with pytest.raises(ValueError, match=r'a\.nii: expected the folder of the targets, found a file'):
        pair_files(pred, pred / 'a.nii')


def write_pair(folders, pred, target, pred_affine=None, target_affine=None, pred_name='a.nii.gz', target_name='a.nii'):
    paths = [folder / name for folder, name in zip(folders, (pred_name, target_name), strict=True)]
    for path, array, affine in zip(paths, (pred, target), (pred_affine, target_affine), strict=True):
        write_volume(Volume(array, affine), path)
    return CasePair('a', *paths)


def labels(shape=(3, 5, 7), seed=0):
    return np.random.default_rng(seed).integers(0, 4, shape).astype(np.int16)


GRID = np.diag([0.5, 2, 3, 1])


def test_load(folders):
    loaded = load_pair(write_pair(folders, labels(), labels(seed=1), GRID, GRID))
    np.testing.assert_array_equal(loaded.pred, labels())
    np.testing.assert_array_equal(loaded.target, labels(seed=1))
    assert loaded.spacing_mm == (0.5, 2, 3)
    assert loaded.pred.dtype == loaded.target.dtype == np.uint8


def test_spacing_is_the_target_s(folders):
    nearly = GRID.copy()
    nearly[0, 0] += 5e-4
    assert load_pair(write_pair(folders, labels(), labels(), nearly, GRID)).spacing_mm == (0.5, 2, 3)


@pytest.mark.parametrize(('name', 'shape'), [('a.png', (5, 7)), ('a.tif', (5, 7, 3)), ('a.npy', (3, 5, 7))])
def test_without_geometry(folders, name, shape):
    pair = write_pair(folders, *[labels(shape).astype(np.uint8)] * 2, pred_name=name, target_name=name)
    assert load_pair(pair).spacing_mm is None
    spacing = (2.0, 3.0, 4.0)[: len(shape)]
    assert load_pair(pair, spacing_mm=list(spacing)).spacing_mm == spacing


def test_explicit_spacing(folders):
    pair = write_pair(folders, labels(), labels(), GRID, GRID)
    assert load_pair(pair, spacing_mm=(1, 2, 4)).spacing_mm == (1, 2, 4)
    with pytest.raises(ValueError, match=r'spacing_mm must have one number for each of the 3 axes, got \(1\.0, 1\.0\)'):
        load_pair(pair, spacing_mm=(1, 1))
    with pytest.raises(ValueError, match='spacing_mm must be positive'):
        load_pair(pair, spacing_mm=(1, 0, 1))


def test_differing_grids(folders):
    shifted = GRID.copy()
    shifted[0, 3] = 0.5
    pair = write_pair(folders, labels(), labels(), shifted, GRID)
    for spacing in (None, (1, 1, 1)):
        with pytest.raises(ValueError, match='lie on different grids') as caught:
            load_pair(pair, spacing_mm=spacing)
        assert str(caught.value).startswith(
            f'prediction and target lie on different grids: the affines differ by up to 0.5 mm (row 0, column 3; '
            f'tolerance 0.001): {pair.pred} has '
        )
        assert str(caught.value).endswith('; resample the prediction if that is what is wanted')
    loaded = load_pair(pair, resample_prediction=True)
    np.testing.assert_array_equal(loaded.pred[1:], labels()[:-1])
    assert not loaded.pred[0].any()
    assert loaded.spacing_mm == (0.5, 2, 3)


def test_differing_sizes(folders):
    pair = write_pair(folders, labels((4, 5, 7)), labels(), GRID, GRID)
    with pytest.raises(ValueError, match=r'has size \(4, 5, 7\), .* has \(3, 5, 7\); resample the prediction'):
        load_pair(pair)
    np.testing.assert_array_equal(load_pair(pair, resample_prediction=True).pred, labels((4, 5, 7))[:3])


def test_one_without_geometry(folders):
    pair = write_pair(folders, labels(), labels(), None, GRID, pred_name='a.npy')
    for resample in (False, True):
        with pytest.raises(
            ValueError, match=r'a\.npy has no affine, .* has one; state the spacing if their axes agree$'
        ):
            load_pair(pair, resample_prediction=resample)
    assert load_pair(pair, spacing_mm=(1, 2, 3)).spacing_mm == (1, 2, 3)
    pair = write_pair(folders, labels((7, 5, 3)), labels(), None, GRID, pred_name='a.npy')
    for resample in (False, True):
        with pytest.raises(ValueError, match=r'has size \(7, 5, 3\), \S+ has \(3, 5, 7\)$'):
            load_pair(pair, resample_prediction=resample, spacing_mm=(1, 2, 3))


def test_planes_without_geometry_cannot_be_resampled(folders):
    pair = write_pair(
        folders, *(labels(s).astype('uint8') for s in ((4, 5), (5, 4))), pred_name='a.png', target_name='a.png'
    )
    with pytest.raises(ValueError, match=r'has size \(4, 5\), \S+ has \(5, 4\)$'):
        load_pair(pair, resample_prediction=True)


def count(pair: CasePair) -> tuple[str, int, int]:
    return pair.case_id, int(read_labels(pair.pred).array.sum()), torch.get_num_threads()


def misbehave(pair: CasePair, seconds: float = 0.0):
    time.sleep(seconds)
    actions = {'case_2': 'die', 'case_4': 'type', 'case_5': 'value', 'case_6': 'function', 'case_7': 'exit'}
    action = actions.get(pair.case_id)
    if action == 'die':
        os.kill(os.getpid(), signal.SIGKILL)
    if action == 'exit':
        os._exit(3)
    if action == 'function':
        return lambda: 0
    if action == 'type':
        raise TypeError('odd thing')
    if action == 'value':
        raise ValueError(f'{pair.target}: expected this, found that')
    return pair.case_id, os.getpid()


def needs_a_package(pair: CasePair) -> None:
    raise ImportError('nibabel is needed')


def cases(count_of: int, folders: tuple[Path, Path] = (Path('p'), Path('t'))) -> list[CasePair]:
    return [CasePair(f'case_{k}', folders[0] / f'case_{k}.npy', folders[1] / f'case_{k}.npy') for k in range(count_of)]


@pytest.fixture
def written(folders):
    pairs = cases(5, folders)
    for k, pair in enumerate(pairs):
        for path in (pair.pred, pair.target):
            np.save(path, np.full((2, 3), k, np.uint8))
    return pairs


def test_one_process_and_several_give_the_same(written):
    written[3].pred.write_bytes(b'')
    written[1].pred.unlink()
    alone = evaluate_folder(written, count, jobs=1, progress=False)
    several = evaluate_folder(written, count, jobs=2)
    assert [result[:2] for result in alone[0]] == [('case_0', 0), ('case_2', 12), ('case_4', 24)]
    assert [result[:2] for result in several[0]] == [result[:2] for result in alone[0]]
    assert {result[2] for result in several[0]} == {1}
    assert alone[1] == several[1]
    assert [failure.case_id for failure in alone[1]] == ['case_1', 'case_3']
    assert str(written[1].pred) in alone[1][0].error
    assert alone[1][1] == Failure(
        'case_3', f'{written[3].pred}: expected an image, found a file of zero bytes. Copy or download it again.'
    )


def test_every_failure_is_reported_and_the_rest_goes_on():
    results, failures = evaluate_folder(cases(9), misbehave, jobs=2, progress=False)
    assert [result[0] for result in results] == ['case_0', 'case_1', 'case_3', 'case_8']
    assert os.getpid() not in {result[1] for result in results}
    function = failures.pop(3)
    assert function.case_id == 'case_6'
    assert function.error.startswith('the result cannot be passed to another process: ')
    assert function.error.endswith(' (p/case_6.npy, t/case_6.npy)')
    assert failures == [
        Failure(
            'case_2',
            'the process was killed, perhaps because memory ran out: try fewer jobs (p/case_2.npy, t/case_2.npy)',
        ),
        Failure('case_4', 'TypeError: odd thing (p/case_4.npy, t/case_4.npy)'),
        Failure('case_5', 't/case_5.npy: expected this, found that'),
        Failure('case_7', 'the process died with exit code 3 (p/case_7.npy, t/case_7.npy)'),
    ]


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_missing_package_is_said_once(jobs):
    with pytest.raises(ImportError, match=r'^nibabel is needed$'):
        evaluate_folder(cases(2), needs_a_package, jobs=jobs)


def test_no_cases_and_one_case():
    assert evaluate_folder([], misbehave, jobs=3) == ([], [])
    assert evaluate_folder(cases(1), misbehave, jobs=3) == ([('case_0', os.getpid())], [])


@pytest.mark.parametrize('jobs', [0, -1])
def test_number_of_jobs(jobs):
    with pytest.raises(ValueError, match=f'jobs must be at least 1, got {jobs}'):
        evaluate_folder([], misbehave, jobs=jobs)


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite run in the background passes on that it is ignored
sys.path.append({folder!r})
from test_folders import cases, misbehave
from functools import partial
from mmseg_medical.evaluation.folders import evaluate_folder
if __name__ == '__main__':
    print('ready', flush=True)
    evaluate_folder(cases(2), partial(misbehave, seconds=600), jobs=9, progress=False)
"""


def test_interrupted(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == 'ready\n'
    time.sleep(0.3)
    start = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)  # ends only when the workers have, which hold the pipe open
    assert time.monotonic() - start < 10
    assert process.returncode != 0
    assert 'KeyboardInterrupt' in error


def test_progress_is_for_terminals(written, capfd):
    evaluate_folder(written, count, progress=True)
    assert capfd.readouterr().out == ''


@pytest.mark.realdata
def test_hippocampus(realdata, tmp_path):
    target = realdata / 'Task04_Hippocampus' / 'labelsTr'
    pairs = pair_files(target, target)
    assert len(pairs) == 208
    assert [pair.case_id for pair in pairs[:2]] == ['hippocampus_001', 'hippocampus_004']
    loaded = load_pair(pairs[0])
    assert loaded.spacing_mm == (1, 1, 1)
    np.testing.assert_array_equal(loaded.pred, loaded.target)
