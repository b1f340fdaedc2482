"""Images reduced at random, for the baseline of RARE-UNet."""

from __future__ import annotations

import numpy as np
import pytest

from mmseg_medical.datasets.transforms import RandomReducedScale
from mmseg_medical.errors import ConfigError


def case(size=(16, 8, 13)):
    ramp = np.arange(np.prod(size), dtype=np.float32).reshape(1, *size)
    labels = np.zeros(size, np.uint8)
    labels[4:12, 2:6, 4:10] = 1
    return dict(img=ramp, gt_seg_map=labels, augmentations=[])


def acted(padded, labels_follow=True, level=1, given=None):
    record = dict(type='RandomReducedScale', level=level, padded=padded, labels_follow=labels_follow)
    return RandomReducedScale.replay(given or case(), record)


def test_enlarged_again_reads_the_middle_of_pairs():
    ramp = np.arange(16, dtype=np.float32)
    given = dict(img=np.broadcast_to(ramp[None, :, None, None], (1, 16, 4, 4)).copy())
    line = acted(False, given=given)['img'][0, :, 0, 0]
    # pairs have the means 0.5, 2.5, ...; between two of them a quarter and three quarters
    np.testing.assert_allclose(line[:4], [0.5, 1.0, 2.0, 3.0])


@pytest.mark.parametrize('level', [1, 2, 3, 6])
@pytest.mark.parametrize('padded', [False, True])
def test_keeps_size_and_the_callers_arrays(level, padded):
    given = case()
    before = {key: given[key].copy() for key in ('img', 'gt_seg_map')}
    image, labels = given['img'], given['gt_seg_map']
    done = acted(padded, level=level, given=given)
    assert done['img'].shape == image.shape
    assert done['img'].dtype == np.float32
    assert done['gt_seg_map'].shape == labels.shape
    assert done['gt_seg_map'].dtype == labels.dtype
    np.testing.assert_array_equal(image, before['img'])
    np.testing.assert_array_equal(labels, before['gt_seg_map'])


def test_labels_follow_an_image_that_is_padded():
    box = case(size=(16, 8, 12))
    box['img'] = box['gt_seg_map'][None].astype(np.float32)
    done = acted(True, given=box)
    np.testing.assert_array_equal(done['img'][0] > 0.5, done['gt_seg_map'] > 0)
    assert done['gt_seg_map'].sum() == 4 * 2 * 3
    assert done['gt_seg_map'][6:10, 3:5, 4:8].sum() == done['gt_seg_map'].sum()


def test_labels_stay_as_released():
    given = case()
    labels = given['gt_seg_map']
    assert acted(True, labels_follow=False, given=given)['gt_seg_map'] is labels
    given = case()
    labels = given['gt_seg_map']
    assert acted(False, given=given)['gt_seg_map'] is labels


def test_masks_follow_too():
    given = case(size=(16, 8, 12))
    given['gt_seg_map'] = np.stack([given['gt_seg_map'], 1 - given['gt_seg_map']])
    assert acted(True, given=given)['gt_seg_map'].shape == (2, 16, 8, 12)


def test_draws_and_records():
    transform = RandomReducedScale(num_levels=3, prob=0.5, pad_prob=0.25)
    np.random.seed(0)  # noqa: NPY002
    records = [transform(case())['augmentations'] for _ in range(400)]
    drawn = [record[0] for record in records if record]
    assert 0.4 < len(drawn) / 400 < 0.6
    assert {record['level'] for record in drawn} == {1, 2, 3}
    assert 0.15 < np.mean([record['padded'] for record in drawn]) < 0.35
    np.random.seed(1)  # noqa: NPY002
    done = RandomReducedScale(prob=1)(case())
    again = RandomReducedScale.replay(case(), done['augmentations'][0])
    np.testing.assert_array_equal(done['img'], again['img'])


@pytest.mark.parametrize('options', [dict(num_levels=0), dict(prob=1.5), dict(pad_prob=-0.1)])
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError, match='RandomReducedScale'):
        RandomReducedScale(**options)
