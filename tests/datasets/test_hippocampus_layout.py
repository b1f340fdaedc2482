"""The original's slices of the hippocampus: rules, numbers, and what is left when something is wrong."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from mmseg_medical.datasets import DataError, MSDDataset
from mmseg_medical.datasets.hippocampus_layout import AXES, SIZE, augmented, check_slices, write_slices
from mmseg_medical.datasets.phantoms import write_decathlon
from mmseg_medical.datasets.preprocessed_layout import resize_slices
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, read_volume, write_volume

TASK = 'Task04_Hippocampus'
TOOL = 'tools/dataset_converters/hippocampus_slices.py'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_decathlon(tmp_path_factory.mktemp('msd'), num_cases=3, size=(9, 11, 7))


@pytest.fixture(scope='module')
def written(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp('slices') / 'out'
    return folder, write_slices(MSDDataset(str(root)), folder, slices=4)


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
    runpy.run_path(TOOL, run_name='__main__')
    return ' '.join(capsys.readouterr().out.split())


def pair(folder, number):
    return tuple(np.load(folder / f'{kind}_{number:06d}.npy') for kind in ('img', 'mask'))


def test_numbers_and_the_boundary(written):
    folder, metadata = written
    assert len(metadata['slices']) == 3 * 3 * 4
    assert metadata['train'] == 28  # int(0.8 * 36)
    assert metadata['straddles'] == 'hippocampus_003'
    assert sorted(metadata['slices'], key=lambda one: one['case']) == metadata['slices']
    assert [one['plane'] for one in metadata['slices'][:12:4]] == ['axial', 'coronal', 'sagittal']
    # nothing that validates is augmented; of 28 some are, with probability 1 - 0.4^28
    assert {one['action'] for one in metadata['slices'][28:]} == {'none'}
    assert len({one['action'] for one in metadata['slices'][:28]}) > 1
    assert json.loads((folder / 'metadata.json').read_text()) == metadata
    assert check_slices(folder) == 36


def test_slices_are_those_of_the_stretched_volume(root, written):
    folder, metadata = written
    volumes = {}
    for number, one in enumerate(metadata['slices']):
        if one['action'] != 'none':
            continue
        if one['case'] not in volumes:
            image, labels = (
                read_volume(root / TASK / kind / f'{one["case"]}.nii.gz').array for kind in ('imagesTr', 'labelsTr')
            )
            image = resize_slices(image.astype(np.float64), (SIZE,) * 3, 1)
            scaled = (image - image.min()) / (image.max() - image.min())
            volumes[one['case']] = scaled, resize_slices(labels, (SIZE,) * 3, 0)
        image, mask = pair(folder, number)
        expected = [np.take(array, one['index'], AXES[one['plane']]) for array in volumes[one['case']]]
        np.testing.assert_allclose(image, expected[0], atol=1e-6)
        np.testing.assert_array_equal(mask, expected[1])
        assert mask.any()
        assert (image.dtype, mask.dtype) == (np.float32, np.int64)


def test_the_same_seed_writes_the_same(root, written, tmp_path):
    folder, metadata = written
    assert write_slices(MSDDataset(str(root)), tmp_path / 'again', slices=4) == metadata
    for number in (0, 17, 35):
        np.testing.assert_array_equal(pair(folder, number), pair(tmp_path / 'again', number))
    other = write_slices(MSDDataset(str(root)), tmp_path / 'other', augment='none', slices=4, seed=1)
    assert [one['index'] for one in other['slices']] != [one['index'] for one in metadata['slices']]
    assert {one['action'] for one in other['slices']} == {'none'}


def test_actions():
    rng = np.random.default_rng(0)
    image = np.add.outer(np.arange(21.0), np.arange(17.0)) / 36
    mask = np.zeros((21, 17), np.int64)
    mask[8:13, 4:9] = 2
    seen = []
    for _ in range(400):
        changed, labels, action = augmented(image, mask, rng)
        seen.append(action)
        assert changed.shape == labels.shape == image.shape
        assert set(np.unique(labels)) <= {0, 2}
        if action == 'flip':
            np.testing.assert_array_equal(changed, image[:, ::-1])
            np.testing.assert_array_equal(labels, mask[:, ::-1])
        elif action == 'none':
            assert changed is image
        else:  # the linear ramp tells where the middle of the mask came from
            inside = labels > 0
            assert abs(changed[inside].mean() - image[mask > 0].mean()) < 1 / 36  # a pixel
    share = {action: seen.count(action) / 400 for action in set(seen)}
    assert share == pytest.approx({'none': 0.4, 'rotate': 0.25, 'affine': 0.25, 'flip': 0.1}, abs=0.07)


def test_the_tool(root, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'deep' / 'out'
    text = run(monkeypatch, capsys, root, out, '--slices', 2, '--augment', 'all')
    assert '3 volumes, 18 slices written' in text
    assert '14 to train, 4 to validate; hippocampus_003 is in both' in text
    assert '18 slices as listed' in run(monkeypatch, capsys, root, out, '--check')
    with pytest.raises(SystemExit, match=r'^2$'):  # what is there would be mixed with what comes
        run(monkeypatch, capsys, root, out)
    (out / 'mask_000003.npy').unlink()
    np.save(out / 'img_000004.npy', np.full((SIZE, SIZE), np.nan, np.float32))
    np.save(out / 'img_000005.npy', np.zeros((SIZE, 3), np.float32))
    (out / 'mask_000006.npy').write_bytes(b'broken')
    (out / 'mask_000018.npy').write_bytes(b'')
    with pytest.raises(DataError) as error:
        check_slices(out)
    for text in (
        '5 faults',
        'mask_000003.npy is listed and missing',
        'mask_000018.npy is not listed',
        'img_000004.npy has values outside 0..1',
        'img_000005.npy is float32 (128, 3)',
        'mask_000006.npy cannot be read',
    ):
        assert text in str(error.value)


def test_nothing_is_left_of_a_faulty_task(tmp_path):
    root = write_decathlon(tmp_path / 'msd', num_cases=2, size=(8, 9, 5))
    path = root / TASK / 'imagesTr' / 'hippocampus_002.nii.gz'
    volume = read_volume(path)
    write_volume(Volume(volume.array[:, :5], volume.affine), path)
    (tmp_path / 'out').mkdir()
    with pytest.raises(DataError, match=r'expected the size of its labels, \(8, 9, 5\), found \(8, 5, 5\)'):
        write_slices(MSDDataset(str(root)), tmp_path / 'out' / 'slices', slices=2)
    assert not list(Path(tmp_path / 'out').iterdir())
    with pytest.raises(DataError, match='expected labels'):
        write_slices(MSDDataset(str(root), split='test'), tmp_path / 'out' / 'slices')
    for options in (dict(augment='val'), dict(slices=0)):
        with pytest.raises(ConfigError, match='augment must be one of'):
            write_slices(MSDDataset(str(root)), tmp_path / 'out' / 'slices', **options)
    with pytest.raises(DataError, match='metadata'):
        check_slices(tmp_path / 'out')


def test_a_value_that_is_no_number(root, tmp_path):
    data = tmp_path / 'data'
    shutil.copytree(root, data)
    path = data / TASK / 'imagesTr' / 'hippocampus_002.nii.gz'
    volume = read_volume(path)
    array = volume.array.astype(np.float32)
    array[3, 4, 5] = np.nan
    path.unlink()
    write_volume(Volume(array, volume.affine), path)
    with pytest.raises(ValueError, match=r'hippocampus_002.*1 NaN .*first at \(3, 4, 5\)'):
        write_slices(MSDDataset(str(data)), tmp_path / 'out', slices=2)
    assert sorted(one.name for one in tmp_path.iterdir()) == ['data']


def test_no_foreground_in_any_volume(root, tmp_path):
    data = tmp_path / 'data'
    shutil.copytree(root, data)
    for path in (data / TASK / 'labelsTr').iterdir():
        volume = read_volume(path)
        path.unlink()
        write_volume(Volume(np.zeros_like(volume.array), volume.affine), path)
    with pytest.raises(DataError, match='slices with foreground, found none in 3 volumes'):
        write_slices(MSDDataset(str(data)), tmp_path / 'out')
    assert sorted(one.name for one in tmp_path.iterdir()) == ['data']
