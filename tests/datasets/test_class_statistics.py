import numpy as np
import pytest
from PIL import Image

from mmseg_medical.datasets import DDRDataset, IDRiDDataset
from mmseg_medical.datasets.class_statistics import class_statistics
from mmseg_medical.datasets.phantoms import write_ddr, write_idrid

MASKS = 'A. Segmentation/2. All Segmentation Groundtruths/a. Training Set'


@pytest.fixture
def root(tmp_path):
    return write_idrid(tmp_path, 2, 0, (40, 60))


def test_by_hand(root):
    folders = {'MA': '1. Microaneurysms', 'HE': '2. Haemorrhages', 'EX': '3. Hard Exudates', 'SE': '4. Soft Exudates'}
    for path in (root / MASKS).glob('*/*.tif'):
        path.unlink()
    for case, code, box in (
        ('IDRiD_01', 'EX', np.s_[:10, :10]),
        ('IDRiD_01', 'MA', np.s_[5:10, 5:10]),  # 25 pixels of both
        ('IDRiD_02', 'HE', np.s_[:20, :2]),
    ):
        mask = np.zeros((40, 60), np.uint8)
        mask[box] = 255
        Image.fromarray(mask).save(root / MASKS / folders[code] / f'{case}_{code}.tif')
    found = class_statistics(IDRiDDataset(root))
    assert found['classes'] == ['background', 'EX', 'MA', 'SE', 'HE']
    assert found['counts'] == [4800 - 100 - 40, 75, 25, 0, 40]
    assert found['overlap_pixels'] == {'EX+MA': 25}
    assert found['lesion_pixels'] == {'EX': 100, 'MA': 25, 'SE': 0, 'HE': 40}
    assert found['images_with_lesion'] == {'EX': 1, 'MA': 1, 'SE': 0, 'HE': 1}
    assert (found['scale'], found['num_images'], found['ignored']) == (None, 2, 0)
    reverse = class_statistics(IDRiDDataset(root, overlap_order=('MA', 'SE', 'HE', 'EX')))
    assert reverse['counts'] == [4800 - 100 - 40, 100, 0, 0, 40]
    half = class_statistics(IDRiDDataset(root, target='multilabel'), scale=(30, 20))
    assert half['counts'] == [1200 - 25 - 10, 25 - 4, 4, 0, 10]  # nearest neighbour takes even rows and columns
    assert half['scale'] == [30, 20]


def test_field_of_view(tmp_path):
    dataset = DDRDataset(write_ddr(tmp_path, 2, 1, 0, (40, 60)), 'trainval')
    found = class_statistics(dataset, (32, 32), 'crop_resize')
    assert sum(found['counts']) == 3 * 32 * 32
    assert found['field_of_view'] == 'crop_resize'
    with pytest.raises(ValueError, match='give a scale'):
        class_statistics(dataset, field_of_view='crop_resize')
