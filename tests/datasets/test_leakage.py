import shutil

import pytest
from mmengine.dataset import RepeatDataset
from torch.utils.data import ConcatDataset, Dataset, Subset

from mmseg_medical.datasets import DataError, IDRiDDataset, check_disjoint
from mmseg_medical.datasets.leakage import same_images
from mmseg_medical.datasets.phantoms import write_idrid

TRAIN = 'A. Segmentation/1. Original Images/a. Training Set'
TEST = 'A. Segmentation/1. Original Images/b. Testing Set'


@pytest.fixture
def root(tmp_path):
    return write_idrid(tmp_path, 3, 2, (37, 53))


def test_disjoint_splits(root):
    check_disjoint(IDRiDDataset(root), IDRiDDataset(root, 'test'))
    check_disjoint(IDRiDDataset(root))
    check_disjoint()


def test_same_case(root):
    message = "case_id IDRiD_01, IDRiD_02, IDRiD_03: .* 3 shared by IDRiDDataset split 'train' and .* Remove it"
    with pytest.raises(DataError, match=message):
        check_disjoint(IDRiDDataset(root), IDRiDDataset(root))


def test_same_picture_under_another_name(root):
    shutil.copy(root / TRAIN / 'IDRiD_02.jpg', root / TEST / 'IDRiD_05.jpg')
    with pytest.raises(DataError, match=r'IDRiD_05\.jpg: .* the same bytes as .*IDRiD_02\.jpg'):
        check_disjoint(IDRiDDataset(root), IDRiDDataset(root, 'test'))


def test_same_size_is_not_the_same_picture(root):
    path = root / TEST / 'IDRiD_05.jpg'
    size = (root / TRAIN / 'IDRiD_02.jpg').stat().st_size
    path.write_bytes(path.read_bytes()[:size].ljust(size, b'\0'))
    check_disjoint(IDRiDDataset(root), IDRiDDataset(root, 'test'))


def test_wrapped_datasets(root):
    wrapped = ConcatDataset([IDRiDDataset(root, 'test'), RepeatDataset(IDRiDDataset(root), times=2)])
    with pytest.raises(DataError, match='IDRiD_01'):
        check_disjoint(IDRiDDataset(root), wrapped)


class _Patients:
    description = 'a data set'

    def __init__(self, entries):
        self.entries = entries

    def __len__(self):
        return len(self.entries)

    def get_data_info(self, index):
        return self.entries[index]


def test_same_patient():
    left = _Patients([dict(case_id='left eye', patient_id=7, img_path=__file__)])
    right = _Patients([dict(case_id='right eye', patient_id=7, img_path=__file__)])
    with pytest.raises(DataError, match='patient_id 7'):
        check_disjoint(left, right)


class _Plain(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index


@pytest.mark.parametrize('wrap', [lambda plain: plain, lambda plain: Subset(plain, [1]), lambda plain: _Patients([{}])])
def test_what_cannot_be_listed_is_left_out_with_one_warning(root, wrap):
    with pytest.warns(UserWarning, match=r'not checked .*img_path') as caught:
        check_disjoint(wrap(_Plain()), IDRiDDataset(root), IDRiDDataset(root, 'test'))
    assert len(caught) == 1


def test_the_rest_is_still_compared(root):
    with pytest.warns(UserWarning, match='not checked'), pytest.raises(DataError, match='IDRiD_01'):
        check_disjoint(IDRiDDataset(root), ConcatDataset([_Plain(), IDRiDDataset(root)]))


def test_entries_without_a_file(root):
    nowhere = _Patients([dict(case_id='a'), dict(img_path='s3://bucket/b.jpg'), dict(img_path=None, case_id='c')])
    check_disjoint(IDRiDDataset(root), nowhere)


def test_subsets_of_one_data_set(root):
    whole = IDRiDDataset(root)
    check_disjoint(Subset(whole, [0, 2]), Subset(whole, [1]))
    with pytest.raises(DataError, match=r'IDRiD_03: .* 1 shared'):
        check_disjoint(Subset(whole, [0, 2]), Subset(whole, [1, 2]))


def test_same_images(root):
    assert same_images(IDRiDDataset(root), IDRiDDataset(root, target='multilabel'))
    assert not same_images(IDRiDDataset(root), IDRiDDataset(root, 'test'))
    assert not same_images(IDRiDDataset(root), Subset(IDRiDDataset(root), [0]))
    assert not same_images(_Plain(), _Plain())
