"""The layout of the release is written from the official trees, and checked."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mmseg_medical.datasets import ACDCDataset, DataError
from mmseg_medical.datasets.phantoms import write_acdc, write_brats, write_mnms, write_synapse
from mmseg_medical.datasets.preprocessed_layout import check_preprocessed, resize_slices, write_preprocessed
from mmseg_medical.geometry import read_volume


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool in this process, as python would from the command line; gives what it printed."""

    def run_tool(path, *arguments):
        monkeypatch.syspath_prepend(str(Path(path).resolve().parent))
        monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
        runpy.run_path(path, run_name='__main__')
        return ' '.join(capsys.readouterr().out.split())

    return run_tool


WRITERS = {'acdc': write_acdc, 'mnms': write_mnms, 'brats': write_brats, 'synapse': write_synapse}
NAMES = {'acdc': 'ACDC', 'mnms': 'MnM', 'brats': 'BraTS21', 'synapse': 'Synapse'}


@pytest.mark.parametrize('tool', WRITERS)
def test_converter(run, tool, tmp_path):
    root = WRITERS[tool](tmp_path / 'raw', 2, 0, size=(13, 10, 3))
    arguments = (f'tools/dataset_converters/{tool}.py', root, tmp_path / 'out', '--size', 20, 24)
    assert 'slices written to' in run(*arguments)
    folder = tmp_path / 'out' / NAMES[tool] / 'train'
    metadata = json.loads((folder / 'metadata.json').read_text())
    assert metadata['total_volumes'] == len(metadata['volume_info']) == len(list((folder / 'masks').iterdir()))
    assert len(metadata['class_names']) == metadata['num_classes'] == (14 if tool == 'synapse' else 4)
    for case, info in metadata['volume_info'].items():
        volume, mask = (np.load(folder / kind / f'{case}.npy') for kind in ('volumes', 'masks'))
        assert mask.shape == (20, 24, info['num_slices'])
        assert volume.shape == (*mask.shape, 4) if tool == 'brats' else mask.shape
        assert (volume.dtype, mask.dtype) == (np.float32, np.uint8)
        if tool == 'synapse':
            assert volume.min() >= 0
            assert volume.max() <= 1
    assert f'{len(metadata["volume_info"])} volumes as listed' in run(*arguments, '--check')
    with pytest.raises(SystemExit, match=r'^2$'):
        run(*arguments)  # what is there would be mixed with what comes


def test_brats_background_is_shifted(run, tmp_path):
    root = write_brats(tmp_path / 'raw', 1, size=(13, 10, 3))
    run('tools/dataset_converters/brats.py', root, tmp_path / 'out', '--size', 13, 10, '--modalities', 't1ce', 'flair')
    folder = tmp_path / 'out/BraTS21/train'
    volume = np.load(next((folder / 'volumes').iterdir()))
    assert volume.shape == (13, 10, 3, 2)
    (path,) = root.rglob('*_t1ce.nii.gz')
    raw = read_volume(path).array.astype(np.float64)
    inside = raw > 0
    np.testing.assert_allclose(volume[..., 0], (raw - raw[inside].mean()) / raw[inside].std(), atol=1e-4)


def test_parts_and_parallel_work_give_the_same(tmp_path):
    dataset = ACDCDataset(str(write_acdc(tmp_path / 'raw', 1, 0, size=(13, 10, 3))))
    normalize = dict(type='NormalizeIntensity')
    for jobs in (0, 2):
        write_preprocessed(dataset, tmp_path / str(jobs), normalize, 'ACDC', (8, 8), jobs)
    files = [path.relative_to(tmp_path / '0') for path in (tmp_path / '0').rglob('*.npy')]
    assert len(files) == 4
    for path in files:
        assert (tmp_path / '0' / path).read_bytes() == (tmp_path / '2' / path).read_bytes()


def test_a_faulty_volume_is_named_and_nothing_claims_to_be_whole(tmp_path):
    root = write_acdc(tmp_path / 'raw', 2, 0, size=(13, 10, 3))
    dataset = ACDCDataset(str(root))
    path = Path(dataset.volumes[1]['img_path'])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r'1 of 4 volumes cannot be converted:\ncase patient001_ES: .*complete gzip'):
        write_preprocessed(dataset, tmp_path / 'out', dict(type='NormalizeIntensity'), 'ACDC', (8, 8))
    assert not (tmp_path / 'out/metadata.json').exists()
    assert len(list((tmp_path / 'out/masks').iterdir())) == 3


def test_the_check_finds_what_is_wrong(tmp_path):
    dataset = ACDCDataset(str(write_acdc(tmp_path / 'raw', 3, 0, size=(9, 10, 3))))
    folder = tmp_path / 'out'
    write_preprocessed(dataset, folder, dict(type='NormalizeIntensity'), 'ACDC', (8, 8))
    (folder / 'masks/patient001_ED.npy').rename(folder / 'masks/other.npy')
    np.save(folder / 'masks/patient001_ES.npy', np.full((8, 8, 3), 4, np.uint8))
    np.save(folder / 'volumes/patient002_ED.npy', np.full((8, 8, 3), np.nan, np.float32))
    np.save(folder / 'volumes/patient002_ES.npy', np.zeros((8, 8, 2), np.float32))
    (folder / 'volumes/patient003_ED.npy').write_bytes(b'\x93NUMPY')
    with pytest.raises(DataError) as error:
        check_preprocessed(folder)
    for text in (
        'masks/patient001_ED.npy is listed and missing',
        'masks/other.npy is not listed',
        'patient001_ES: labels 4..4, there are 4 classes',
        'patient002_ED: values that are not finite',
        'patient002_ES: volume (8, 8, 2) and mask (8, 8, 3)',
        'patient003_ED.npy: expected a npy file',
    ):
        assert text in str(error.value)
    (folder / 'metadata.json').write_text('{}')
    with pytest.raises(DataError, match='a JSON file with volume_info'):
        check_preprocessed(folder)


def test_resizing_by_three_in_closed_form():
    image = np.random.default_rng(0).random((12, 9, 2))
    smooth = ndimage.gaussian_filter(image, (1.0, 1.0, 0.0), mode='mirror')
    np.testing.assert_allclose(resize_slices(image, (4, 3), 1), smooth[1::3, 1::3], atol=1e-12)
    labels = np.arange(12 * 9).reshape(12, 9)
    np.testing.assert_array_equal(resize_slices(labels, (4, 3), 0), labels[1::3, 1::3])
    np.testing.assert_array_equal(resize_slices(labels, (24, 9), 0), labels.repeat(2, axis=0))
    assert resize_slices(labels[:, :1, None], (7, 5), 0).shape == (7, 5, 1)


def test_split_tool(run, tmp_path):
    root = write_acdc(tmp_path / 'raw', 6, 0, size=(9, 8, 2))
    out = tmp_path / 'folds.json'
    tool = 'tools/analysis_tools/make_patient_splits.py'
    assert 'fold 2: 4 train, 2 val patients' in run(tool, 'ACDCDataset', root, '--folds', 3, '--out', out)
    content = json.loads(out.read_text())
    assert sorted(p for fold in content['folds'] for p in fold['val']) == [f'patient{i:03d}' for i in range(1, 7)]
    parts = [ACDCDataset(str(root), part, split_file=str(out), fold=1) for part in ('train', 'val')]
    assert [len(part.volumes) for part in parts] == [8, 4]
    assert '5 train, 1 val patients' in run(tool, 'ACDCDataset', root, '--hold-out', 1, '--out', out)
    with pytest.raises(SystemExit, match=r'^2$'):
        run(tool, 'ACDC', root, '--out', out)
