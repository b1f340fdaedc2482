"""Which cases there are, and that a run survives bad ones and goes on where it stopped."""

from __future__ import annotations

import json
import locale
from pathlib import Path

import numpy as np
import pytest
from tiny_volume_model import checkpoint, image, thresholding, write_images

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, grid_difference, read_labels, read_volume, write_volume
from mmseg_medical.inference import BatchOptions, Predictor, RegionFolder, find_cases, predict_cases


@pytest.fixture(scope='module')
def predictor(tmp_path_factory) -> Predictor:
    cfg = thresholding()
    return Predictor(cfg, checkpoint(tmp_path_factory.mktemp('b') / 'w.pth', cfg))


def run(predictor: Predictor, inputs: Path, out: Path, **options) -> dict:
    return predict_cases(predictor, find_cases([inputs]), BatchOptions(out, **options), progress=False)


def test_a_folder(predictor, tmp_path):
    inputs = write_images(tmp_path / 'in')
    report = run(predictor, inputs, tmp_path / 'out', overlay=True, probabilities=True)
    assert report['counts'] == {'done': 2, 'skipped': 0, 'failed': 0}
    entry = report['cases']['a']
    labels = read_labels(tmp_path / 'out' / entry['output'][0])
    np.testing.assert_array_equal(labels.array, read_volume(inputs / 'a.nii.gz').array > 0.5)
    assert entry['volumes_mm3']['bright'] == pytest.approx(3 * entry['voxels']['bright'])
    assert (tmp_path / 'out' / 'overlays' / 'b.png').stat().st_size
    assert read_volume(tmp_path / 'out' / 'probabilities' / 'b.nii.gz').has_channels
    assert json.loads((tmp_path / 'out' / 'predictions.json').read_text())['cases'] == report['cases']


def test_bad_cases_do_not_stop_the_rest(predictor, tmp_path, capsys):
    inputs = write_images(tmp_path / 'in')
    data = (inputs / 'a.nii.gz').read_bytes()
    (inputs / 'cut.nii.gz').write_bytes(data[: len(data) // 2])
    (inputs / 'empty.nii.gz').touch()
    (inputs / 'text.nii').write_bytes(b'not an image' * 40)
    write_volume(Volume(np.zeros((4, 5), np.uint8), None), inputs / 'flat.png')
    volume = image()
    two = Volume(np.stack([volume.array] * 2, -1), volume.affine, has_channels=True)
    write_volume(two, inputs / 'channels.nii.gz')
    wrong = volume.array.copy()
    wrong[0, 0, 0] = np.inf
    write_volume(Volume(wrong, volume.affine), inputs / 'infinite.nii.gz')
    report = run(predictor, inputs, tmp_path / 'out')
    assert report['counts'] == {'done': 2, 'skipped': 0, 'failed': 6}
    errors = {name: entry['error'] for name, entry in report['cases'].items() if entry['status'] == 'failed'}
    for name, part in {
        'cut': 'complete gzip file',
        'empty': 'zero bytes',
        'text': 'text.nii',
        'flat': '3 axes, found 2 axes',
        'channels': '1 channel, found 2',
        'infinite': '1 infinite',
    }.items():
        assert part in errors[name], errors[name]
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 6
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.nii.gz', 'b.nii.gz', 'predictions.json']


def test_finished_cases_are_skipped_until_something_changes(predictor, tmp_path):
    inputs, out = write_images(tmp_path / 'in'), tmp_path / 'out'
    run(predictor, inputs, out)
    assert run(predictor, inputs, out)['counts'] == {'done': 0, 'skipped': 2, 'failed': 0}
    assert run(predictor, inputs, out, overwrite=True)['counts']['done'] == 2
    (out / 'a.nii.gz').write_bytes(b'')  # not complete
    write_volume(image(seed=9), inputs / 'b.nii.gz')  # another input
    assert run(predictor, inputs, out)['counts']['done'] == 2
    assert run(predictor, inputs, out, overlay=True)['counts']['done'] == 2
    cfg = thresholding()
    other = Predictor(cfg, checkpoint(tmp_path / 'w.pth', cfg, sign=-1.0))
    assert run(other, inputs, out, overlay=True)['counts']['done'] == 2
    (out / 'predictions.json').write_text('{"cases": [')
    assert run(other, inputs, out, overlay=True)['counts']['done'] == 2


def test_earlier_cases_stay_in_the_file(predictor, tmp_path):
    inputs, out = write_images(tmp_path / 'in'), tmp_path / 'out'
    run(predictor, inputs, out)
    report = predict_cases(predictor, find_cases([inputs / 'a.nii.gz']), BatchOptions(out), progress=False)
    assert list(report['cases']) == ['a']
    assert set(json.loads((out / 'predictions.json').read_text())['cases']) == {'a', 'b'}


def test_formats(predictor, tmp_path):
    volume = image()
    write_volume(volume, tmp_path / 'x.mha')
    write_volume(Volume(volume.array, None), tmp_path / 'y.npy')
    cases = find_cases([tmp_path / 'x.mha', tmp_path / 'y.npy'])
    report = predict_cases(predictor, cases, BatchOptions(tmp_path / 'out', overlay=True), progress=False)
    assert [entry['output'] for entry in report['cases'].values()] == [['x.mha'], ['y.npy']]
    assert report['cases']['y']['volumes_mm3'] == {'bright': None}
    report = predict_cases(predictor, cases[:1], BatchOptions(tmp_path / 'out', '.nii.gz'), progress=False)
    assert report['cases']['x']['output'] == ['x.nii.gz']
    with pytest.raises(ConfigError, match='not as'):
        BatchOptions(tmp_path, '.jpg')


def test_modalities(tmp_path):
    for name in ('p1_t1', 'p1_t2', 'p2_t1'):
        write_volume(image(seed=len(name)), tmp_path / 'in' / f'{name}.nii.gz')
    cases = find_cases([tmp_path / 'in'], modalities=('_t2', '_t1'))
    assert [path.name for path in cases[0].inputs] == ['p1_t2.nii.gz', 'p1_t1.nii.gz']
    cfg = thresholding(channels=2)
    model = Predictor(cfg, checkpoint(tmp_path / 'w.pth', cfg))
    report = predict_cases(model, cases, BatchOptions(tmp_path / 'out'), progress=False)
    assert report['cases']['p1']['status'] == 'done'
    assert '2 channels, found 1' in report['cases']['p2']['error']
    with pytest.raises(ConfigError, match='none of the modalities'):
        find_cases([tmp_path / 'in'], modalities=('_t1',))


def test_inputs_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match='no input'):
        find_cases([tmp_path / 'nowhere'])
    with pytest.raises(ConfigError, match='found none'):
        find_cases([tmp_path])
    write_images(tmp_path / 'a', ('x',))
    write_images(tmp_path / 'b', ('x',))
    with pytest.raises(ConfigError, match='two inputs have the name'):
        find_cases([tmp_path / 'a', tmp_path / 'b'])


def write_dicom(folder: Path, uid: str = '1.2.3') -> np.ndarray:
    """Slices as a scanner writes them, and their array."""
    sitk = pytest.importorskip('SimpleITK')
    before = locale.setlocale(locale.LC_ALL)
    folder.mkdir(parents=True)
    array = np.random.default_rng(0).integers(0, 2, (6, 5, 4), dtype=np.int16)
    for k in range(4):
        plane = sitk.GetImageFromArray(array[:, :, k].T[None])
        plane.SetSpacing((2.0, 2.0, 3.0))
        tags = {'0008|0060': 'MR', '0020|000d': '1.2', '0020|000e': uid, '0008|0018': f'{uid}.{k + 1}'}
        tags |= {'0020|0032': f'0\\0\\{3 * k}', '0020|0037': '1\\0\\0\\0\\1\\0'}
        for tag, value in tags.items():
            plane.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f'{k}.dcm'))
        writer.Execute(plane)
    locale.setlocale(locale.LC_ALL, before)  # writing DICOM leaves it at 'C': files would be read as ASCII from then on
    return array


def test_a_dicom_folder_is_a_case(predictor, tmp_path):
    array = write_dicom(tmp_path / 'patient' / 'series')
    cases = find_cases([tmp_path / 'patient'])
    assert [case.case_id for case in cases] == ['patient']
    report = predict_cases(predictor, cases, BatchOptions(tmp_path / 'out', overlay=True), progress=False)
    labels = read_labels(tmp_path / 'out' / 'patient.nii.gz')
    assert report['cases']['patient']['volumes_mm3']['bright'] == 12 * int(array.sum())
    assert labels.array.sum() == array.sum()


def test_several_series(predictor, tmp_path):
    write_dicom(tmp_path / 'all' / 'p1', '1.2.4')
    write_dicom(tmp_path / 'all' / 'p2', '1.2.5')
    assert [case.case_id for case in find_cases([tmp_path / 'all'])] == ['p1', 'p2']
    for path in (tmp_path / 'all' / 'p2').iterdir():
        path.rename(tmp_path / 'all' / f'p2_{path.name}')
    with pytest.raises(ConfigError, match=r'1\.2\.5'):
        find_cases([tmp_path / 'all'])
    cases = find_cases([tmp_path / 'all'], series_uid='1.2.5')
    assert predict_cases(predictor, cases, BatchOptions(tmp_path / 'out'), progress=False)['counts']['done'] == 1


@pytest.mark.realdata
def test_real_volumes_and_a_real_series(predictor, realdata, tmp_path):
    inputs = [realdata / 'hippocampus_dicom', *sorted((realdata / 'Task04_Hippocampus' / 'imagesTr').glob('*.gz'))[:2]]
    report = predict_cases(predictor, find_cases(inputs), BatchOptions(tmp_path, overlay=True), progress=False)
    assert report['counts']['done'] == 3
    for entry in report['cases'].values():
        labels, image = read_volume(tmp_path / entry['output'][0]), read_volume(entry['input'][0])
        assert grid_difference(labels, image) is None


def test_regions_of_cases(predictor, tmp_path):
    inputs, maps = write_images(tmp_path / 'in'), tmp_path / 'maps'
    maps.mkdir()
    scan = read_volume(inputs / 'a.nii.gz')
    where = np.zeros(scan.size, np.uint8)
    where[:2] = 4
    write_volume(Volume(where, scan.affine), maps / 'a.mhd')
    options = dict(regions=RegionFolder(maps, (3, 4)))
    report = run(predictor, inputs, tmp_path / 'out', **options)
    assert report['counts'] == {'done': 1, 'skipped': 0, 'failed': 1}
    assert 'a label map named b' in report['cases']['b']['error']
    found = read_labels(tmp_path / 'out' / 'a.nii.gz').array
    np.testing.assert_array_equal(found, (scan.array > 0.5) & (where > 0))
    assert run(predictor, inputs, tmp_path / 'out', **options)['counts']['skipped'] == 1
    # another region is another result
    write_volume(Volume(np.ones_like(where), scan.affine), maps / 'a.mhd')
    assert run(predictor, inputs, tmp_path / 'out', **options)['counts']['skipped'] == 0
    assert not read_labels(tmp_path / 'out' / 'a.nii.gz').array.any()
    with pytest.raises(ConfigError, match='is no folder'):
        RegionFolder(tmp_path / 'none')
