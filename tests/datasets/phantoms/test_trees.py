import numpy as np
from PIL import Image

from mmseg_medical.datasets import DDRDataset, IDRiDDataset
from mmseg_medical.datasets.mask_io import read_binary_mask
from mmseg_medical.datasets.phantoms import write_ddr, write_idrid


def test_idrid_tree(tmp_path):
    root = write_idrid(tmp_path, num_train=2, num_test=1, size=(32, 48))
    top = root / 'A. Segmentation'
    assert (top / '1. Original Images/a. Training Set/IDRiD_01.jpg').is_file()
    assert (top / '1. Original Images/b. Testing Set/IDRiD_03.jpg').is_file()
    masks = top / '2. All Segmentation Groundtruths/a. Training Set'
    assert (masks / '4. Soft Exudates/IDRiD_01_SE.tif').is_file()
    assert not (masks / '4. Soft Exudates/IDRiD_02_SE.tif').exists()


def test_encodings_vary(tmp_path):
    write_idrid(tmp_path, 4, 0, (32, 48))
    modes = set()
    for path in tmp_path.rglob('*.tif'):
        with Image.open(path) as image:
            modes.add(image.mode)
    assert modes >= {'1', 'L', 'P', 'RGB', 'RGBA'}


def test_same_seed_writes_the_same_files(tmp_path):
    for name in ('a', 'b'):
        write_ddr(tmp_path / name, 1, 1, 1, (32, 48), seed=3)
    files = [path for path in (tmp_path / 'a').rglob('*') if path.is_file()]
    assert len(files) == 3 * 5
    for path in files:
        assert path.read_bytes() == (tmp_path / 'b' / path.relative_to(tmp_path / 'a')).read_bytes()


def test_ddr_has_all_masks_and_various_sizes(tmp_path):
    dataset = DDRDataset(write_ddr(tmp_path, 2, 1, 1, (32, 48)), 'trainval')
    shapes, empty = set(), 0
    for index in range(len(dataset)):
        for path in dataset.get_data_info(index)['lesion_masks'].values():
            mask = read_binary_mask(path)
            shapes.add(mask.shape)
            empty += not mask.any()
    assert len(shapes) == 2
    assert empty >= 1


def test_images_differ(tmp_path):
    dataset = IDRiDDataset(write_idrid(tmp_path, 3, 0, (32, 48)))
    pictures = {np.asarray(Image.open(dataset.get_data_info(i)['img_path'])).tobytes() for i in range(3)}
    assert len(pictures) == 3
