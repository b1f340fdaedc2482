# ruff: noqa: NPY002, S301 - the global generator is what is tested; the pickle is our own
import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmseg_medical.datasets.phantoms import write_idrid
from mmseg_medical.datasets.samplers import SeededIndex, SeededInfiniteSampler, SeededSampler, seed_sample


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return str(write_idrid(tmp_path_factory.mktemp('idrid'), 3, 0, (67, 91)))


def _batches(root, num_workers, seed=5, number=5):
    init_default_scope('mmseg_medical')
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=num_workers,
            sampler=dict(type='SeededInfiniteSampler'),
            dataset=dict(
                type='IDRiDDataset',
                data_root=root,
                pipeline=[
                    dict(type='LoadFundusImage', scale=(91, 67), ratio_range=(0.5, 2.0)),
                    dict(type='LoadLesionAnnotations'),
                    dict(type='LesionCrop', crop_size=(31, 41)),
                    dict(type='RandomFlip', prob=0.5),
                    dict(type='PhotoMetricDistortion'),
                    dict(type='PackLesionInputs'),
                ],
            ),
        ),
        seed=seed,
    )
    return [batch for batch, _ in zip(loader, range(number), strict=False)]


@pytest.mark.filterwarnings('ignore:This DataLoader will create')
def test_batches_do_not_depend_on_the_number_of_workers(root):
    reference = _batches(root, 0)
    for workers in (1, 3):
        for ours, theirs in zip(reference, _batches(root, workers), strict=True):
            for first, second in zip(ours['inputs'], theirs['inputs'], strict=True):
                assert torch.equal(first, second)
            for first, second in zip(ours['data_samples'], theirs['data_samples'], strict=True):
                assert first.metainfo == second.metainfo
                assert torch.equal(first.gt_sem_seg.data, second.gt_sem_seg.data)


def test_another_seed_gives_other_batches(root):
    first, second = _batches(root, 0, 1, 1)[0], _batches(root, 0, 2, 1)[0]
    assert [s.resize_ratio for s in first['data_samples']] != [s.resize_ratio for s in second['data_samples']]


def test_visits_of_one_case_differ(root):
    ratios = {(s.case_id, s.resize_ratio) for batch in _batches(root, 0) for s in batch['data_samples']}
    assert len(ratios) == 10


def test_index_survives_pickling():
    index = pickle.loads(pickle.dumps(SeededIndex(7, (3, 4))))
    assert index == 7
    assert index.seed == (3, 4)


def test_ranks_share_one_sequence():
    whole = SeededInfiniteSampler(range(6), seed=1)
    parts = [SeededInfiniteSampler(range(6), seed=1) for _ in range(2)]
    for rank, part in enumerate(parts):
        part.rank, part.world_size = rank, 2
    iterators = [iter(part) for part in parts]
    for place, index in zip(range(12), whole, strict=False):
        other = next(iterators[place % 2])
        assert (int(index), index.seed) == (int(other), other.seed)


def test_epochs_have_seeds_of_their_own_that_ranks_share():
    def visits(epoch, rank=0, world_size=1):
        sampler = SeededSampler(range(6), seed=1)
        sampler.rank, sampler.world_size = rank, world_size
        sampler.num_samples = 6 // world_size
        sampler.set_epoch(epoch)
        return [(int(index), index.seed) for index in sampler]

    first, second = visits(0), visits(1)
    assert sorted(index for index, _ in first) == list(range(6))
    assert len({seed for _, seed in first + second}) == 12
    parts = [visits(0, rank, 2) for rank in range(2)]
    assert [pair for pairs in zip(*parts, strict=True) for pair in pairs] == first


def _visits(sampler, number):
    return [(int(index), index.seed) for index, _ in zip(sampler, range(number), strict=False)]


@pytest.mark.parametrize('skipped', [0, 1, 4, 5, 13])
@pytest.mark.parametrize(('rank', 'world_size'), [(0, 1), (1, 2)])
def test_resumed_run_goes_on_as_an_uninterrupted_one(skipped, rank, world_size):
    def make():
        sampler = SeededInfiniteSampler(range(5), seed=3)
        sampler.rank, sampler.world_size = rank, world_size
        return sampler

    resumed = make()
    resumed.skip(skipped)
    assert _visits(resumed, 12) == _visits(make(), skipped + 12)[skipped:]


def test_only_seeded_indices_seed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    drawn = []
    for index in (SeededIndex(0, (1, 2)), SeededIndex(5, (1, 2)), 5):
        seed_sample(index)
        drawn.append((np.random.random_sample(), random.random()))
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(before, torch.get_rng_state())
