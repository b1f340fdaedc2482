"""The real photographs, where they are."""

from collections import Counter

import pytest
import torch

from mmseg_medical.datasets import IDRiDDataset, check_disjoint

pytestmark = pytest.mark.realdata
SPLIT_FILE = 'configs/hacdr/splits/idrid_train45_val9.json'


@pytest.fixture(scope='module')
def root(realdata):
    return realdata / 'IDRiD'


@pytest.fixture(scope='module')
def cache_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp('cache'))


def _lesions(dataset):
    counts = Counter()
    for index in range(len(dataset)):
        counts.update(code for code, path in dataset.get_data_info(index)['lesion_masks'].items() if path)
    return counts


def test_numbers_of_images_and_masks(root):
    train = IDRiDDataset(root, cache_dir=None)
    assert len(train) == 54
    assert _lesions(train) == {'MA': 54, 'HE': 53, 'EX': 54, 'SE': 26}
    without = [train.get_data_info(i)['case_id'] for i in range(54) if not train.get_data_info(i)['lesion_masks']['HE']]
    assert without == ['IDRiD_43']
    check_disjoint(train, IDRiDDataset(root, 'test', cache_dir=None))


def test_held_out_images(root):
    train, val = (IDRiDDataset(root, split, split_file=SPLIT_FILE, cache_dir=None) for split in ('train', 'val'))
    assert (len(train), len(val)) == (45, 9)
    assert _lesions(val) == {'MA': 9, 'HE': 9, 'EX': 9, 'SE': 4}
    check_disjoint(train, val)


@pytest.mark.parametrize('target', ['multiclass', 'multilabel'])
def test_a_sample(root, cache_dir, target):
    pipeline = [
        dict(type='LoadFundusImage', scale=(1440, 960)),
        dict(type='LoadLesionAnnotations', grid='native'),
        dict(type='PackLesionInputs'),
    ]
    dataset = IDRiDDataset(root, target=target, pipeline=pipeline, cache_dir=cache_dir, indices=3)
    for _ in range(2):  # from the files, then from the cache
        sample = dataset[2]
        assert sample['inputs'].shape == (3, 956, 1440)
        label = sample['data_samples'].gt_sem_seg.data
        if target == 'multiclass':
            assert torch.bincount(label.reshape(-1)).tolist() == [11733443, 301570, 11288, 3318, 162605]
        else:
            assert label.shape == (4, 2848, 4288)
            assert (label.sum((1, 2)) > 0).all()
