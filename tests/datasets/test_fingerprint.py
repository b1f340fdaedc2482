"""What is measured of a data set of volumes, what is found wrong, and what is proposed."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.datasets import MSDDataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.fingerprint import Expected, measure_case, measure_cases, propose, summarise
from mmseg_medical.datasets.fingerprint.proposal import plan_levels, target_spacing
from mmseg_medical.datasets.fingerprint.unet_memory import count_parameters, saved_values
from mmseg_medical.datasets.phantoms import write_decathlon
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.models.backbones.unet import MedicalUNet
from mmseg_medical.models.decode_heads.volume_head import VolumeHead
from mmseg_medical.models.losses.dice_ce import DiceCELoss

EXPECTED = Expected(('background', 'one', 'two', 'none'), ('MRI',))


def stored(folder, image, labels, affine=None, case='a', suffix='.nii.gz') -> dict:
    affine = np.diag([2.0, 3.0, 0.5, 1.0]) if affine is None else affine
    entry = dict(case_id=case)
    for key, array in (('img_path', image), ('seg_map_path', labels)):
        entry[key] = str(folder / f'{case}_{key}{suffix}')
        write_volume(Volume(array, affine), entry[key])
    return entry


def blank(size=(2, 3, 4)) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(size, np.float32), np.zeros(size, np.uint8)


def test_a_case_by_hand(tmp_path):
    image, labels = blank()
    labels[0, 0, :2], labels[1, 2, 3] = 1, 2
    labels[1, 2, 0] = 1
    image[labels == 1], image[labels == 2] = 10, 50
    # the first axis points to the left, the second downwards, the third to the front
    affine = np.array([[-2.0, 0, 0, 5], [0, 0, 0.5, 6], [0, -3, 0, 7], [0, 0, 0, 1]])
    record = measure_case(stored(tmp_path, image, labels, affine), EXPECTED)
    facts = record.facts
    assert facts['size'] == [2, 3, 4]
    assert facts['spacing_mm'] == [2, 3, 0.5]
    assert facts['orientation'] == 'LIA'
    assert facts['size_ras'] == [2, 4, 3]
    assert facts['spacing_ras_mm'] == [2, 0.5, 3]
    assert facts['zero_share'] == pytest.approx(20 / 24)
    assert facts['classes']['one'] == dict(voxels=3, share=3 / 24, volume_mm3=9, components=2)
    assert facts['classes']['none'] == dict(voxels=0, share=0, volume_mm3=0, components=0)
    inside = facts['intensity']['MRI']['foreground']
    assert (inside['mean'], inside['min'], inside['median'], inside['max']) == (20, 10, 10, 50)
    assert inside['std'] == pytest.approx(np.sqrt(300))
    assert facts['intensity']['MRI']['whole']['mean'] == pytest.approx(80 / 24)
    assert sorted(record.foreground[0]) == [10, 10, 10, 50]
    assert (record.problems, record.notes) == ((), ())
    json.dumps(facts)


def test_a_data_set_by_hand(tmp_path):
    entries = []
    for number, voxels in enumerate((1, 3)):
        image, labels = blank()
        labels.flat[:voxels] = 1
        image.flat[:voxels] = 10 * (number + 1)
        entries.append(stored(tmp_path, image, labels, case=f'case_{number}'))
    records, failures = measure_cases(entries, EXPECTED)
    found = summarise(records, failures, EXPECTED, 'by hand')
    assert (found['num_cases'], found['num_measured'], found['problems']) == (2, 2, [])
    assert found['size_ras'] == dict(min=[2, 3, 4], median=[2, 3, 4], max=[2, 3, 4])
    assert found['orientations'] == {'RAS': 2}
    assert found['classes']['one']['volume_mm3'] == dict(min=3, median=6, mean=6, max=9)
    assert found['classes']['none']['cases_without'] == ['case_0', 'case_1']
    assert found['classes']['none']['volume_mm3'] is None
    pooled = found['intensity']['MRI']['pooled_foreground']
    assert pooled['mean'] == pytest.approx((10 + 3 * 20) / 4)
    json.dumps(found)


def wrong_label(image, labels):
    labels[0, 0, 0] = 9


def one_value(image, labels):
    image[...] = 3


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [(wrong_label, r'seg_map_path.*expected labels 0\.\.3 .*found 9'), (one_value, 'found the value 3 in every voxel')],
)
def test_what_is_wrong_is_listed_and_the_rest_measured(tmp_path, spoil, message):
    image, labels = blank()
    image[...] = np.arange(24).reshape(2, 3, 4)
    labels[0, 0, 1] = 1
    spoil(image, labels)
    record = measure_case(stored(tmp_path, image, labels), EXPECTED)
    (problem,) = record.problems
    assert re.search(message, problem)
    assert record.facts['size'] == [2, 3, 4]


def test_label_on_another_grid(tmp_path):
    image, labels = blank()
    image[0] = 1
    entry = stored(tmp_path, image, labels)
    write_volume(Volume(labels, np.eye(4)), entry['seg_map_path'])
    (problem,) = measure_case(entry, EXPECTED).problems
    assert 'expected the grid of its image' in problem
    assert 'resample_like' in problem


def test_images_that_cannot_be_used(tmp_path):
    image, labels = blank()
    image[0, 1, 2] = np.nan
    with pytest.raises(DataError, match=r'img_path.*1 NaN.*\(0, 1, 2\)'):
        measure_case(stored(tmp_path, image, labels), EXPECTED)
    image, labels = blank()
    with pytest.raises(DataError, match='expected 2 channels'):
        measure_case(stored(tmp_path, image, labels), Expected(EXPECTED.classes, ('T1', 'T2')))


def test_notes(tmp_path):
    image, labels = blank()
    image[0] = 1
    sheared = np.diag([1.0, 1, 1, 1])
    sheared[0, 1] = 0.1
    record = measure_case(stored(tmp_path, image, labels, sheared), EXPECTED)
    assert record.problems == ()
    assert any('no voxel has a class' in note for note in record.notes)
    assert any('5.71 degrees' in note for note in record.notes)
    np.save(tmp_path / 'a.npy', image)
    record = measure_case(dict(case_id='a', img_path=str(tmp_path / 'a.npy'), seg_map_path=None), EXPECTED)
    assert any('has no affine' in note for note in record.notes)
    assert any('has no label' in note for note in record.notes)
    assert record.facts['classes'] == {}
    assert record.facts['intensity']['MRI']['foreground'] is None
    found = summarise([record], {}, EXPECTED, 'x')
    proposal = propose({**found}, 8, 4)
    assert proposal['spacing_mm'] is None


@pytest.mark.parametrize('jobs', [1, 2])
def test_one_bad_case_does_not_stop_the_others(tmp_path, jobs):
    root = write_decathlon(tmp_path, num_cases=4, size=(12, 13, 11), turned=True)
    folder = root / 'Task04_Hippocampus' / 'imagesTr'
    (folder / 'hippocampus_002.nii.gz').write_bytes(b'')
    dataset = MSDDataset(str(root))
    entries = [dataset.get_data_info(i) for i in range(4)]
    # the same voxels as another case, compressed anew
    entries[3] = {**entries[3], 'img_path': entries[0]['img_path'], 'seg_map_path': entries[0]['seg_map_path']}
    expected = Expected(dataset.metainfo['classes'], ('MRI',))
    done = []
    records, failures = measure_cases(entries, expected, jobs, lambda: done.append(1))
    assert len(done) == 4
    assert [record.facts['case_id'] for record in records] == [f'hippocampus_00{n}' for n in (1, 3, 4)]
    assert list(failures) == ['hippocampus_002']
    found = summarise(records, failures, expected, 'x')
    assert [one['case'] for one in found['problems']] == ['hippocampus_002', 'hippocampus_004']
    assert 'zero bytes' in found['problems'][0]['problem']
    assert 'an image of its own' in found['problems'][1]['problem']


def test_nothing_can_be_measured():
    found = summarise([], {'a': 'why'}, EXPECTED, 'x')
    assert found['problems'] == [dict(case='a', problem='why')]
    assert 'cases' not in found


# -- the proposal


def fake(size, spacing=(1.0, 1.0, 1.0), number=200, modality='MRI', zero_share=0.0) -> dict:
    pooled = dict(mean=80.0, std=50.0, p0_5=-100.0, median=70.0, p99_5=300.0)
    return dict(
        cases={str(i): dict(size_ras=list(size), spacing_ras_mm=list(spacing)) for i in range(number)},
        intensity={modality: dict(pooled_foreground=pooled)},
        zero_share=dict(median=zero_share),
    )


def test_the_hippocampus_gets_its_median_size():
    proposal = propose(fake((35, 50, 36)), 8, 3)
    assert proposal['patch_size'] == [40, 56, 40]
    assert proposal['strides'] == [[2, 2, 2]] * 3
    assert proposal['inference'] == 'whole'
    # a twentieth of all voxels
    assert proposal['batch_size'] == int(0.05 * 200 * 35 * 50 * 36 / (40 * 56 * 40))
    assert proposal['normalization'] == dict(mode='zscore', percentiles=[0.5, 99.5])


@pytest.mark.parametrize('memory', [2, 8, 24])
def test_fills_the_memory_and_no_more(memory):
    proposal = propose(fake((500, 512, 130), (0.8, 0.8, 2.5)), memory, 14)
    assert 0.4 * memory < proposal['estimated_gib'] <= 0.8 * memory
    assert proposal['inference'] == 'slide'
    covered = np.array(proposal['patch_size']) / proposal['median_size']
    assert covered.max() < 2.5 * covered.min()  # the shape follows that of the images


def test_too_little_memory():
    with pytest.raises(ConfigError, match='give more memory'):
        propose(fake((64, 64, 64)), 0.001, 3)


def test_spacing():
    assert target_spacing([(1, 1, 2), (1, 1, 2), (2, 1, 2.5)]) == [1, 1, 2]
    # a coarse axis: the 10th percentile, but no finer than the others
    assert target_spacing([(0.5, 0.5, 5)] * 8 + [(0.5, 0.5, 2)] * 2) == [0.5, 0.5, 2]
    assert target_spacing([(0.5, 0.8, 5)] * 8 + [(0.5, 0.8, 0.1)] * 2) == [0.5, 0.8, 0.8]
    assert target_spacing([(1, 1, 1), None]) is None


def test_a_coarse_axis_is_divided_later():
    strides, kernels = plan_levels((160, 160, 16), (0.6, 0.6, 4.0))
    assert strides[:2] == [[2, 2, 1], [2, 2, 1]]
    assert strides[3] == [2, 2, 2]
    assert kernels[0] == [3, 3, 1]
    assert kernels[-1] == [3, 3, 3]
    assert plan_levels((3, 4, 1), (1, 1, 1))[0] == [[1, 2, 1]]


def test_normalisation_follows_the_modality():
    tomography = propose(fake((64, 64, 64), modality='CT'), 8, 3)['normalization']
    assert tomography == dict(mode='zscore', clip=[-100.0, 300.0], mean=[80.0], std=[50.0])
    assert propose(fake((64, 64, 64), zero_share=0.6), 8, 3)['normalization']['region'] == 'nonzero'


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 300), min_size=3, max_size=3),
    st.lists(st.floats(0.2, 6), min_size=3, max_size=3),
    st.floats(1.0, 40),
)
def test_any_data_set_gets_a_patch_that_fits(size, spacing, memory):
    proposal = propose(fake(size, spacing, number=3), memory, 3)
    divisors = np.prod(proposal['strides'], axis=0)
    assert all(n % d == 0 for n, d in zip(proposal['patch_size'], divisors, strict=True))
    assert np.prod(np.array(proposal['patch_size']) // divisors) >= 2  # instance norm needs more than one voxel
    assert proposal['estimated_gib'] <= 0.81 * memory
    assert proposal['batch_size'] >= 2
    assert len(proposal['channels']) == len(proposal['kernels']) == proposal['num_levels'] + 1


@pytest.mark.parametrize(
    ('patch', 'spacing', 'in_channels', 'classes', 'channels'),
    [((32, 24, 40), (1, 1, 1), 1, 3, (8, 16, 32, 64)), ((32, 32, 8), (1, 1, 5), 4, 4, (8, 16, 24, 32, 32))],
)
def test_the_formula_of_memory_against_autograd(patch, spacing, in_channels, classes, channels):
    strides, kernels = plan_levels(patch, spacing)
    channels = channels[: len(strides) + 1]
    net = MedicalUNet(in_channels, channels, strides=strides, kernels=kernels)
    head = VolumeHead(channels[0], classes)
    parameters = [*net.parameters(), *head.parameters()]
    counted = count_parameters(in_channels, classes, channels, strides, kernels)
    assert counted == sum(parameter.numel() for parameter in parameters)
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    # two samples, because of a single one the CPU convolves small maps in halves, copies that a GPU does not have
    labels = torch.randint(0, classes, (2, *patch))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = head(net(torch.randn(2, in_channels, *patch)))
        DiceCELoss()(logits if isinstance(logits, torch.Tensor) else logits[-1], labels)
    used = sum(tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in own)
    assert 2 * 4 * saved_values(patch, in_channels, classes, channels, strides) == pytest.approx(used, rel=0.03)
