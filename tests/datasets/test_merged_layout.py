import json
import shutil

import cv2
import numpy as np
import pytest

from mmseg_medical.datasets import DataError, DDRDataset, IDRiDDataset
from mmseg_medical.datasets.image_io import decode_image, read_bytes
from mmseg_medical.datasets.merged_layout import write_merged
from mmseg_medical.datasets.phantoms import write_ddr, write_idrid
from mmseg_medical.datasets.transforms.field_of_view import apply_field_of_view

SIZE = (37, 53)


@pytest.fixture
def idrid(tmp_path):
    return write_idrid(tmp_path / 'IDRiD', 2, 1, SIZE)


@pytest.fixture
def ddr(tmp_path):
    return write_ddr(tmp_path / 'DDR', 2, 1, 1, SIZE)


def _idrid_parts(root):
    return {split: IDRiDDataset(root, split) for split in ('train', 'test')}


def _files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob('*') if path.is_file())


def test_idrid(idrid, tmp_path):
    report = write_merged(_idrid_parts(idrid), tmp_path / 'out')
    cases = ['IDRiD_01', 'IDRiD_02', 'IDRiD_03']
    assert _files(tmp_path / 'out') == sorted(
        [f'ann_dir/train_idrid/{case}.png' for case in cases]
        + [f'img_dir/train_idrid/{case}.jpg' for case in cases]
        + ['splits/test_idrid.txt', 'splits/train_idrid.txt', 'conversion.json']
    )
    assert (tmp_path / 'out/splits/train_idrid.txt').read_text() == 'IDRiD_01\nIDRiD_02\n'
    source = next(idrid.rglob('IDRiD_01.jpg'))
    assert (tmp_path / 'out/img_dir/train_idrid/IDRiD_01.jpg').read_bytes() == source.read_bytes()
    label = cv2.imread(str(tmp_path / 'out/ann_dir/train_idrid/IDRiD_01.png'), cv2.IMREAD_UNCHANGED)
    assert (label.shape, label.dtype) == (SIZE, np.uint8)
    assert set(np.unique(label)) <= {0, 1, 2, 3, 4}
    assert report['num_images'] == {'train': 2, 'test': 1}
    assert json.loads((tmp_path / 'out/conversion.json').read_text())['overlap_order'] == ['EX', 'HE', 'SE', 'MA']


def test_ddr_with_enhancement(ddr, tmp_path):
    parts = {part: DDRDataset(ddr, part) for part in ('train', 'valid', 'test')}
    write_merged(parts, tmp_path / 'out', field_of_view='crop_resize_enhance', size=(48, 32))
    assert (tmp_path / 'out/splits/valid.txt').exists()
    dataset = DDRDataset(tmp_path / 'out', 'trainval')
    assert len(dataset) == 3
    entry = dataset.get_data_info(0)
    assert entry['seg_map_path'].endswith(f'ann_dir/train_four/{entry["case_id"]}.png')
    label = cv2.imread(entry['seg_map_path'], cv2.IMREAD_UNCHANGED)
    assert label.shape == (32, 48)
    source = DDRDataset(ddr, 'train').get_data_info(0)['img_path']
    online, _ = apply_field_of_view(decode_image(read_bytes(source), source), 'crop_resize_enhance', (48, 32))
    stored = cv2.imread(entry['img_path']).astype(int)
    assert np.abs(stored - online).mean() < 6  # JPEG of a noisy picture


def test_nothing_half_written_remains(idrid, tmp_path):
    path = next(idrid.rglob('IDRiD_03.jpg'))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r'IDRiD_03\.jpg.*truncated'):
        write_merged(_idrid_parts(idrid), tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['IDRiD']


def test_existing_content_is_not_touched(idrid, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/mine.txt').write_text('keep')
    with pytest.raises(DataError, match='out: expected no such folder or an empty one, found content'):
        write_merged(_idrid_parts(idrid), tmp_path / 'out')
    assert _files(tmp_path / 'out') == ['mine.txt']


def test_empty_folder_is_used(idrid, tmp_path):
    (tmp_path / 'out').mkdir()
    write_merged(_idrid_parts(idrid), tmp_path / 'out')
    assert (tmp_path / 'out/conversion.json').exists()


def test_same_name_in_train_and_test(idrid, tmp_path):
    for path in list(idrid.rglob('IDRiD_01*')):
        target = str(path).replace('a. Training Set', 'b. Testing Set')
        shutil.copy(path, target)
    with pytest.raises(DataError, match='expected one image named IDRiD_01 in img_dir/train_idrid'):
        write_merged(_idrid_parts(idrid), tmp_path / 'out')
