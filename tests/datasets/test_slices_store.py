"""Slices are read from volumes that were preprocessed once."""

from __future__ import annotations

import numpy as np
import pytest
from slice_samples import chain, pipeline

from mmseg_medical.datasets import ACDCDataset, BraTSDataset
from mmseg_medical.datasets.patch_store import build_store
from mmseg_medical.datasets.phantoms import write_acdc, write_brats
from mmseg_medical.datasets.slices import slice_grid, slice_step
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Grid, Reorient, Resample, restore

STEPS = dict(type='NormalizeIntensity'), dict(type='ResampleInPlane', spacing_mm=2.5)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return str(write_acdc(tmp_path_factory.mktemp('acdc'), 2, 0, size=(17, 19, 5)))


def files(folder):
    return sorted(folder.rglob('*.case'))


def test_one_file_a_volume_and_none_is_stale(root, tmp_path):
    dataset = ACDCDataset(root, pipeline=pipeline(tmp_path, 4, *STEPS))
    first = [dataset[i] for i in range(len(dataset))]
    made = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    assert len(made) == 4
    for index, sample in enumerate(first):
        np.testing.assert_array_equal(dataset[index]['inputs'], sample['inputs'])
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == made
    other = ACDCDataset(root, pipeline=pipeline(tmp_path, 4, dict(type='NormalizeIntensity')))
    assert other[0]['inputs'].shape != first[0]['inputs'].shape
    assert len(files(tmp_path)) == 5
    lying = ACDCDataset(root, orientation='PRI', pipeline=pipeline(tmp_path, 4, *STEPS))
    assert lying[0]['inputs'].shape == first[0]['inputs'].shape[:1] + first[0]['inputs'].shape[:0:-1]
    assert len(files(tmp_path)) == 6


def test_the_store_is_built_ahead_in_parallel(root, tmp_path):
    dataset = ACDCDataset(root, pipeline=pipeline(tmp_path, 4, *STEPS))
    store = dataset.pipeline.transforms[0].store
    report = build_store(dataset.volumes, store, jobs=2)
    assert (report.built, report.kept) == (4, 0)
    made = files(tmp_path)
    dataset[7]
    assert files(tmp_path) == made
    slices = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert build_store(slices, store).built == 0


def test_a_damaged_file_is_built_again(root, tmp_path):
    dataset = ACDCDataset(root, pipeline=pipeline(tmp_path, 4, *STEPS))
    whole = dataset[1]['inputs']
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match='is built again'):
        again = [dataset[i]['inputs'] for i in range(5)]
    np.testing.assert_array_equal(again[1], whole)


def test_every_modality_counts_for_the_name(tmp_path):
    root = write_brats(tmp_path / 'brats', 1, size=(8, 9, 4))
    dataset = BraTSDataset(str(root), pipeline=pipeline(tmp_path / 'store', 4))
    before = dataset[1]['inputs'][3].clone()
    path = dataset.volumes[0]['modality_paths'][3]
    from mmseg_medical.geometry import Volume, read_volume, write_volume

    volume = read_volume(path)
    write_volume(Volume(volume.array + np.int16(5), volume.affine), path)
    np.testing.assert_array_equal(dataset[1]['inputs'][3], before + 5)


def test_neighbours_become_channels(root, tmp_path):
    plain = ACDCDataset(root, pipeline=pipeline(tmp_path, 4, *STEPS))
    several = ACDCDataset(root, pipeline=pipeline(tmp_path, 4, *STEPS, neighbours=1, copies=2))
    images = [plain[i]['inputs'][0] for i in range(5)]
    for index in range(5):
        sample = several[index]['inputs']
        expected = [images[max(index - 1, 0)], images[index], images[min(index + 1, 4)]] * 2
        np.testing.assert_array_equal(sample, np.stack(expected))
    assert len(files(tmp_path)) == 1  # what is stored does not depend on them


def test_neighbours_of_several_modalities(tmp_path):
    root = write_brats(tmp_path / 'brats', 1, size=(8, 9, 4))
    plain, several = (
        BraTSDataset(str(root), pipeline=pipeline(tmp_path / 'store', 4, neighbours=n))[2]['inputs'] for n in (0, 1)
    )
    assert several.shape == (12, 8, 9)
    np.testing.assert_array_equal(several[4:8], plain)


def test_training_moves_labels_and_tests_do_not(root, tmp_path):
    train, test = (ACDCDataset(root, pipeline=pipeline(tmp_path, 4, *STEPS, test=way))[2] for way in (False, True))
    np.testing.assert_array_equal(train['inputs'], test['inputs'])
    assert train['data_samples'].gt_sem_seg.data.shape[1:] == train['inputs'].shape[1:]
    assert test['data_samples'].gt_sem_seg.data.shape == (1, 17, 19)
    assert test['data_samples'].spacing_mm == (10.0, 1.5, 1.5)
    assert train['data_samples'].spacing_mm == pytest.approx((10.0, 17 * 1.5 / 10, 19 * 1.5 / 11))


def test_random_draws_and_lost_slices_are_refused(root, tmp_path):
    random = ACDCDataset(root, pipeline=pipeline(tmp_path, 4, dict(type='RandomFlipVolume')))
    with pytest.raises(RuntimeError, match='ConfigError: pipeline of LoadSlice draws random numbers'):
        random[0]
    for step, message in (
        (dict(type='CropOrPadVolume', size=(8, 8, 3)), 'expected 5 slices, as its header has, found 3'),
        (dict(type='ResampleVolume', spacing_mm=(1.5, 1.5, 5.0)), 'found 10 behind the pipeline'),
        (dict(type='ReorientVolume', axes='LPI'), 'changes which slices there are'),
    ):
        with pytest.raises((RuntimeError, ValueError), match=message):
            ACDCDataset(root, pipeline=pipeline(tmp_path, 4, step))[0]
    with pytest.raises(ConfigError, match='neighbours of LoadSlice'):
        ACDCDataset(root, pipeline=pipeline(tmp_path, 4, neighbours=-1))


GRID = Grid((7, 6, 4), np.array([[0, -1.5, 0, 3], [1.2, 0, 0, -4], [0, 0, 9.0, 5], [0, 0, 0, 1]]))


@pytest.mark.parametrize(
    'step',
    [
        CropPad.plan(GRID, box=((1, 9), (-2, 5), (0, 4))),
        Resample.plan(GRID, size=(5, 11, 4)),
        Reorient.plan(GRID, 'LAS'),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_slice_of_a_step_is_the_step_of_a_slice(step):
    volume = np.random.default_rng(0).standard_normal((2, *GRID.size))
    moved = step.apply(volume)
    for index in range(4):
        flat = slice_step(step, index)
        assert flat.source == slice_grid(GRID, index)
        np.testing.assert_allclose(flat.apply(volume[..., index]), moved[..., index], atol=1e-12)
        np.testing.assert_allclose(restore(moved[..., index], [flat]), restore(moved, [step])[..., index], atol=1e-12)
        corner = flat.target.affine @ [2, 3, 0, 1]
        np.testing.assert_allclose(corner, step.target.affine @ [2, 3, index, 1], atol=1e-12)


@pytest.mark.parametrize(
    'step',
    [
        CropPad.plan(GRID, size=(7, 6, 3)),
        CropPad.plan(GRID, box=((0, 7), (0, 6), (1, 5))),
        Resample.plan(GRID, size=(7, 6, 8)),
        Reorient.plan(GRID, 'RAI'),
        Reorient.plan(GRID, 'SRA'),
    ],
)
def test_steps_across_slices_are_refused(step):
    with pytest.raises(ConfigError, match='changes which slices there are'):
        slice_step(step, 0)


def test_the_chain_can_be_read_without_a_file(root, tmp_path):
    blocked = tmp_path / 'file'
    blocked.write_text('no folder')
    dataset = ACDCDataset(root, pipeline=pipeline(blocked, 4, *STEPS))
    with pytest.warns(UserWarning, match='cannot be written'):
        sample = dataset[3]
    expected = ACDCDataset(root, pipeline=pipeline(tmp_path / 'store', 4, *STEPS))[3]
    np.testing.assert_array_equal(sample['inputs'], expected['inputs'])
    assert chain(4)[0]['type'] == 'LoadCase'
