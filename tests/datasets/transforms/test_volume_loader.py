"""Batches of volumes depend on the seed alone, and errors in workers name the case."""

import hashlib

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmseg_medical.datasets import DataError
from mmseg_medical.datasets.samplers import seed_sample
from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.registry import TRANSFORMS

CASES = 3
PIPELINE = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadVolumeAnnotations', num_classes=3),
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='RandomBiasField'),
    dict(type='NormalizeIntensity'),
    dict(type='RandomPatch', patch_size=(8, 7, 6), foreground_prob=0.5),
    dict(type='RandomAffineVolume', prob=0.7, elastic_prob=0.5),
    dict(type='RandomLowResolution', prob=0.5),
    dict(type='RandomFlipVolume'),
    dict(type='PackVolumeInputs'),
]
TORCHIO = [
    dict(type='TorchIOTransform', transform=dict(type=kind), prob=0.7) for kind in ('RandomNoise', 'RandomAffine')
]


class Cases:
    """Image files of a folder; what the data sets do with a seeded index and with errors."""

    def __init__(self, folder, pipeline):
        self.folder = folder
        self.steps = [TRANSFORMS.build(step) for step in pipeline]

    def __len__(self):
        return CASES

    def __getitem__(self, index):
        seed_sample(index)
        case = f'case_{int(index)}'
        results = dict(
            img_path=str(self.folder / f'{case}.nii.gz'),
            seg_map_path=str(self.folder / f'{case}_label.nii.gz'),
            case_id=case,
        )
        try:
            for step in self.steps:
                results = step(results)
        except DataError as error:
            raise DataError(f'case {case}: {error}') from error
        return results


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cases')
    rng = np.random.default_rng(0)
    for number in range(CASES):
        size = (9 + number, 8, 7)
        affine = np.diag([-1.0, 1.5, 2.0, 1])
        write_volume(Volume(rng.random(size).astype(np.float32), affine), folder / f'case_{number}.nii.gz')
        label = rng.integers(0, 3, size).astype(np.uint8)
        write_volume(Volume(label, affine), folder / f'case_{number}_label.nii.gz')
    return folder


def _batches(folder, workers, pipeline=PIPELINE, seed=7, number=6):
    init_default_scope('mmseg_medical')
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=workers,
            sampler=dict(type='SeededInfiniteSampler'),
            collate_fn=dict(type='pseudo_collate'),
            dataset=Cases(folder, pipeline),
        ),
        seed=seed,
    )
    return [_digest(batch) for batch, _ in zip(loader, range(number), strict=False)]


def _digest(batch):
    digest = hashlib.sha256()
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        digest.update(image.numpy().tobytes())
        digest.update(sample.gt_sem_seg.data.numpy().tobytes())
        digest.update(repr((sample.case_id, sample.augmentations, sample.affine.tolist())).encode())
    return digest.hexdigest()


@pytest.mark.filterwarnings('ignore:This DataLoader will create')
@pytest.mark.parametrize('libraries', ['own', 'torchio'])
def test_batches_do_not_depend_on_the_number_of_workers(folder, libraries):
    pipeline = PIPELINE
    if libraries == 'torchio':
        pytest.importorskip('torchio')
        pipeline = [*PIPELINE[:-1], *TORCHIO, PIPELINE[-1]]
    reference = _batches(folder, 0, pipeline)
    assert len(set(reference)) == len(reference)
    for workers in (1, 4):
        assert _batches(folder, workers, pipeline) == reference


def test_another_seed_gives_other_batches(folder):
    assert not set(_batches(folder, 0)) & set(_batches(folder, 0, seed=8))


def test_error_of_a_worker_names_the_case(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / 'case_1.nii.gz'
    damaged.write_bytes(damaged.read_bytes()[:-30])
    with pytest.raises(DataError) as caught:
        _batches(tmp_path, 1)
    assert 'case case_1: ' in str(caught.value)
    assert str(damaged) in str(caught.value)
