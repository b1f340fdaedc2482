"""Slices become volumes again before they are written or drawn."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_medical.datasets.slices import slice_grid
from mmseg_medical.engine import PredictionHook, slice_assembler
from mmseg_medical.engine.slice_assembler import SliceAssembler
from mmseg_medical.geometry import Grid, Reorient, Volume, grid_difference, read_volume, write_volume
from mmseg_medical.structures import VolumeData

AFFINE = np.array([[0, -1.5, 0.1, 7], [2, 0, 0, -3], [0, 0.2, 9, 11], [0, 0, 0, 1.0]])
SIZE = (4, 3, 5)
GRID = Grid(SIZE, AFFINE)
LABELS = np.random.default_rng(0).integers(0, 3, (1, *SIZE)).astype(np.uint8)


def slices(name: str, labels: np.ndarray = LABELS, grid: Grid = GRID, **meta) -> list[SegDataSample]:
    samples = []
    for index in range(grid.size[2]):
        place = dict(volume_id=name, case_id=name, slice_index=index, num_slices=grid.size[2])
        sample = SegDataSample(metainfo=dict(place, native_grid=slice_grid(grid, index), **meta))
        sample.pred_sem_seg = VolumeData(data=torch.as_tensor(labels[..., index].copy()))
        sample.gt_sem_seg = VolumeData(data=torch.as_tensor(2 - labels[..., index]))
        samples.append(sample)
    return samples


def runner(*classes: str) -> SimpleNamespace:
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo={'classes': classes})))


def test_volumes_in_any_order_beside_other_samples():
    assembler, other = SliceAssembler(), SegDataSample(metainfo=dict(case_id='photograph'))
    a, b = slices('a', frame=3), slices('b', 2 - LABELS)
    found = [one for batch in ([a[4], b[0], other], [a[0], *a[1:4]], b[:0:-1]) for one in assembler.whole(batch)]
    assert [sample.case_id for sample in found] == ['photograph', 'a', 'b']
    for sample, labels in zip(found[1:], (LABELS, 2 - LABELS), strict=True):
        np.testing.assert_array_equal(sample.pred_sem_seg.data, labels)
        np.testing.assert_array_equal(sample.gt_sem_seg.data, 2 - labels)
        assert grid_difference(sample.native_grid, GRID, 1e-9) is None
    assert found[1].frame == 3
    assert assembler._volumes == {}
    assert list(assembler.whole(a)) == list(assembler.rest()) == []  # repeated by the sampler


def test_files_have_the_geometry_of_the_source(tmp_path):
    hook = PredictionHook(str(tmp_path))
    hook.before_test_epoch(None)
    parts = slices('case')
    hook.after_test_iter(runner('background', 'RV', 'LV'), 0, outputs=parts[2:])
    assert not list(tmp_path.iterdir())
    hook.after_test_iter(runner('background', 'RV', 'LV'), 1, outputs=parts[:2])
    written = read_volume(tmp_path / 'case.nii.gz')
    assert grid_difference(written, GRID, 1e-5) is None
    np.testing.assert_array_equal(written.array, LABELS[0])
    masks = np.concatenate([LABELS > 0, LABELS > 1]).astype(np.uint8)
    hook.after_test_iter(runner('whole', 'core'), 2, outputs=slices('masks', masks, Grid(SIZE, None)))
    hook.after_test_epoch(runner('whole', 'core'))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ['case.nii.gz', 'masks_core.npy', 'masks_whole.npy']
    np.testing.assert_array_equal(np.load(tmp_path / 'masks_core.npy'), masks[1])


def test_volumes_that_the_data_set_turned_are_turned_back(tmp_path):
    write_volume(Volume(np.zeros(SIZE, np.float32), AFFINE), tmp_path / 'image.nii.gz')
    step = Reorient.plan(read_volume(tmp_path / 'image.nii.gz').grid, 'IRP')
    turned = slices(
        'a', step.apply(LABELS, 'nearest'), step.target, orientation='IRP', img_path=str(tmp_path / 'image.nii.gz')
    )
    assert step.target.size != SIZE
    (found,) = SliceAssembler().whole(turned)
    np.testing.assert_array_equal(found.pred_sem_seg.data, LABELS)
    assert grid_difference(found.native_grid, read_volume(tmp_path / 'image.nii.gz')) is None


@pytest.mark.parametrize('rank', [0, 1])
def test_slices_on_two_processes(rank, monkeypatch, caplog):
    """The sampler deals slices out in turn, and repeats one; each process writes some of the volumes."""
    dealt = [sample for name in 'abcd' for sample in slices(name)][:-1]
    ranks = [SliceAssembler(), SliceAssembler()]
    early = [list(part.whole(dealt[k::2])) for k, part in enumerate(ranks)]
    assert early == [[], []]
    states = [(part._volumes, part._done) for part in ranks]
    monkeypatch.setattr(slice_assembler, 'all_gather_object', lambda mine: states)
    monkeypatch.setattr(slice_assembler, 'get_world_size', lambda: 2)
    monkeypatch.setattr(slice_assembler, 'get_rank', lambda: rank)
    said = []
    monkeypatch.setattr(slice_assembler, 'print_log', lambda text, logger, level: said.append((text, level)))
    found = list(ranks[rank].rest())
    assert [sample.case_id for sample in found] == [['a', 'c'], ['b']][rank]
    for sample in found:
        np.testing.assert_array_equal(sample.pred_sem_seg.data, LABELS)
    assert said == [[('Volumes with slices that were not predicted: d', logging.WARNING)], []][rank]
    assert list(ranks[rank].whole(dealt[:1])) == []


def test_slices_without_truth_and_a_second_test():
    assembler = SliceAssembler()
    parts = slices('a')
    del parts[1].gt_sem_seg
    (found,) = assembler.whole(parts)
    assert 'gt_sem_seg' not in found
    assembler.clear()
    bare = slices('a')[0]
    del bare.pred_sem_seg
    assert list(assembler.whole([bare])) == list(assembler.rest()) == []
    assert len(list(assembler.whole(slices('a')))) == 1
