from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_medical.engine import PredictionHook
from mmseg_medical.geometry import Grid, read_volume
from mmseg_medical.structures import VolumeData

CLASSES = ('EX', 'MA', 'SE', 'HE')


def runner(classes):
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo={'classes': classes})))


def sample(data, **meta):
    result = SegDataSample(metainfo=meta)
    result.pred_sem_seg = PixelData(data=data)
    return result


def test_label_map(tmp_path):
    labels = torch.randint(0, 5, (1, 7, 11))
    hook = PredictionHook(str(tmp_path / 'new'))
    hook.after_test_iter(runner(('background', *CLASSES)), 0, outputs=[sample(labels, case_id='IDRiD_55')])
    picture = cv2.imread(str(tmp_path / 'new' / 'IDRiD_55.png'), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, labels[0].numpy())
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['IDRiD_55.png']


def test_a_mask_per_lesion(tmp_path):
    masks = torch.randint(0, 2, (4, 5, 3), dtype=torch.uint8)
    PredictionHook(str(tmp_path)).after_test_iter(runner(CLASSES), 0, outputs=[sample(masks, img_path='/x/a.b.jpg')])
    for name, mask in zip(CLASSES, masks, strict=True):
        picture = cv2.imread(str(tmp_path / f'a.b_{name}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(picture, mask.numpy() * 255)


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    monkeypatch.setattr('pathlib.Path.replace', lambda *args: (_ for _ in ()).throw(OSError(28, 'No space left')))
    with pytest.raises(OSError, match='No space left'):
        PredictionHook(str(tmp_path)).after_test_iter(
            runner(('a', 'b')), 0, outputs=[sample(torch.zeros(1, 2, 2), case_id='x')]
        )
    assert not list(tmp_path.iterdir())


def test_ranks_may_write_the_same_image_at_once(tmp_path, monkeypatch):
    """The sampler repeats an image to fill up the ranks: while one writes it, the other starts and ends."""
    replace, inner = Path.replace, []
    first = sample(torch.ones(1, 2, 2, dtype=torch.int64), case_id='x')

    def late(self, target):
        if not inner:
            inner.append(True)
            PredictionHook(str(tmp_path)).after_test_iter(runner(('a', 'b')), 0, outputs=[first])
        return replace(self, target)

    monkeypatch.setattr(Path, 'replace', late)
    PredictionHook(str(tmp_path)).after_test_iter(runner(('a', 'b')), 0, outputs=[first])
    assert [path.name for path in tmp_path.iterdir()] == ['x.png']


def test_volumes_keep_their_place(tmp_path):
    grid = Grid((3, 4, 5), np.diag([2.0, 1.0, 3.0, 1.0]))
    labels = torch.randint(0, 3, (1, 3, 4, 5), dtype=torch.uint8)
    result = SegDataSample(metainfo=dict(case_id='hippocampus_001', native_grid=grid))
    result.pred_sem_seg = VolumeData(data=labels)
    PredictionHook(str(tmp_path)).after_test_iter(runner(('a', 'b', 'c')), 0, outputs=[result])
    written = read_volume(tmp_path / 'hippocampus_001.nii.gz')
    np.testing.assert_array_equal(written.array, labels[0])
    assert written.grid == grid


def test_a_volume_per_mask_and_files_without_geometry(tmp_path):
    masks = torch.randint(0, 2, (2, 3, 4, 5), dtype=torch.uint8)
    result = SegDataSample(metainfo=dict(case_id='case', native_grid=Grid((3, 4, 5), None)))
    result.pred_sem_seg = VolumeData(data=masks)
    PredictionHook(str(tmp_path)).after_test_iter(runner(('WT', 'ET')), 0, outputs=[result])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['case_ET.npy', 'case_WT.npy']
    np.testing.assert_array_equal(read_volume(tmp_path / 'case_ET.npy').array, masks[1])
