"""Phantoms of the sets of slices look like what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mmseg_medical.datasets.phantoms import write_acdc, write_brats, write_mnms, write_synapse
from mmseg_medical.geometry import axis_directions, read_volume


def read(root, pattern):
    return read_volume(next(iter(sorted(root.rglob(pattern)))))


def test_hearts(tmp_path):
    root = write_acdc(tmp_path, 1, 1, size=(40, 44, 6))
    ed, es = (read_volume(path).array for path in sorted((root / 'training').rglob('*_gt.nii.gz')))
    assert (ed == 3).sum() > 1.2 * (es == 3).sum()  # the left ventricle empties
    assert (ed == 2).sum() < (es == 2).sum()  # and its wall thickens
    for index in range(6):
        plane = ed[..., index]
        if (plane == 3).any():  # the wall is closed: what is inside touches nothing else
            around = ndimage.binary_dilation(plane == 3) & (plane != 3)
            assert set(np.unique(plane[around])) == {2}
    assert not ed[..., 0].any()
    assert ed[..., 1].sum() > ed[..., 4].sum()  # wide at the base
    info = (root / 'training/patient001/Info.cfg').read_text()
    assert info.startswith('ED: 1\nES: ')
    assert (root / 'testing/patient002/Info.cfg').is_file()


def test_series(tmp_path):
    root = write_mnms(tmp_path, 1, 1, 1, size=(20, 21, 4), times=6)
    assert {path.parent.parent.name for path in root.rglob('*_sa.nii.gz')} == {'Labeled', 'Validation', 'Testing'}
    labels = read(root / 'Training', '*_sa_gt.nii.gz').array
    assert labels.shape == (20, 21, 4, 6)
    assert [t for t in range(6) if labels[..., t].any()] == [0, 3]
    cavity, wall = (labels[..., 0] == 1), (labels[..., 0] == 2)
    assert ndimage.binary_dilation(cavity[..., 1])[wall[..., 1]].any()  # 1 is the left ventricle here


def test_heads(tmp_path):
    root = write_brats(tmp_path, 1, 1, size=(30, 32, 26), turned=True)
    labels = read(root, '*_seg.nii.gz').array
    assert set(np.unique(labels)) == {0, 1, 2, 4}
    core = (labels == 1) | (labels == 4)
    assert (ndimage.binary_dilation(labels == 1) & ~core).sum() == 0  # necrosis lies within enhancing tumour
    files = {name: read(root, f'*_{name}.nii.gz') for name in ('t1', 't1ce', 't2', 'flair')}
    assert len({axis_directions(volume.grid) for volume in files.values()}) > 1
    assert {volume.size for volume in files.values()} == {(30, 32, 26)}
    assert all((volume.array == 0).mean() > 0.3 for volume in files.values())
    assert not list((root / 'BraTS2021_ValidationData').rglob('*_seg*'))


def test_abdomens(tmp_path):
    root = write_synapse(tmp_path, 2, 1, size=(64, 60, 16))
    labels = read(root / 'synapse_train_label', '*.nii.gz').array
    assert set(np.unique(labels)) == set(range(14))
    image = read(root / 'synapse_train', '*.nii.gz').array
    assert image.min() < -900
    assert image[labels == 8].mean() == pytest.approx(200, abs=40)  # contrast medium in the aorta
    left, right = (np.argwhere(labels == k)[:, 0].mean() for k in (3, 2))
    assert left != right
    assert len(list((root / 'synapse_test').iterdir())) == 1


@pytest.mark.parametrize('write', [write_acdc, write_mnms, write_brats, write_synapse])
def test_the_same_seed_writes_the_same_files(tmp_path, write):
    for name, seed in (('a', 1), ('b', 1), ('c', 2)):
        write(tmp_path / name, 1, 0, size=(12, 11, 3), seed=seed)
    trees = [sorted(p for p in (tmp_path / n).rglob('*.nii.gz')) for n in 'abc']
    content = [[path.read_bytes() for path in tree] for tree in trees]
    assert content[0] == content[1]
    assert content[0] != content[2]
