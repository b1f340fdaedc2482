"""From the files of a data set through LoadSlice, a tiny network and the metric, at the ends of what there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from slice_samples import metric_for, pipeline

from mmseg_medical.configs import build_model
from mmseg_medical.datasets import ACDCDataset, BraTSDataset, DataError, MnMsDataset
from mmseg_medical.datasets.phantoms import write_acdc, write_brats, write_mnms
from mmseg_medical.geometry import Volume, read_volume, write_volume

NORMALIZE = dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5))
RESAMPLE = dict(type='ResampleInPlane', spacing_mm=2.5)


def network(channels: int = 1, stem: str = 'standard', size: tuple[int, int] = (32, 32)):
    width = 16  # two channels a group of the norms, which a map of one pixel needs
    model = dict(
        type='MedicalEncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size=size, pad_val=0, seg_pad_val=255),
        backbone=dict(
            type='HRNetDCN', in_channels=channels, base_channels=width, stem=stem, blocks=[['basic'], ['dcn'], ['dcn']]
        ),
        decode_head=dict(
            type='AggregateHead',
            in_channels=[width * 2**i for i in range(4)],
            num_classes=4,
            supervision_weights=(0.4, 0.3, 0.2, 0.1),
            loss_decode=dict(type='HDCHRNetLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    torch.manual_seed(0)
    # size is for training, where patches are cut; slices of tests keep theirs
    model['data_preprocessor']['test_cfg'] = dict(size_divisor=1)
    return build_model(Config(dict(model=model)))


def always(net, label: int):
    """Make a network answer one class everywhere."""
    with torch.no_grad():
        net.decode_head.conv_seg.bias.fill_(0)[label] = 1e4
    return net


def score(dataset, net, **options):
    """Metrics of a data set, slice by slice as the runner does it, and the predicted samples."""
    metric = metric_for(dataset, **options)
    results = []
    net.eval()
    for index in range(len(dataset)):
        samples = net.test_step(pseudo_collate([dataset[index]]))
        metric.process(None, [sample.to_dict() for sample in samples])
        results += samples
    return metric.evaluate(len(dataset)), results


def train_step(dataset, net, number: int):
    data = net.train().data_preprocessor(pseudo_collate([dataset[i] for i in range(number)]), True)
    losses = net(**data, mode='loss')
    total, _ = net.parse_losses(losses)
    total.backward()
    return losses


def change(path, make):
    volume = read_volume(path)
    write_volume(Volume(make(volume.array), volume.affine, volume.source, volume.has_channels), path)


@pytest.mark.parametrize(
    ('stem', 'size'), [('standard', (37, 29, 3)), ('full', (23, 19, 2)), ('standard', (41, 33, 1)), ('full', (9, 7, 1))]
)
@pytest.mark.parametrize('neighbours', [0, 1])
def test_sizes_that_nothing_divides_and_single_slices(tmp_path, stem, size, neighbours):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=size)
    dataset = ACDCDataset(
        str(root), pipeline=pipeline(tmp_path / 's', 4, NORMALIZE, RESAMPLE, test=True, neighbours=neighbours)
    )
    found, samples = score(dataset, network(2 * neighbours + 1, stem))
    assert len(samples) == len(dataset) == 2 * size[2]
    for sample in samples:
        assert sample.pred_sem_seg.data.shape[-2:] == size[:2]  # the grid of the file, not of the network
        assert sample.gt_sem_seg.data.shape[-2:] == size[:2]
    assert 0 <= found['dice'] <= 1


@pytest.mark.parametrize(('label', 'name'), [(1, 'RV'), (3, 'LV')])
def test_one_class_everywhere_has_the_dice_of_its_share(tmp_path, label, name):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=(37, 29, 2))
    dataset = ACDCDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, NORMALIZE, RESAMPLE, test=True))
    found, _ = score(dataset, always(network(), label))
    shares = [float((read_volume(path).array == label).mean()) for path in sorted(root.rglob('*_gt.nii.gz'))]
    assert len(shares) == 2
    # all voxels are predicted: 2 TP / (2 TP + FP + FN) = 2 s / (1 + s), the mean over both phases
    assert found[f'dice.{name}'] == pytest.approx(np.mean([2 * s / (1 + s) for s in shares]), abs=1e-6)


def test_a_case_of_background_only(tmp_path):
    root = write_acdc(tmp_path / 'acdc', 2, 0, size=(21, 18, 2))
    for path in (root / 'training/patient001').glob('*_gt.nii.gz'):
        change(path, np.zeros_like)
    dataset = ACDCDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, NORMALIZE, test=True))
    found, _ = score(dataset, always(network(), 0))
    # nothing there and nothing found does not count; what patient002 has is missed
    assert found['dice.LV'] == 0
    found, _ = score(dataset, always(network(), 3))
    shares = [float((read_volume(p).array == 3).mean()) for p in sorted(root.rglob('patient002*_gt.nii.gz'))]
    expected = [0, 0, *(2 * s / (1 + s) for s in shares)]  # found where there is none: 0
    assert found['dice.LV'] == pytest.approx(np.mean(expected), abs=1e-6)


def test_training_on_background_only_and_on_no_variance(tmp_path):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=(21, 18, 2))
    for path in root.rglob('*_gt.nii.gz'):
        change(path, np.zeros_like)
    for path in root.rglob('*frame??.nii.gz'):
        change(path, lambda array: np.full_like(array, 3))
    steps = [*pipeline(tmp_path / 's', 4, NORMALIZE), dict(type='PackSliceInputs')][:-1]
    steps.insert(1, dict(type='RandomPatch', patch_size=(32, 32), foreground_prob=0.5, pad_val=0.0))
    dataset = ACDCDataset(str(root), pipeline=steps)
    net = network()
    losses = train_step(dataset, net, 2)
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in net.parameters())


def test_four_modalities_one_of_which_is_constant(tmp_path):
    root = write_brats(tmp_path / 'brats', 1, size=(19, 23, 2))
    (t2,) = root.rglob('*_t2.nii.gz')
    change(t2, lambda array: np.full_like(array, 5))
    step = dict(type='NormalizeInside', region='brain', outside='same')
    dataset = BraTSDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, step, test=True))
    assert np.isfinite(dataset[0]['inputs'].numpy()).all()
    found, samples = score(dataset, network(4, 'full'), regions=dict(WT=[1, 2, 3], TC=[1, 3], ET=[3]))
    assert len(samples) == 2
    assert {'dice.WT', 'dice.TC', 'dice.ET'} <= set(found)


def test_times_of_a_series_are_volumes_of_their_own(tmp_path):
    root = write_mnms(tmp_path / 'mnms', 1, 0, 0, size=(17, 21, 2), times=3)
    dataset = MnMsDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, NORMALIZE, test=True))
    _, samples = score(dataset, network())
    volumes = {sample.volume_id for sample in samples}
    assert len(samples) == 2 * len(volumes)
    assert all('_t' in volume for volume in volumes)


def test_other_channels_than_the_network_has(tmp_path):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=(13, 11, 2))
    dataset = ACDCDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, NORMALIZE, test=True, copies=3))
    with pytest.raises(RuntimeError, match='3 channels'):
        score(dataset, network(1))


def test_a_file_that_vanishes_after_the_data_set_was_read(tmp_path):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=(13, 11, 2))
    dataset = ACDCDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, NORMALIZE, test=True))
    next(iter(root.rglob('*frame01.nii.gz'))).unlink()
    with pytest.raises(DataError, match='patient001_ED'):
        score(dataset, network())


@pytest.mark.parametrize(
    ('make', 'found'),
    [
        (lambda a: np.where(a == 3, np.nan, a).astype(np.float32), r'found NaN or infinite values \(float32\)'),
        (lambda a: (a + 0.5).astype(np.float32), r'found fractions \(float32\)'),
        (lambda a: a.astype(np.int16) - 1, r'expected labels 0\.\.3 .*found -1'),
    ],
)
def test_labels_that_are_none(tmp_path, recwarn, make, found):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=(13, 11, 2))
    change(root / 'training/patient001/patient001_frame01_gt.nii.gz', make)
    dataset = ACDCDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, NORMALIZE, test=True))
    with pytest.raises(DataError, match=f'patient001_ED: .*_gt\\.nii\\.gz: .*{found}'):
        score(dataset, network())
    assert not [warning for warning in recwarn if 'invalid value' in str(warning.message)]
