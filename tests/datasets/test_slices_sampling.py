"""Slices are drawn so that classes are met, and it is said how often."""

from __future__ import annotations

import numpy as np
import pytest
from slice_samples import pipeline

from mmseg_medical.datasets import ACDCDataset, IDRiDDataset, MnMsDataset
from mmseg_medical.datasets.phantoms import write_acdc, write_idrid, write_mnms
from mmseg_medical.datasets.slices import ClassExposureSampler
from mmseg_medical.datasets.slices.sampler import expected_exposure, exposure_text
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import read_volume
from mmseg_medical.registry import DATA_SAMPLERS


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return ACDCDataset(str(write_acdc(tmp_path_factory.mktemp('acdc'), 3, 0, size=(24, 22, 7))))


def test_counts_are_those_of_the_files(dataset, tmp_path):
    kept = ACDCDataset(dataset.data_root, cache_dir=str(tmp_path))
    counts = kept.class_counts()
    assert counts.shape == (len(dataset), 4)
    for index in (0, 3, 20):
        entry = dataset.get_data_info(index)
        labels = read_volume(entry['seg_map_path']).array[..., entry['slice_index']]
        assert counts[index].tolist() == [(labels == k).sum() for k in range(4)]
    assert len(list(tmp_path.glob('*-counts-*.json'))) == 6
    np.testing.assert_array_equal(kept.class_counts(), dataset.class_counts())


def test_a_damaged_count_is_made_again(dataset, tmp_path):
    kept = ACDCDataset(dataset.data_root, cache_dir=str(tmp_path))
    expected = kept.class_counts()
    first, second, *_ = sorted(tmp_path.glob('*.json'))
    first.write_text(first.read_text().replace('"crc": ', '"crc": 1'))
    second.write_text('{')
    with pytest.warns(UserWarning, match='is damaged'):
        np.testing.assert_array_equal(kept.class_counts(), expected)


def test_a_cache_that_cannot_be_written_is_said(dataset, tmp_path):
    blocked = tmp_path / 'file'
    blocked.write_text('')
    with pytest.warns(UserWarning, match='Set cache_dir of the dataset'):
        counts = ACDCDataset(dataset.data_root, cache_dir=str(blocked)).class_counts()
    np.testing.assert_array_equal(counts, dataset.class_counts())


def test_times_of_a_series_are_counted_apart(tmp_path):
    dataset = MnMsDataset(str(write_mnms(tmp_path, 1, 0, 0, size=(14, 13, 3))))
    counts = dataset.class_counts()
    for index in (1, 4):
        entry = dataset.get_data_info(index)
        labels = read_volume(entry['seg_map_path']).array[..., entry['slice_index'], entry['frame']]
        assert counts[index, 1] == (labels == 1).sum() > 0


def test_exposure_in_closed_form():
    # four slices: empty, only class 1, classes 1 and 2, empty
    shown = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0]], bool)
    np.testing.assert_allclose(expected_exposure(shown, 0.0, np.array([0, 0.5, 0.5])), [1, 0.5, 0.25])
    # class 1 drawn: a half of its slices show 2; class 2 drawn: its slice shows both
    np.testing.assert_allclose(expected_exposure(shown, 1.0, np.array([0, 0.5, 0.5])), [1, 1, 0.75])
    np.testing.assert_allclose(expected_exposure(shown, 0.5, np.array([0, 0.5, 0.5])), [1, 0.75, 0.5])
    text = exposure_text(('background', 'a', 'b'), shown, np.array([1, 0.75, 0.5]))
    assert '4 slices, 2 without foreground' in text
    assert 'b: 1 (25.0%), drawn 50.0%' in text


def test_draws_follow_the_exposure_and_the_seed(dataset):
    sampler = DATA_SAMPLERS.build(
        dict(type='ClassExposureSampler', dataset=dataset, foreground_prob=0.8, class_probs={1: 1, 3: 3}, seed=5)
    )
    assert len(sampler) == len(dataset)
    drawn = []
    for epoch in range(60):
        sampler.set_epoch(epoch)
        drawn += list(sampler)
    frequency = sampler.shown[drawn].mean(axis=0)
    np.testing.assert_allclose(frequency, sampler.exposure, atol=4 * 0.5 / np.sqrt(len(drawn)))
    assert sampler.exposure[1] > sampler.shown[:, 1].mean()
    sampler.set_epoch(0)
    assert list(sampler) == drawn[: len(sampler)]
    assert drawn[0].seed == (5, 0, 0)
    again = ClassExposureSampler(dataset, 0.8, {1: 1, 3: 3}, seed=6)
    assert list(again) != drawn[: len(sampler)]


def test_ranks_share_one_sequence(dataset, monkeypatch):
    whole = list(ClassExposureSampler(dataset, seed=1))
    parts = []
    for rank in range(4):
        monkeypatch.setattr('mmseg_medical.datasets.slices.sampler.get_dist_info', lambda rank=rank: (rank, 4))
        parts.append(list(ClassExposureSampler(dataset, seed=1)))
    assert len({len(part) for part in parts}) == 1
    merged = [index for group in zip(*parts, strict=True) for index in group]
    assert merged[: len(whole)] == whole
    assert merged[len(whole) :] == whole[: len(merged) - len(whole)]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(foreground_prob=1.5), 'foreground_prob in'),
        (dict(shuffle=False), 'shuffle=False'),
        (dict(class_probs={7: 1.0}), r'classes 0\.\.3'),
        (dict(class_probs={1: -1.0}), 'not negative'),
        (dict(class_probs={2: 0.0}), 'no slice shows a class'),
    ],
)
def test_wrong_arguments(dataset, options, message):
    with pytest.raises(ConfigError, match=message):
        ClassExposureSampler(dataset, seed=0, **options)


def test_other_data_sets_are_refused(tmp_path):
    photographs = IDRiDDataset(write_idrid(tmp_path, 1, 1, (32, 48)))
    with pytest.raises(ConfigError, match='found IDRiDDataset'):
        ClassExposureSampler(photographs)


def test_the_seed_of_a_draw_reaches_the_augmentation(dataset, tmp_path):
    steps = pipeline(tmp_path, 4)
    seeded = ACDCDataset(dataset.data_root, pipeline=[steps[0], dict(type='RandomIntensity', prob=1.0), steps[1]])
    indices = list(ClassExposureSampler(seeded, seed=3))[:4]
    a, b = ([seeded[index]['inputs'] for index in indices] for _ in range(2))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)
