import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_medical.datasets import DataError, DDRDataset, IDRiDDataset
from mmseg_medical.datasets.merged_layout import write_merged
from mmseg_medical.datasets.phantoms import write_ddr, write_idrid

SIZE = (37, 53)
LOADING = [dict(type='LoadFundusImage'), dict(type='LoadLesionAnnotations'), dict(type='PackLesionInputs')]
IMAGES = Path('A. Segmentation/1. Original Images/a. Training Set')
MASKS = Path('A. Segmentation/2. All Segmentation Groundtruths/a. Training Set')


@pytest.fixture
def idrid(tmp_path):
    return write_idrid(tmp_path / 'IDRiD', 4, 2, SIZE)


@pytest.fixture
def ddr(tmp_path):
    return write_ddr(tmp_path / 'DDR', 3, 2, 2, SIZE)


def _cases(dataset):
    return [dataset.get_data_info(index)['case_id'] for index in range(len(dataset))]


def test_idrid_entries(idrid):
    train, test = IDRiDDataset(idrid), IDRiDDataset(idrid, 'test')
    assert _cases(train) == ['IDRiD_01', 'IDRiD_02', 'IDRiD_03', 'IDRiD_04']
    assert _cases(test) == ['IDRiD_05', 'IDRiD_06']
    entry = train.get_data_info(1)
    assert entry['lesion_masks']['SE'] is None  # an absent file is an absent lesion
    assert entry['lesion_masks']['EX'].endswith('3. Hard Exudates/IDRiD_02_EX.tif')
    assert (entry['seg_fields'], entry['reduce_zero_label'], entry['label_map']) == ([], False, None)
    assert train.metainfo['classes'] == ('background', 'EX', 'MA', 'SE', 'HE')
    assert len(train.metainfo['palette']) == 5


def test_root_may_be_the_inner_folder(idrid, ddr):
    assert len(IDRiDDataset(idrid / 'A. Segmentation')) == 4
    assert len(DDRDataset(ddr / 'lesion_segmentation', 'train')) == 3


def test_other_suffixes_of_masks(idrid):
    folder = idrid / MASKS / '1. Microaneurysms'
    (folder / 'IDRiD_01_MA.tif').rename(folder / 'IDRiD_01_MA.TIFF')
    assert IDRiDDataset(idrid).get_data_info(0)['lesion_masks']['MA'].endswith('.TIFF')


@pytest.mark.parametrize(('split', 'number'), [('train', 3), ('valid', 2), ('test', 2), ('trainval', 5)])
def test_ddr_protocols(ddr, split, number):
    dataset = DDRDataset(ddr, split)
    assert len(dataset) == number
    assert all(all(dataset.get_data_info(index)['lesion_masks'].values()) for index in range(number))


def test_ddr_odd_folder(ddr):
    assert (ddr / 'lesion_segmentation/valid/segmentation label').is_dir()
    (ddr / 'lesion_segmentation/valid/segmentation label').rename(ddr / 'lesion_segmentation/valid/label')
    assert len(DDRDataset(ddr, 'valid')) == 2  # copies with a regular name are read as well


def test_ddr_black_mask_is_an_absent_lesion(ddr):
    sample = DDRDataset(ddr, 'train', pipeline=LOADING)[1]
    assert 3 not in sample['data_samples'].gt_sem_seg.data


def test_ddr_missing_mask_is_an_absent_lesion_with_a_warning(ddr):
    min((ddr / 'lesion_segmentation/test/label/EX').iterdir()).unlink()
    with pytest.warns(UserWarning, match=r"part 'test': 1 masks are missing \(\S+ EX"):
        dataset = DDRDataset(ddr, 'test')
    assert dataset.get_data_info(0)['lesion_masks']['EX'] is None


def test_multilabel(idrid):
    dataset = IDRiDDataset(idrid, target='multilabel', pipeline=LOADING)
    assert dataset.metainfo['classes'] == ('EX', 'MA', 'SE', 'HE')
    assert dataset.metainfo['target'] == 'multilabel'
    assert len(dataset.metainfo['palette']) == 4
    data = dataset[0]['data_samples'].gt_sem_seg.data
    assert data.shape == (4, *SIZE)
    assert set(data.unique().tolist()) == {0, 1}


def test_overlap_order_decides(idrid):
    mask = np.ones(SIZE, np.uint8)
    for code, folder in (('EX', '3. Hard Exudates'), ('HE', '2. Haemorrhages')):
        Image.fromarray(mask).save(idrid / MASKS / folder / f'IDRiD_02_{code}.tif')
    order = ('SE', 'MA', 'HE', 'EX')
    first = IDRiDDataset(idrid, overlap_order=order, pipeline=LOADING)[1]
    assert first['data_samples'].gt_sem_seg.data.unique().tolist() == [1]
    second = IDRiDDataset(idrid, overlap_order=order[::-1], pipeline=LOADING)[1]
    assert 1 not in second['data_samples'].gt_sem_seg.data


# -- split files


def _split_file(tmp_path, **content):
    path = tmp_path / 'split.json'
    path.write_text(json.dumps(content))
    return str(path)


def test_split_file(idrid, tmp_path):
    path = _split_file(tmp_path, note='held out', train=['IDRiD_03', 'IDRiD_01'], val=['IDRiD_02'])
    assert _cases(IDRiDDataset(idrid, split_file=path)) == ['IDRiD_03', 'IDRiD_01']
    assert _cases(IDRiDDataset(idrid, 'val', split_file=path)) == ['IDRiD_02']
    path = _split_file(tmp_path, source='test', val=['IDRiD_06'])
    assert _cases(IDRiDDataset(idrid, 'val', split_file=path)) == ['IDRiD_06']


@pytest.mark.parametrize(
    ('content', 'split', 'message'),
    [
        (dict(train=['IDRiD_01']), 'val', r"split\.json: expected a split out of 'train', found 'val'"),
        (dict(train=['IDRiD_99']), 'train', 'no image for IDRiD_99'),
        (dict(train=['IDRiD_01'] * 2), 'train', 'each case once, found IDRiD_01 repeated'),
        (dict(train=['IDRiD_01'], val=['IDRiD_01']), 'train', "IDRiD_01 in 'train' and 'val'"),
        (dict(train=['IDRiD_01'], source='all'), 'train', "found 'all'"),
    ],
)
def test_bad_split_files(idrid, tmp_path, content, split, message):
    with pytest.raises(DataError, match=message):
        IDRiDDataset(idrid, split, split_file=_split_file(tmp_path, **content))


def test_missing_or_broken_split_file(idrid, tmp_path):
    with pytest.raises(DataError, match='none.json.*Set split_file'):  # noqa: RUF043
        IDRiDDataset(idrid, split_file=str(tmp_path / 'none.json'))
    (tmp_path / 'broken.json').write_text('{')
    with pytest.raises(DataError, match='a JSON file of splits'):
        IDRiDDataset(idrid, split_file=str(tmp_path / 'broken.json'))


def test_supplied_split():
    content = json.loads(Path('configs/hacdr/splits/idrid_train45_val9.json').read_text())
    train, val = set(content['train']), set(content['val'])
    assert (len(train), len(val)) == (45, 9)
    assert train | val == {f'IDRiD_{number:02d}' for number in range(1, 55)}


# -- what can be wrong with a tree


def test_missing_root(tmp_path):
    with pytest.raises(DataError, match=r'nowhere: expected the folder of IDRiDDataset.*Set data_root'):
        IDRiDDataset(tmp_path / 'nowhere')


def test_unknown_split(idrid):
    with pytest.raises(DataError, match=r"expected a split out of 'train', 'test', found 'val'\. Set split"):
        IDRiDDataset(idrid, 'val')


def test_root_of_something_else(tmp_path):
    with pytest.raises(DataError, match=r'official tree of DDRDataset or the merged layout .* found neither'):
        DDRDataset(tmp_path, 'train')


def test_missing_part(idrid):
    shutil.rmtree(idrid / 'A. Segmentation/1. Original Images/b. Testing Set')
    with pytest.raises(DataError, match=r'b\. Testing Set: expected a folder of the data set, found no such folder'):
        IDRiDDataset(idrid, 'test')


def test_missing_mask_folder_is_not_an_absent_lesion(idrid):
    shutil.rmtree(idrid / MASKS / '4. Soft Exudates')
    with pytest.raises(DataError, match=r'4\. Soft Exudates: expected a folder'):
        IDRiDDataset(idrid)


def test_image_without_any_mask(idrid):
    for path in (idrid / MASKS).glob('*/IDRiD_01_*'):
        path.unlink()
    with pytest.raises(DataError, match=r'IDRiD_01\.jpg: expected a mask of at least one lesion, found none'):
        IDRiDDataset(idrid)


@pytest.mark.parametrize('name', ['IDRiD_1_EX.tif', 'IDRiD_01.tif', 'IDRiD_99_EX.tif', 'IDRiD_01_MA.tif'])
def test_mask_that_belongs_to_no_image(idrid, name):
    folder = idrid / MASKS / '3. Hard Exudates'
    (folder / 'IDRiD_01_EX.tif').rename(folder / name)
    with pytest.raises(DataError, match=f'{name}: expected the name of a EX mask'):
        IDRiDDataset(idrid)


def test_doubled_names(idrid):
    shutil.copy(idrid / IMAGES / 'IDRiD_01.jpg', idrid / IMAGES / 'IDRiD_01.png')
    with pytest.raises(DataError, match=r'IDRiD_01\.png: expected one file named IDRiD_01, found also IDRiD_01\.jpg'):
        IDRiDDataset(idrid)


def test_name_in_two_parts(ddr):
    top = ddr / 'lesion_segmentation'
    name = next((top / 'train/image').iterdir()).stem
    shutil.copy(top / f'train/image/{name}.jpg', top / 'valid/image')
    for code in ('EX', 'HE', 'MA', 'SE'):
        shutil.copy(top / f'train/label/{code}/{name}.tif', top / 'valid/segmentation label' / code)
    with pytest.raises(DataError, match=f'expected one image named {name}, found another one'):
        DDRDataset(ddr, 'trainval')


@pytest.mark.parametrize('kwargs', [dict(target='both'), dict(layout='flat'), dict(overlap_order=('EX',))])
def test_unknown_options(idrid, kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        IDRiDDataset(idrid, **kwargs)


def test_error_of_a_sample_names_the_case(idrid):
    path = idrid / IMAGES / 'IDRiD_02.jpg'
    path.write_bytes(path.read_bytes()[:-50])
    dataset = IDRiDDataset(idrid, pipeline=LOADING)
    with pytest.raises(DataError, match=r"IDRiDDataset split 'train', case IDRiD_02: .*IDRiD_02\.jpg: .* truncated"):
        dataset[1]
    broken = IDRiDDataset(idrid, pipeline=[lambda results: results['nothing']])
    with pytest.raises(RuntimeError, match="case IDRiD_01: KeyError: 'nothing'"):
        broken[0]


def test_error_crosses_a_worker(idrid):
    from torch.utils.data import DataLoader

    path = idrid / IMAGES / 'IDRiD_02.jpg'
    path.write_bytes(path.read_bytes()[:-50])
    loader = DataLoader(IDRiDDataset(idrid, pipeline=LOADING), batch_size=None, num_workers=1)
    with pytest.raises(DataError, match='case IDRiD_02'):
        list(loader)


# -- merged layout


@pytest.fixture
def merged(idrid, tmp_path):
    write_merged({split: IDRiDDataset(idrid, split) for split in ('train', 'test')}, tmp_path / 'merged')
    return tmp_path / 'merged'


@pytest.mark.parametrize('target', ['multiclass', 'multilabel'])
def test_merged_layout_gives_the_same_samples(idrid, merged, target):
    for split in ('train', 'test'):
        official = IDRiDDataset(idrid, split, target=target, pipeline=LOADING)
        ours = IDRiDDataset(merged, split, target=target, pipeline=LOADING)
        assert _cases(official) == _cases(ours)
        for first, second in zip(official, ours, strict=True):
            assert (first['inputs'] == second['inputs']).all()
            if target == 'multiclass':  # a merged map has lost what lies under other lesions
                labels = (sample['data_samples'].gt_sem_seg.data for sample in (first, second))
                assert (next(labels) == next(labels)).all()


def test_both_layouts_need_a_choice(idrid, merged):
    for name in ('img_dir', 'ann_dir', 'splits'):
        shutil.copytree(merged / name, idrid / name)
    with pytest.raises(DataError, match="found both. Set layout='official' or 'merged'"):  # noqa: RUF043
        IDRiDDataset(idrid)
    assert 'seg_map_path' in IDRiDDataset(idrid, layout='merged').get_data_info(0)


def test_merged_list_missing(merged):
    (merged / 'splits/train_idrid.txt').unlink()
    with pytest.raises(DataError, match=r"train_idrid\.txt: expected the list of the cases of 'train'"):
        IDRiDDataset(merged)


@pytest.mark.parametrize(('folder', 'kind'), [('img_dir', 'an image'), ('ann_dir', 'a label map')])
def test_merged_file_missing(merged, folder, kind):
    next((merged / folder / 'train_idrid').glob('IDRiD_02*')).unlink()
    with pytest.raises(DataError, match=f'{kind} for every name, found no IDRiD_02'):
        IDRiDDataset(merged)


def test_merged_label_out_of_range(merged):
    Image.fromarray(np.full(SIZE, 9, np.uint8)).save(merged / 'ann_dir/train_idrid/IDRiD_01.png')
    with pytest.raises(DataError, match=r'case IDRiD_01: .*IDRiD_01\.png: expected labels below 5, found values 9'):
        IDRiDDataset(merged, pipeline=LOADING)[0]
