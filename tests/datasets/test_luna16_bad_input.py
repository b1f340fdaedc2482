"""What is wrong with a copy of LUNA16 is said once, with the file and what to do."""

from __future__ import annotations

import re
import shutil
import zlib
from pathlib import Path

import pytest

from mmseg_medical.datasets import LUNA16Dataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.phantoms import write_luna16

LOAD = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadNoduleAnnotations'),
    dict(type='LoadLungField'),
    dict(type='PackVolumeInputs'),
]
HEAD = 'seriesuid,coordX,coordY,coordZ,diameter_mm\n'


@pytest.fixture(scope='module')
def release(tmp_path_factory):
    root = tmp_path_factory.mktemp('luna')
    return write_luna16(root, 3, size=(24, 23, 16), num_nodules=(1, 2), diameter_mm=(3, 5), healthy_every=None)


@pytest.fixture
def root(release, tmp_path):
    return Path(shutil.copytree(release, tmp_path / 'luna'))


def header(root):
    return next((root / 'subset0').glob('*.mhd'))


def first(root, **options):
    return LUNA16Dataset(str(root), 'all', **{'mask_source': 'sphere', 'pipeline': LOAD, **options})[0]


def set_key(root, key, value):
    path = header(root)
    path.write_text(re.sub(rf'(?m)^{key} = .*$', f'{key} = {value}', path.read_text()))


def raw(root):
    return header(root).with_suffix('.raw')


def compress(root, cut=0, more=b''):
    data = zlib.compress(raw(root).read_bytes() + more)
    header(root).with_suffix('.zraw').write_bytes(data[: len(data) - cut])
    raw(root).unlink()
    text = (
        header(root)
        .read_text()
        .replace('CompressedData = False', f'CompressedData = True\nCompressedDataSize = {len(data)}')
    )
    header(root).write_text(text.replace('.raw', '.zraw'))


DAMAGES = {
    'no raw file': (lambda root: raw(root).unlink(), 'expected its data file .*raw, found none'),
    'truncated': (lambda root: raw(root).write_bytes(raw(root).read_bytes()[:-1]), 'expected 17664 bytes.*found 17663'),
    'too long': (
        lambda root: raw(root).write_bytes(raw(root).read_bytes() + b'1'),
        'expected 17664 bytes.*found 17665',
    ),
    'compressed without saying so': (
        lambda root: raw(root).write_bytes(zlib.compress(raw(root).read_bytes())),
        'expected 17664 bytes of voxels as its header says',
    ),
    'not compressed as it says': (lambda root: set_key(root, 'CompressedData', 'True'), 'found 0 that can be unpacked'),
    'compressed and truncated': (lambda root: compress(root, cut=5), r'found \d+ that can be unpacked'),
    'compressed and too long': (lambda root: compress(root, more=b'12'), 'found more than 17664'),
    'type of four bytes': (lambda root: set_key(root, 'ElementType', 'MET_FLOAT'), 'expected 35328 bytes'),
    'type of one byte': (lambda root: set_key(root, 'ElementType', 'MET_CHAR'), 'ElementType MET_CHAR'),
    'type without a sign': (lambda root: set_key(root, 'ElementType', 'MET_USHORT'), 'expected signed voxels'),
    'spacing of zero': (lambda root: set_key(root, 'ElementSpacing', '1 0 1'), 'expected a positive spacing'),
    'another size': (lambda root: set_key(root, 'DimSize', '24 23 15'), 'DimSize 24 23 15'),
    'doubled series': (lambda root: shutil.copy(header(root), root / 'subset4'), 'expected each series once'),
    'no list': (lambda root: (root / 'annotations.csv').unlink(), 'expected the list of nodules'),
    'unknown series': (
        lambda root: (root / 'annotations.csv').write_text(f'{HEAD}1.2.3,0,0,0,4\n'),
        r"1 without a scan, the first '1\.2\.3'",
    ),
    'another column': (
        lambda root: (root / 'annotations.csv').write_text(HEAD.replace('coordX', 'coord_x')),
        'expected the columns',
    ),
    'outside its scan': (
        lambda root: (root / 'annotations.csv').write_text(f'{HEAD}{header(root).stem},0,0,999,4\n'),
        r'expected annotations inside the scan.*999\.0\) mm',
    ),
    'no number': (
        lambda root: (root / 'annotations.csv').write_text(f'{HEAD}{header(root).stem},0,zero,0,4\n'),
        'line 2: expected three coordinates',
    ),
    'no diameter': (
        lambda root: (root / 'annotations.csv').write_text(f'{HEAD}{header(root).stem},0,0,0,0\n'),
        'a positive diameter',
    ),
    'short line': (lambda root: (root / 'annotations.csv').write_text(f'{HEAD}1.2,0\n'), 'line 2: expected three'),
    'no subset': (lambda root: shutil.rmtree(root / 'subset7'), 'there are subset0, .*subset8, subset9'),
    'lungs of another scan': (
        lambda root: [shutil.copy(p, root / 'seg-lungs' / f'{header(root).stem}{p.suffix}') for p in other_lungs(root)],
        'expected the grid of its scan',
    ),
}


def other_lungs(root):
    uid = next((root / 'subset1').glob('*.mhd')).stem
    mhd = root / 'seg-lungs' / f'{uid}.mhd'
    mhd.write_text(mhd.read_text().replace(uid, header(root).stem))
    return [mhd, mhd.with_suffix('.zraw')]


@pytest.mark.parametrize('damage', DAMAGES)
def test_damaged_releases(root, damage):
    change, message = DAMAGES[damage]
    change(root)
    with pytest.raises(DataError, match=f'(?s){message}'):
        first(root)


def test_whole_ones_are_read(root):
    plain = first(root)['inputs']
    compress(root)
    assert first(root)['inputs'].equal(plain)
    header(root).write_text(header(root).read_text() + '')
    assert plain.min() < -800


def test_no_nodules_at_all(root):
    """Every target is empty; training on nothing but background is refused."""
    (root / 'annotations.csv').write_text(HEAD)
    assert not first(root)['data_samples'].gt_sem_seg.data.any()
    with pytest.raises(DataError, match=r'nodules in the scans to train on, found none in any of 1'):
        LUNA16Dataset(str(root), 'train', mask_source='sphere', subsets=(0, 1, 2))


def test_parts_without_scans(root):
    with pytest.raises(DataError, match=r"split 'test' of fold 9.*expected scans"):
        LUNA16Dataset(str(root), 'test', fold=9, mask_source='sphere')
    with pytest.raises(DataError, match='expected two scans or more, found 1 scan outside subset 0'):
        LUNA16Dataset(str(root), 'train', subsets=(0, 1), mask_source='sphere')


def test_missing_masks(root):
    uid = header(root).stem
    (root / 'masks' / f'{uid}.mhd').unlink()
    with pytest.raises(DataError, match=f'{uid}.mhd: expected the mask of the series'):
        first(root, mask_source='mask_dir', mask_root='masks')
    with pytest.raises(DataError, match='no folder'):
        first(root, mask_source='mask_dir', mask_root='mask')


def test_excluded_series_must_be_there(root):
    uid = header(root).stem
    assert len(LUNA16Dataset(str(root), 'all', mask_source='sphere', exclude=[uid])) == 2
    with pytest.raises(DataError, match='Did you mean'):
        LUNA16Dataset(str(root), 'all', mask_source='sphere', exclude=[uid[:-1]])


def test_masks_on_another_grid(root):
    shutil.copy(root / 'subset1' / next((root / 'subset1').glob('*.mhd')).name, root / 'masks' / header(root).name)
    shutil.copy(next((root / 'subset1').glob('*.raw')), root / 'masks')
    with pytest.raises(DataError, match='expected the grid of its image'):
        first(root, mask_source='mask_dir', mask_root='masks')
