import multiprocessing
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_medical.datasets import DataError, IDRiDDataset, label_cache
from mmseg_medical.datasets.label_cache import load_bit_map
from mmseg_medical.datasets.mask_io import read_binary_mask
from mmseg_medical.datasets.phantoms import write_idrid
from mmseg_medical.datasets.phantoms.mask_encodings import write_mask

SHAPE = (61, 83)


@pytest.fixture
def entry(tmp_path):
    return IDRiDDataset(write_idrid(tmp_path / 'data', 1, 1, SHAPE)).get_data_info(0)


def _entries(entry):
    return sorted(Path(entry['cache_dir']).iterdir())


def test_bits_are_the_masks(entry):
    bits = load_bit_map(entry).decode()
    for number, code in enumerate(('EX', 'MA', 'SE', 'HE')):
        path = entry['lesion_masks'][code]
        expected = np.zeros(SHAPE, bool) if path is None else read_binary_mask(path)
        np.testing.assert_array_equal((bits >> number) & 1 == 1, expected)


def test_second_reading_decodes_no_mask(entry, monkeypatch):
    first = load_bit_map(entry).decode()
    monkeypatch.setattr(label_cache, 'read_binary_mask', _fail)
    np.testing.assert_array_equal(load_bit_map(entry).decode(), first)
    load_bit_map({**entry, 'overlap_order': ('MA', 'SE', 'HE', 'EX'), 'target': 'multilabel'})  # needs no new entry


def _fail(*_):
    raise AssertionError('a mask was decoded')


def test_changed_mask_is_read_again(entry):
    load_bit_map(entry)
    path = entry['lesion_masks']['EX']
    stat = Path(path).stat()
    mask = read_binary_mask(path)
    mask[:] = False
    mask[3, 4] = True
    write_mask(path, mask, 'RGB')
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a copy that preserves times
    np.testing.assert_array_equal(load_bit_map(entry).decode() & 1, mask)


def test_absent_and_present_lesion_have_different_entries(entry):
    load_bit_map(entry)
    without = {**entry, 'lesion_masks': {**entry['lesion_masks'], 'EX': None}}
    assert not (load_bit_map(without).decode() & 1).any()
    assert len(_entries(entry)) == 2


@pytest.mark.parametrize(
    'damage', [lambda data: data[:-3], lambda data: b'', lambda data: bytes([data[0] ^ 1]) + data[1:]]
)
def test_damaged_entry_is_built_again(entry, damage):
    first = load_bit_map(entry).decode()
    (path,) = _entries(entry)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match='is damaged'):
        np.testing.assert_array_equal(load_bit_map(entry).decode(), first)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        load_bit_map(entry)


def test_unwritable_folder_is_named_and_tolerated(entry, tmp_path):
    (tmp_path / 'file').touch()
    entry['cache_dir'] = str(tmp_path / 'file' / 'cache')  # root may write anywhere but below a file
    with pytest.warns(UserWarning, match='Labels are not cached .* Set cache_dir'):
        load_bit_map(entry)


def test_no_cache(entry):
    entry['cache_dir'] = None
    load_bit_map(entry)
    assert not (Path(entry['img_path']).parents[3] / '.mmseg_medical_cache').exists()


def test_failed_write_leaves_nothing(entry, monkeypatch):
    def fail(self, target):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'replace', fail)
    with pytest.warns(UserWarning, match='No space left'):
        load_bit_map(entry)
    assert not _entries(entry)


def _load(entry):
    return load_bit_map(entry).to_bytes()


def test_several_processes_at_once(entry):
    with multiprocessing.get_context('fork').Pool(4) as pool:
        results = pool.map(_load, [entry] * 16)
    assert len(set(results)) == 1
    assert [path.suffix for path in _entries(entry)] == ['.rle']


def test_image_that_changed_its_size(entry):
    load_bit_map(entry)
    with pytest.raises(DataError, match=r'IDRiD_01\.jpg: expected 61 x 83 pixels .* found 61 x 84'):
        load_bit_map(entry, (61, 84))


def test_mask_of_another_size(entry):
    write_mask(entry['lesion_masks']['MA'], np.zeros((61, 84), bool), '1-bit')
    with pytest.raises(DataError, match=r'IDRiD_01_MA\.tif: expected 61 x 83 pixels .* found 61 x 84'):
        load_bit_map(entry)


def test_vanished_mask(entry):
    Path(entry['lesion_masks']['MA']).unlink()
    with pytest.raises(DataError, match=r'IDRiD_01_MA\.tif: expected a readable mask file'):
        load_bit_map(entry)


def test_merged_labels(tmp_path):
    labels = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    Image.fromarray(labels).save(tmp_path / 'x.png')
    runs = load_bit_map({'case_id': 'x', 'seg_map_path': str(tmp_path / 'x.png')}, (2, 3))
    np.testing.assert_array_equal(runs.decode(), [[0, 1, 2], [4, 8, 128]])


def test_entry_without_labels():
    with pytest.raises(DataError, match='case x: expected lesion_masks or seg_map_path'):
        load_bit_map({'case_id': 'x'}, (2, 3))
