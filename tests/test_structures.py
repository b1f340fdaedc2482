import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_medical.structures import VolumeData


def test_holds_any_rank_and_goes_into_samples():
    for size in ((5,), (4, 5), (3, 4, 5)):
        data = VolumeData(data=torch.zeros(2, *size))
        assert data.shape == size
        sample = SegDataSample()
        sample.gt_sem_seg = data
        sample.set_data(dict(pred_sem_seg=data))
        assert sample.to_dict()['gt_sem_seg']['data'].shape == (2, *size)


def test_arrays_of_one_sample_have_one_size():
    data = VolumeData(data=torch.zeros(1, 3, 4, 5))
    data.weights = torch.ones(2, 3, 4, 5)
    with pytest.raises(ValueError, match=r'weights must have the spatial size \(3, 4, 5\)'):
        data.weights = torch.ones(1, 3, 4)


def test_is_cut_along_space():
    data = VolumeData(data=torch.arange(24.0).reshape(1, 2, 3, 4))
    assert torch.equal(data[1:, :, 2:].data, data.data[:, 1:, :, 2:])
    assert data[1:].shape == (1, 3, 4)


def test_moves_like_pixel_data():
    assert VolumeData(data=torch.zeros(1, 2, 2, 2)).to(torch.float64).data.dtype == torch.float64
    assert VolumeData().shape is None
