import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_medical.models.data_preprocessors import VolumeDataPreProcessor
from mmseg_medical.structures import VolumeData


def batch(*sizes: tuple[int, ...], channels: int = 1) -> dict:
    samples = []
    for size in sizes:
        sample = SegDataSample()
        sample.gt_sem_seg = VolumeData(data=torch.ones(1, *size, dtype=torch.uint8))
        samples.append(sample)
    return dict(inputs=[torch.ones(channels, *size) for size in sizes], data_samples=samples)


@pytest.mark.parametrize('divisor', [1, 4, (4, 2, 8)])
def test_a_training_batch_gets_one_size(divisor):
    out = VolumeDataPreProcessor(divisor)(batch((5, 7, 3), (2, 9, 4)), training=True)
    size = {1: (5, 9, 4), 4: (8, 12, 4), (4, 2, 8): (8, 10, 8)}[divisor]
    assert out['inputs'].shape == (2, 1, *size)
    first, second = (sample.gt_sem_seg.data for sample in out['data_samples'])
    assert first.shape == second.shape == (1, *size)
    assert out['inputs'][0].sum() == 5 * 7 * 3
    assert (first == 1).sum() == 5 * 7 * 3
    assert (first == 255).sum() == first.numel() - 5 * 7 * 3
    assert torch.equal(first[0, :5, :7, :3], torch.ones(5, 7, 3, dtype=torch.uint8))


def test_two_axes_and_values_of_the_border():
    out = VolumeDataPreProcessor(pad_val=-1.0, seg_pad_val=0)(batch((3, 2), (2, 4), channels=2), training=True)
    assert out['inputs'].shape == (2, 2, 3, 4)
    assert (out['inputs'] == -1).sum() == 2 * (12 - 6 + 12 - 8)
    assert (out['data_samples'][0].gt_sem_seg.data == 0).sum() == 6


def test_tests_take_images_as_they_are():
    out = VolumeDataPreProcessor(16)(batch((5, 7, 3), (2, 9, 4)))
    assert [tuple(image.shape) for image in out['inputs']] == [(1, 5, 7, 3), (1, 2, 9, 4)]


def test_images_that_do_not_belong_together():
    data = batch((5, 7, 3), (5, 7))
    with pytest.raises(ValueError, match=r'same rank and number of channels, got \(1, 5, 7, 3\), \(1, 5, 7\)'):
        VolumeDataPreProcessor()(data, training=True)
