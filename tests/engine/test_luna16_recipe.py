"""LUNA16 from its folders to numbers and files, with a narrow network: train, test, predict an MHD file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmseg_medical import apis
from mmseg_medical.datasets.phantoms import write_luna16
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.geometry import grid_difference, read_volume
from mmseg_medical.inference import ComponentFilter, Predictor, Region

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = [{base!r}, {data!r}, {schedule!r}, {runtime!r}]
model = dict(
    backbone=dict(channels=(4, 8)),
    decode_head=dict(in_channels=4, num_classes=2),
    test_cfg=dict(mode='slide', window=(24, 24, 16), keep_scores=True),
)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2, save_best='dice_scan'))
test_evaluator = dict(froc=True)
log_level = 'ERROR'
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    return write_luna16(tmp_path_factory.mktemp('luna'), 10, size=(40, 36, 24), diameter_mm=(4, 8))


@pytest.fixture(scope='module')
def run(data, tmp_path_factory) -> tuple[Path, Path, dict]:
    """Config, checkpoint and results of a run of two iterations."""
    pytest.importorskip('blosc2')
    folder = tmp_path_factory.mktemp('run')
    base = ROOT / 'configs' / '_base_'
    parts = dict(
        base=base / 'models' / 'unet3d.py',
        data=base / 'datasets' / 'luna16.py',
        schedule=base / 'schedules' / 'volumes_50k.py',
        runtime=base / 'default_runtime.py',
    )
    config = folder / 'narrow.py'
    config.write_text(CONFIG.format(**{name: str(path) for name, path in parts.items()}))
    options = {'data_root': str(data), 'mask_source': 'mask_dir', 'mask_root': 'masks', 'fold': 1}
    for part in ('train', 'val', 'test'):
        options |= {f'{part}_dataloader.num_workers': 0, f'{part}_dataloader.persistent_workers': False}
    place = 'train_dataloader.dataset.pipeline.0'
    options |= {f'{place}.store_dir': str(folder / 'store'), f'{place}.patch.patch_size': (24, 24, 16)}
    apis.train(config, work_dir=folder / 'work', cfg_options=options)
    checkpoint = next((folder / 'work').glob('iter_*.pth'))
    assert list((folder / 'work').glob('best_dice_scan*'))
    numbers = apis.test(config, checkpoint, work_dir=folder / 'test', out=folder / 'out', cfg_options=options)
    return config, checkpoint, dict(numbers=numbers, out=folder / 'out')


def test_numbers_and_files(run, data):
    out, numbers = run[2]['out'], run[2]['numbers']
    assert {'dice_scan', 'dice_nodule', 'lesion_sensitivity', 'froc', 'false_positive_volume_ml'} <= set(numbers)
    assert numbers['n_scan'] == 1
    content = json.loads((out / 'metrics.json').read_text())
    assert content['mask_source'] == 'mask_dir'
    uid = next((data / 'subset1').glob('*.mhd')).stem
    assert CaseTable.load(out / 'metrics.json').case_ids == (uid,)
    assert (out / 'report.html').is_file()
    written = read_volume(out / 'predictions' / f'{uid}.nii.gz')
    assert grid_difference(written, read_volume(data / 'subset1' / f'{uid}.mhd')) is None


def test_from_mhd_to_mhd(run, data, tmp_path):
    config, checkpoint, _ = run
    path = sorted((data / 'subset1').glob('*.mhd'))[0]  # a flipped direction matrix
    lungs = read_volume(data / 'seg-lungs' / path.name)
    predictor = Predictor(config, checkpoint)
    everywhere = predictor.predict(path, probabilities=True)
    kept = predictor.predict(path, region=Region(data / 'seg-lungs' / path.name, (3, 4)))
    inside = np.isin(lungs.array, (3, 4))
    np.testing.assert_array_equal(kept.labels.array, np.where(inside, everywhere.labels.array, 0))
    assert everywhere.probabilities.array.shape == (*lungs.size, 2)
    kept.save(tmp_path / 'nodules.mhd')
    assert grid_difference(read_volume(tmp_path / 'nodules.mhd'), read_volume(path)) is None
    none = Predictor(config, checkpoint, component_filter=ComponentFilter(min_diameter_mm=500)).predict(path)
    assert not none.labels.array.any()
