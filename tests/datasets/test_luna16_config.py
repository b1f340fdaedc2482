"""The data part of LUNA16's configs reads phantoms, and its fold and source of masks are one option each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmseg_medical import apis
from mmseg_medical.datasets.phantoms import write_luna16
from mmseg_medical.errors import ConfigError

CONFIG = 'configs/_base_/datasets/luna16.py'
PARTS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_luna16(tmp_path_factory.mktemp('luna'), 10, size=(40, 36, 24), diameter_mm=(3, 8))


def small(root, tmp_path, **options):
    cfg = apis.load_config(CONFIG, {'data_root': str(root), 'mask_source': 'sphere', **options})
    patch = cfg.train_dataloader.dataset.pipeline[0]
    patch.store_dir = str(tmp_path / 'store')
    patch.patch.patch_size = (24, 24, 16)
    return cfg


def test_one_option_chooses_the_fold(root, tmp_path):
    pytest.importorskip('blosc2')
    tested = set()
    for fold in (0, 7):
        cfg = small(root, tmp_path, fold=fold)
        names = {}
        for part in PARTS:
            dataset = apis.build_dataset(cfg, part)
            assert dataset.fold == fold
            names[part] = {dataset.get_data_info(i)['case_id'] for i in range(len(dataset))}
        assert [len(names[part]) for part in PARTS] == [8, 1, 1]
        assert not names['train'] & names['val']
        assert not (names['train'] | names['val']) & names['test']
        tested |= names['test']
    assert len(tested) == 2


def test_one_option_chooses_the_masks(root):
    cfg = apis.load_config(CONFIG, {'mask_source': 'mask_dir', 'mask_root': 'masks', 'data_root': str(root)})
    for part in PARTS:
        dataset = cfg[f'{part}_dataloader'].dataset
        assert (dataset.mask_source, dataset.mask_root) == ('mask_dir', 'masks')
    with pytest.raises(ConfigError, match='a number is expected'):
        apis.load_config(CONFIG, {'fold': 'first'})


def test_samples(root, tmp_path):
    pytest.importorskip('blosc2')
    cfg = small(root, tmp_path)
    train = apis.build_dataset(cfg, 'train')
    samples = [train[index] for index in range(len(train))]
    assert {tuple(sample['inputs'].shape) for sample in samples} == {(1, 24, 24, 16)}
    assert any(sample['data_samples'].gt_sem_seg.data.any() for sample in samples)
    test = apis.build_dataset(cfg, 'test')[0]
    meta = test['data_samples']
    assert test['inputs'].dtype == torch.float32
    assert test['inputs'].min() >= 0
    assert test['inputs'].max() <= 1
    assert meta.gt_sem_seg.data.shape[1:] == meta.native_grid.size == meta.ori_shape
    assert [type(step).__name__ for step in meta.grid_steps] == ['Reorient', 'CropPad', 'Resample']
    np.testing.assert_allclose(meta.grid_steps[-1].target.spacing_mm, 1, rtol=0.05)
    assert meta.mask_source == 'sphere'


def test_predictions_find_back_to_the_scan(root, tmp_path):
    """A prediction that is the truth on the network's grid is the truth on the scan's, up to interpolation."""
    from mmseg_medical.geometry import restore

    cfg = small(root, tmp_path)
    pipeline = cfg.test_dataloader.dataset.pipeline
    labels = next(step for step in pipeline if step.type == 'LoadNoduleAnnotations')
    pipeline.remove(labels)
    cfg.test_dataloader.dataset.pipeline = [pipeline[0], labels, *pipeline[1:]]
    moved = apis.build_dataset(cfg, 'test')[0]['data_samples']
    straight = apis.build_dataset(small(root, tmp_path), 'test')[0]['data_samples'].gt_sem_seg.data[0].numpy()
    back = restore(moved.gt_sem_seg.data.numpy(), moved.grid_steps, 'nearest')[0]
    assert back.shape == straight.shape
    assert straight.any()
    assert 2 * (back & straight).sum() / (back.sum() + straight.sum()) > 0.75
