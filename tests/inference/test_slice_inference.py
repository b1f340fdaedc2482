"""Models of slices through the predictor: volume in, the labels of a test out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from slice_models import checkpoint, config

from mmseg_medical import apis
from mmseg_medical.datasets import ACDCDataset, BraTSDataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.phantoms import write_acdc, write_brats
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, grid_difference, read_volume, write_volume
from mmseg_medical.inference import BatchOptions, Predictor, export_model_directory, find_cases, predict_cases
from mmseg_medical.inference.loading import load_from_checkpoints
from mmseg_medical.models.segmentors import MedicalEncoderDecoder

STEPS = [dict(type='NormalizeIntensity', mode='zscore'), dict(type='ResampleInPlane', spacing_mm=2.0)]


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return write_acdc(tmp_path_factory.mktemp('acdc'), 2, 0, size=(17, 19, 3))


def trained(root: Path, folder: Path, networks: int = 1, **options) -> tuple[Config, list[Path]]:
    loader = options.pop('loader', dict(copies=3))
    cfg = config('ACDCDataset', root, STEPS, 4, loader, channels=3, kernel_size=3, **options)
    return cfg, [checkpoint(folder / f'{seed}.pth', cfg, seed) for seed in range(networks)]


def volumes(root: Path) -> list[dict]:
    return ACDCDataset(str(root)).volumes


@pytest.mark.parametrize(
    'options',
    [
        dict(loader=dict(neighbours=1), divisor=8),
        dict(tta=True, test_cfg=dict(mode='slide', crop_size=(8, 8), stride=(5, 5))),
        dict(orientation='PIR', head=dict(multi_label=True)),
    ],
    ids=['neighbours and padding', 'windows and views', 'turned masks'],
)
def test_labels_are_those_of_a_test(root, tmp_path, options):
    tta, orientation = options.pop('tta', False), options.pop('orientation', None)
    cfg, files = trained(root, tmp_path, **options)
    cfg.tta_cfg = dict(mirror_axes=(1,), quarter_turns=True)
    cfg.test_dataloader.dataset.orientation = orientation
    cfg.test_dataloader.dataset.pipeline[0].store_dir = str(tmp_path / 'store')
    masks = 'head' in options
    if masks:  # the truth of overlapping classes does not matter here
        cfg.test_evaluator = []
    names = ['', *(f'_{name}' for name in ACDCDataset.METAINFO['classes'])]
    folders = dict(work_dir=tmp_path / 'work', out=tmp_path / 'out', show_dir=tmp_path / 'show')
    apis.test(cfg.copy(), files[0], tta=tta, **folders)
    predictor = Predictor(cfg, files[0], tta=tta)
    assert not predictor.segments_photographs
    for volume in volumes(root):
        found = predictor.predict(volume['img_path'])
        assert grid_difference(found.labels, read_volume(volume['img_path'])) is None
        assert (tmp_path / 'show' / f'{volume["case_id"]}.png').is_file()
        written = [
            read_volume(tmp_path / 'out' / 'predictions' / f'{volume["case_id"]}{name}.nii.gz')
            for name in names[1:] * masks + names[:1] * (not masks)
        ]
        arrays = np.moveaxis(found.labels.array, -1, 0) if masks else [found.labels.array]
        assert len({*np.unique(found.labels.array).tolist()}) > 1
        for labels, file in zip(arrays, written, strict=True):
            np.testing.assert_array_equal(labels, file.array)
            assert grid_difference(file, found.labels, 1e-6) is None


def test_nothing_is_stored_and_batches_do_not_matter(root, tmp_path, monkeypatch):
    cfg, files = trained(root, tmp_path)
    path = volumes(root)[1]['img_path']
    single = Predictor(cfg, files[0]).predict(path, probabilities=True)
    seen = []
    network = MedicalEncoderDecoder.network
    monkeypatch.setattr(MedicalEncoderDecoder, 'network', lambda self, x: (seen.append(len(x)), network(self, x))[1])
    cfg.test_dataloader.batch_size = 2
    batched = Predictor(cfg, files[0]).predict(path, probabilities=True)
    assert seen == [2, 1]
    np.testing.assert_allclose(batched.probabilities.array, single.probabilities.array, atol=1e-5)
    assert not Path(root, 'store').exists()


def test_probabilities_ensembles_and_views(root, tmp_path):
    cfg, files = trained(root, tmp_path, networks=2)
    volume = read_volume(volumes(root)[0]['img_path'])
    singles = [Predictor(cfg, file).predict(volume, probabilities=True).probabilities.array for file in files]
    both = Predictor(cfg, files).predict(volume, probabilities=True)
    np.testing.assert_allclose(both.probabilities.array.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(both.probabilities.array.argmax(-1), both.labels.array)
    plain = Predictor(cfg, files[0]).predict(volume)
    np.testing.assert_array_equal(singles[0].argmax(-1), plain.labels.array)
    assert np.abs(singles[0] - singles[1]).max() > 0.1
    mirrored = Predictor(cfg, files[0], tta=(0,)).predict(volume, probabilities=True).probabilities.array
    upside = Volume(volume.array[::-1].copy(), volume.affine)
    again = Predictor(cfg, files[0], tta=(0,)).predict(upside, probabilities=True).probabilities.array[::-1]
    np.testing.assert_allclose(again, mirrored, atol=1e-5)
    with pytest.raises(ConfigError, match='mirror_axes or quarter_turns'):
        Predictor(cfg, files[0], tta=True)
    with pytest.raises(ConfigError, match='mirror axes must be different'):
        Predictor(cfg, files[0], tta=(2,))


def test_the_mean_of_an_ensemble_without_resampling(root, tmp_path):
    cfg, files = trained(root, tmp_path, networks=2)
    del cfg.test_dataloader.dataset.pipeline[0].pipeline[2]
    volume = read_volume(volumes(root)[0]['img_path'])
    singles = [Predictor(cfg, file).predict(volume, probabilities=True).probabilities.array for file in files]
    both = Predictor(cfg, files).predict(volume, probabilities=True).probabilities.array
    np.testing.assert_allclose(both, np.mean(singles, axis=0), atol=1e-6)
    less = Predictor(cfg, files, precision='bfloat16').predict(volume, probabilities=True).probabilities.array
    assert 0 < np.abs(less - both).max() < 0.2


def test_components_are_filtered(root, tmp_path):
    cfg, files = trained(root, tmp_path)
    path = volumes(root)[0]['img_path']
    every = Predictor(cfg, files[0]).predict(path)
    kept = Predictor(cfg, files[0], component_filter=dict(keep_largest=True)).predict(path)
    assert 0 < sum(kept.voxels().values()) < sum(every.voxels().values())


def test_modalities(tmp_path):
    entry = BraTSDataset(str(write_brats(tmp_path / 'brats', 1, size=(9, 10, 3)))).volumes[0]
    cfg = config('BraTSDataset', tmp_path, STEPS[:1], 4, channels=4, kernel_size=3)
    predictor = Predictor(cfg, checkpoint(tmp_path / 'w.pth', cfg))
    paths = entry['modality_paths']
    found = predictor.predict(paths).labels
    read = [read_volume(path) for path in paths]
    stacked = Volume(np.stack([one.array for one in read], -1), read[0].affine, has_channels=True)
    turned = [Volume(one.array[::-1], one.affine @ flip(len(one.array))) for one in read[1:]]
    for given in (
        [Path(path) for path in paths],
        read,
        stacked,
        np.stack([one.array for one in read]),
        [read[0], *turned],
    ):
        np.testing.assert_array_equal(predictor.predict(given).labels.array, found.array)
    with pytest.raises(DataError, match='expected 4 channels'):
        predictor.predict(paths[:3])
    assert predictor.visualize(paths).ndim == 3
    cfg.test_dataloader.dataset.orientation = 'PIR'
    other = Predictor(cfg, tmp_path / 'w.pth')
    across = other.predict(paths).labels
    assert grid_difference(across, read[0]) is None
    np.testing.assert_array_equal(other.predict(stacked).labels.array, across.array)
    assert not np.array_equal(across.array, found.array)


def flip(length: int) -> np.ndarray:
    matrix = np.diag([-1.0, 1, 1, 1])
    matrix[0, 3] = length - 1
    return matrix


@pytest.mark.parametrize(
    ('size', 'message'),
    [((9, 8), r'expected an image of 3 axes.*2 axes'), ((9, 8, 3, 5), r'expected 1 channel.*found 5')],
)
def test_files_of_other_axes(root, tmp_path, size, message):
    cfg, files = trained(root, tmp_path)
    array = np.random.default_rng(0).random(size).astype(np.float32)
    write_volume(Volume(array, np.eye(4), has_channels=len(size) == 4), tmp_path / 'case.nii.gz')
    with pytest.raises(DataError, match=message):
        Predictor(cfg, files[0]).predict(tmp_path / 'case.nii.gz')


def test_what_cannot_be_used(root, tmp_path):
    cfg, files = trained(root, tmp_path)
    predictor = Predictor(cfg, files[0])
    (tmp_path / 'cut.nii.gz').write_bytes(Path(volumes(root)[0]['img_path']).read_bytes()[:300])
    for name in ('cut.nii.gz', 'missing.nii.gz'):
        with pytest.raises(DataError, match=name):
            predictor.predict(tmp_path / name)
    with pytest.raises(DataError, match='spacing'):
        predictor.predict(np.zeros((9, 8, 3), np.float32))
    steps = cfg.test_dataloader.dataset.pipeline
    with pytest.raises(ConfigError, match='must be the first step of the test pipeline, found PackSliceInputs'):
        Predictor(Config({**cfg, 'predict_pipeline': steps[::-1]}), files[0])
    steps[0].copies = 2
    with pytest.raises(ConfigError, match='LoadSlice makes 2 channels of each modality'):
        Predictor(cfg, files[0])


def test_a_model_directory_holds_no_place_of_this_machine(root, tmp_path):
    pytest.importorskip('safetensors')
    cfg, files = trained(root, tmp_path)
    cfg.store_dir = str(tmp_path / 'secret')
    folder = export_model_directory(load_from_checkpoints(cfg, files[0]), tmp_path / 'model')
    for file in ('config.json', 'model.json', 'README.md'):
        text = (folder / file).read_text()
        assert 'store_dir' not in text
        assert str(root) not in text
        assert 'LoadCaseAnnotations' not in text or file == 'config.json'
    assert '1 channel(s), 3 axes, spacing 2 x 2 mm' in (folder / 'README.md').read_text()
    paths = [volume['img_path'] for volume in volumes(root)]
    options = BatchOptions(tmp_path / 'out', overlay=True, probabilities=True)
    report = predict_cases(Predictor(folder), find_cases(paths[:2]), options, progress=False)
    assert report['counts'] == {'done': 2, 'skipped': 0, 'failed': 0}
    expected = Predictor(cfg, files[0]).predict(paths[0]).labels.array
    np.testing.assert_array_equal(read_volume(tmp_path / 'out' / Path(paths[0]).name).array, expected)
