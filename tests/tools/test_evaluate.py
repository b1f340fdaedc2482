"""tools/evaluate.py as a user calls it."""

import json

import numpy as np
import pytest
from command import run
from PIL import Image


@pytest.fixture
def volumes(tmp_path):
    nibabel = pytest.importorskip('nibabel')
    generator = np.random.default_rng(0)
    for folder in ('pred', 'target'):
        (tmp_path / folder).mkdir()
        for case in ('case_2', 'case_10'):
            labels = generator.integers(0, 4, (6, 5, 4)).astype(np.uint8).repeat(3, 0).repeat(3, 1)
            image = nibabel.Nifti1Image(labels, np.diag([1.0, 1.5, 4.0, 1.0]))
            nibabel.save(image, tmp_path / folder / f'{case}.nii.gz')
    return tmp_path


def evaluate(folder, *words, **options):
    where = ['--pred', folder / 'pred', '--target', folder / 'target']
    return run('evaluate.py', *where, *words, **options)


def test_volumes(volumes):
    done = evaluate(
        volumes, '--num-classes', 4, '--class-names', 'NCR', 'ED', 'ET', '--regions', 'WT=1,2,3', 'TC=1,3',
        '--tolerance-mm', 1.5, '--surface', 'surfel', '--jobs', 2, '--out', volumes / 'out',
    )  # fmt: skip
    assert 'nsd@1.5mm' in done.stdout
    assert 'report.html' in done.stdout
    content = json.loads((volumes / 'out' / 'metrics.json').read_text())
    assert list(content['cases']) == ['case_2', 'case_10']
    assert list(content['cases']['case_2']) == ['NCR', 'ED', 'ET', 'WT', 'TC']
    assert content['failures'] == {}
    assert 'area' in content['conventions']['surface']
    assert content['cases']['case_2']['WT']['volume_mm3'] % 6 == 0
    assert content['summary']['TC']['dice']['n_valid'] == 2
    assert len((volumes / 'out' / 'cases.csv').read_text().splitlines()) == 11
    assert '<html' in (volumes / 'out' / 'report.html').read_text()


def test_one_broken_file(volumes):
    (volumes / 'pred' / 'case_10.nii.gz').write_bytes(b'no image')
    done = evaluate(volumes, '--num-classes', 4, code=1)
    assert 'case_10: ' in done.stderr
    assert '1 of 2 cases could not be evaluated' in done.stderr
    content = json.loads((volumes / 'pred_evaluation' / 'metrics.json').read_text())
    assert list(content['cases']) == ['case_2']
    assert 'case_10.nii.gz' in content['failures']['case_10']


def test_images_in_pixels(tmp_path):
    generator = np.random.default_rng(0)
    for folder in ('pred', 'target'):
        (tmp_path / folder).mkdir()
        for case in range(2):
            labels = generator.integers(0, 2, (9, 7), np.uint8).repeat(4, 0)
            Image.fromarray(labels).save(tmp_path / folder / f'{case}.png')
    evaluate(tmp_path, '--num-classes', 2, '--out', tmp_path / 'out')
    content = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert content['conventions']['unit'] == 'pixels'
    assert 'nsd@1px' in content['metrics']


def test_what_concerns_all_files_ends_at_once(volumes):
    done = evaluate(volumes, '--num-classes', 3, fails=True)
    assert 'none of the 2 cases' in done.stderr
    assert 'target holds labels outside 0..2: 3' in done.stderr


def test_missing_partner(volumes):
    (volumes / 'pred' / 'case_2.nii.gz').rename(volumes / 'pred' / 'case_3.nii.gz')
    done = evaluate(volumes, '--num-classes', 4, fails=True)
    assert 'case_2' in done.stderr
    assert 'case_3' in done.stderr
