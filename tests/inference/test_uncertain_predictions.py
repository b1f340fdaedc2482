"""Uncertainty through the predictor: ensembles, samples of dropout, windows, planes, files."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import slice_models
import torch
import volume_slices
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tiny_volume_model import image, work_dir, write_images

from mmseg_medical.datasets import ACDCDataset
from mmseg_medical.datasets.phantoms import write_acdc, write_decathlon
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import grid_difference, read_volume
from mmseg_medical.inference import BatchOptions, Predictor, find_cases, predict_cases
from mmseg_medical.registry import MODELS

MAPS = ('foreground', 'variance', 'entropy', 'mutual_information')


@pytest.fixture(scope='module')
def ensemble(tmp_path_factory):
    folder = work_dir(tmp_path_factory.mktemp('work') / 'run', networks=2)
    return Config.fromfile(folder / 'tiny.py'), [folder / 'epoch_1.pth', folder / 'epoch_2.pth']


@pytest.fixture(scope='module')
def dropping(tmp_path_factory, ensemble):
    """A network with dropout, and its weights."""
    cfg = copy.deepcopy(ensemble[0])
    cfg.model.backbone.drop_rate = 0.5
    init_default_scope('mmseg_medical')
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp('dropout') / 'w.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta={}), file)
    return cfg, file


def arrays(segmentation):
    return {name: one.array for name, one in segmentation.uncertainty.items()}


def test_an_ensemble(ensemble):
    cfg, files = ensemble
    volume = image(axes='SLA')
    p = np.stack(
        [Predictor(cfg, file).predict(volume, probabilities=True).probabilities.array for file in files]
    ).astype(np.float64)
    plain = Predictor(cfg, files).predict(volume, probabilities=True)
    assert plain.uncertainty is None
    found = Predictor(cfg, files).predict(volume, probabilities=True, uncertainty=True)
    np.testing.assert_array_equal(found.labels.array, plain.labels.array)
    np.testing.assert_allclose(found.probabilities.array, plain.probabilities.array, atol=1e-6)
    maps, mean, f = arrays(found), p.mean(0), 1 - p[..., 0]
    assert tuple(maps) == MAPS
    total = -(mean * np.log(mean)).sum(-1)
    np.testing.assert_allclose(maps['foreground'], f.mean(0), atol=1e-6)
    np.testing.assert_allclose(maps['variance'], f.var(0), atol=1e-6)
    np.testing.assert_allclose(maps['entropy'], total, atol=1e-5)
    np.testing.assert_allclose(maps['mutual_information'], total + (p * np.log(p)).sum(-1).mean(0), atol=1e-5)
    assert maps['mutual_information'].max() > 0.01
    for one in found.uncertainty.values():
        assert grid_difference(one, volume) is None
        assert one.array.dtype == np.float32
    assert Predictor(cfg, files).predict(volume, uncertainty=True).probabilities is None


def test_one_network_is_unsure_but_agrees_with_itself(ensemble):
    cfg, files = ensemble
    maps = arrays(Predictor(cfg, files[0]).predict(image(), uncertainty=True))
    assert maps['entropy'].max() > 0.1
    assert maps['variance'].max() < 1e-6
    assert maps['mutual_information'].max() < 1e-6


def test_one_network_says_the_same_with_and_without_maps(ensemble):
    """Where the way back interpolates, it does so with the scores of the network in both cases."""
    cfg, files = copy.deepcopy(ensemble[0]), ensemble[1]
    cfg.test_dataloader.dataset.pipeline.insert(2, dict(type='ResampleVolume', spacing_mm=(2.5, 2.5, 2.5)))
    predictor, volume = Predictor(cfg, files[0]), image((13, 11, 12))
    plain = predictor.predict(volume, probabilities=True)
    found = predictor.predict(volume, probabilities=True, uncertainty=True)
    np.testing.assert_array_equal(found.labels.array, plain.labels.array)
    np.testing.assert_allclose(found.probabilities.array, plain.probabilities.array, atol=1e-6)
    np.testing.assert_allclose(arrays(found)['foreground'], 1 - plain.probabilities.array[..., 0], atol=1e-6)


def test_only_generators_that_are_put_back_are_seeded(dropping, monkeypatch):
    """``torch.manual_seed`` seeds every device of the machine."""
    seeded = []
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', seeded.append)
    Predictor(*dropping, mc_dropout=1).predict(image())
    assert seeded == []


def test_samples_of_dropout_are_the_same_every_time(dropping):
    cfg, file = dropping
    volume = image()
    predictor = Predictor(cfg, file, mc_dropout=4)
    state = torch.get_rng_state()
    first = predictor.predict(volume, uncertainty=True)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    second = predictor.predict(volume, uncertainty=True)
    for name in MAPS:
        np.testing.assert_array_equal(arrays(first)[name], arrays(second)[name])
    assert arrays(first)['mutual_information'].max() > 1e-3
    assert arrays(first)['variance'].min() >= 0
    np.testing.assert_array_equal(predictor.predict(volume).labels.array, first.labels.array)
    other = Predictor(cfg, file, mc_dropout=4, seed=1)
    assert not np.array_equal(arrays(other.predict(volume, uncertainty=True))['entropy'], arrays(first)['entropy'])
    assert len({predictor.identity, other.identity, Predictor(cfg, file).identity}) == 3


def test_dropout_of_an_ensemble_in_windows(dropping):
    cfg, file = copy.deepcopy(dropping[0]), dropping[1]
    cfg.model.test_cfg = dict(mode='slide', window=(4, 4, 4), batch_size=3)
    predictor = Predictor(cfg, [file, file], tta=True, mc_dropout=3)
    calls = []
    network = predictor._inference.first.backbone.forward
    predictor._inference.first.backbone.forward = lambda x: (calls.append(len(x)), network(x))[1]
    found = predictor.predict(image((7, 5, 9)), uncertainty=True)
    maps = arrays(found)
    # 3 x 2 x 4 windows in eight batches of three; three times, in two views
    assert len(calls) == 8 * 3 * 2
    assert max(calls) == 3
    assert all(np.isfinite(one).all() and one.min() >= 0 for one in maps.values())
    assert (maps['mutual_information'] <= maps['entropy'] + 1e-6).all()
    assert maps['entropy'].max() <= np.log(3) + 1e-6
    assert maps['variance'].max() > 1e-5
    # labels and probabilities are of the same draws, whether maps are asked for or not
    plain = predictor.predict(image((7, 5, 9)), probabilities=True).probabilities.array
    np.testing.assert_allclose(1 - plain[..., 0], maps['foreground'], atol=1e-6)


def test_planes_count_as_members(tmp_path):
    root = write_decathlon(tmp_path / 'msd', num_cases=1, size=(8, 9, 5))
    cfg = volume_slices.config(root, tmp_path / 'store', implicit=True, drop_rate=0.5)
    file = volume_slices.checkpoint(tmp_path / 'w.pth', cfg)
    path = next((root / 'Task04_Hippocampus' / 'imagesTr').glob('*.nii.gz'))
    single = arrays(Predictor(cfg, file).predict(path, uncertainty=True))
    both = Predictor(cfg, file, planes=('axial', 'sagittal')).predict(path, probabilities=True, uncertainty=True)
    assert single['mutual_information'].max() < 1e-5
    maps = arrays(both)
    assert maps['mutual_information'].max() > 0.01
    np.testing.assert_allclose(maps['foreground'], 1 - both.probabilities.array[..., 0], atol=1e-5)
    sampling = Predictor(cfg, file, planes=('axial', 'sagittal'), mc_dropout=3)
    prepare, prepared = sampling._inference.prepare_volume, []
    sampling._inference.prepare_volume = lambda entry: prepared.append(entry['orientation']) or prepare(entry)
    samples = sampling.predict(path, uncertainty=True)
    assert prepared == ['RAS', 'ASR']  # once for each plane, not for each sample
    assert arrays(samples)['variance'].max() > 1e-4
    assert grid_difference(samples.uncertainty['entropy'], read_volume(path)) is None


def test_files(ensemble, tmp_path):
    cfg, files = ensemble
    cases = find_cases([write_images(tmp_path / 'images', ('a',))])
    predictor = Predictor(cfg, files)
    plain = BatchOptions(tmp_path / 'out')
    options = BatchOptions(tmp_path / 'out', uncertainty=True)
    assert predict_cases(predictor, cases, plain, progress=False)['counts']['done'] == 1
    report = predict_cases(predictor, cases, options, progress=False)  # what is there lacks the maps
    assert report['counts']['done'] == 1
    names = [f'uncertainty/a_{name}.nii.gz' for name in MAPS]
    assert report['cases']['a']['other_files'] == names
    maps = predictor.predict(tmp_path / 'images' / 'a.nii.gz', uncertainty=True)
    for name, file in zip(MAPS, names, strict=True):
        written = read_volume(tmp_path / 'out' / file)
        np.testing.assert_allclose(written.array, maps.uncertainty[name].array, rtol=1e-6)
        assert grid_difference(written, maps.labels, 1e-5) is None
    assert predict_cases(predictor, cases, options, progress=False)['counts']['skipped'] == 1
    with pytest.raises(ValueError, match='uncertainty=True'):
        predictor.predict(image()).save_uncertainty(tmp_path / 'x.nii.gz')


def test_what_cannot_be_asked_for(ensemble):
    cfg, files = ensemble
    with pytest.raises(ConfigError, match=r'this VolumeSegmentor has no dropout layer'):
        Predictor(cfg, files, mc_dropout=5)
    for number in (-1, 2.5):
        with pytest.raises(ConfigError, match='mc_dropout is a number of samples'):
            Predictor(cfg, files, mc_dropout=number)


def test_slices_of_an_encoder_decoder_with_overlapping_masks(tmp_path):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=(9, 11, 3))
    path = ACDCDataset(str(root)).volumes[0]['img_path']
    steps = [dict(type='NormalizeIntensity', mode='zscore')]
    options = dict(channels=1, kernel_size=3, head=dict(multi_label=True))
    cfg = slice_models.config('ACDCDataset', root, steps, 3, **options)
    files = [slice_models.checkpoint(tmp_path / f'{seed}.pth', cfg, seed) for seed in range(3)]
    p = np.stack([Predictor(cfg, file).predict(path, probabilities=True).probabilities.array for file in files])
    plain = Predictor(cfg, files).predict(path)
    found = Predictor(cfg, files).predict(path, uncertainty=True)
    np.testing.assert_array_equal(found.labels.array, plain.labels.array)
    some = 1 - (1 - p).prod(-1)
    np.testing.assert_allclose(arrays(found)['foreground'], some.mean(0), atol=1e-5)
    np.testing.assert_allclose(arrays(found)['variance'], some.var(0), atol=1e-5)
    assert arrays(found)['variance'].max() > 1e-3
