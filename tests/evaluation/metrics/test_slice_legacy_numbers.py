"""The numbers of HDC-HRNet's release beside the standard ones; expected values are those of its specification."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.functional.legacy import VOLUME_PRESETS, legacy_scores
from mmseg_medical.evaluation.metrics import SliceSegMetric


def metric(classes=('background', 'RV', 'MYO'), **options) -> SliceSegMetric:
    built = SliceSegMetric(surface=None, **options)
    built.dataset_meta = {'classes': classes}
    return built


def slices(name: str, pred: np.ndarray, target: np.ndarray) -> list[dict]:
    """Samples of volumes (D, I, J), last slice first."""
    return [
        dict(
            volume_id=name,
            case_id=name,
            slice_index=i,
            num_slices=len(pred),
            spacing_mm=(9.0, 2.0, 2.0),
            pred_sem_seg=dict(data=torch.as_tensor(pred[i])[None]),
            gt_sem_seg=dict(data=torch.as_tensor(target[i])[None]),
        )
        for i in reversed(range(len(pred)))
    ]


def evaluated(volumes: list[tuple[np.ndarray, np.ndarray]], **options) -> dict[str, float]:
    built = metric(**options)
    parts = [slices(str(n), *pair) for n, pair in enumerate(volumes)]
    for sample in (sample for part in parts for sample in part):
        built.process(None, [sample])
    names = built.logged_names()
    numbers = built.evaluate(sum(map(len, parts)))
    assert list(numbers) == names
    return numbers


def voxel(depth: int) -> np.ndarray:
    volume = np.zeros((5, 4, 4), np.uint8)
    volume[depth, 0, 0] = 1
    return volume


def test_two_voxels_are_three_apart_whatever_their_spacing():
    found = evaluated([(voxel(0), voxel(3))], classes=('background', 'LV'), legacy='hdc_hrnet')
    assert found['legacy_hd95'] == 3
    assert found['legacy_dice'] == 0
    assert found['legacy_balanced'] == pytest.approx(-0.3)


def test_a_slice_is_all_border():
    target = np.ones((1, 5, 5), np.uint8)
    pred = np.pad(target[:, 1:4, 1:4], ((0, 0), (1, 1), (1, 1)))
    found = evaluated([(pred, target)], classes=('background', 'LV'), legacy='hdc_hrnet')
    assert found['legacy_hd95.LV'] == pytest.approx(1.414214, abs=1e-6)
    assert found['legacy_dice.LV'] == pytest.approx(0.529412, abs=1e-6)
    assert found['dice.LV'] == pytest.approx(18 / 34)
    assert found['legacy_balanced'] == pytest.approx(18 / 34 - 0.1 * 2**0.5)


def test_absent_and_missed_classes():
    target, nothing = voxel(2), np.zeros((5, 4, 4), np.uint8)
    found = evaluated([(nothing, target)], legacy='hdc_hrnet')
    assert found['legacy_hd95.RV'] == 100
    assert (found['legacy_dice.MYO'], found['legacy_hd95.MYO']) == (0, 0)
    assert found['legacy_balanced'] == pytest.approx(-5)  # half of 100
    assert np.isnan(found['dice.MYO'])


@pytest.mark.parametrize('preset', VOLUME_PRESETS)
def test_volumes_one_by_one_score_as_a_set(preset):
    rng = np.random.default_rng(0)
    volumes = [rng.integers(0, 4, (2, depth, 6, 5)).astype(np.uint8) for depth in (3, 1, 4)]
    volumes[0][1][volumes[0][1] == 3] = 0
    classes = ('background', 'RV', 'MYO', 'LV')
    found = evaluated([(a, b) for a, b in volumes], classes=classes, legacy=preset, prefix='val')
    whole = legacy_scores(preset, [a for a, _ in volumes], [b for _, b in volumes], 4)
    for name, value in whole.items():
        key = f'val/legacy_{name.removesuffix("_per_class")}'
        if isinstance(value, list):
            np.testing.assert_allclose([found[f'{key}.{c}'] for c in classes[1:]], value, rtol=1e-12)
        else:
            assert found[key] == pytest.approx(value, rel=1e-12)
    assert ('val/legacy_hd95' in found) is (preset == 'hdc_hrnet')


def test_synapse_counts_what_the_target_has_and_drops_what_is_never_found():
    one, two, none = (np.full((1, 2, 2), k, np.uint8) for k in (1, 2, 0))
    # class 1: found once, a false alarm is free; class 2: never found; class 3: in no target
    volumes = [(one, one), (one, none), (none, two)]
    found = evaluated(volumes, classes=('background', 'A', 'B', 'C'), legacy='hdc_hrnet_synapse')
    assert found['legacy_dice.A'] == pytest.approx(1, abs=1e-6)
    assert (found['legacy_dice.B'], found['legacy_dice.C']) == (0, 0)
    assert found['legacy_dice'] == pytest.approx(1, abs=1e-6)
    assert found['dice.A'] == pytest.approx(0.5)
    assert evaluated([(one, none)], legacy='hdc_hrnet_synapse')['legacy_dice'] == 0


def test_without_the_option_there_are_none():
    found = evaluated([(voxel(0), voxel(0))])
    assert not [name for name in found if 'legacy' in name]


def test_what_cannot_be_scored():
    with pytest.raises(ConfigError, match=r"found 'hdc_hrnet_synaps'.*hdc_hrnet_synapse"):
        metric(legacy='hdc_hrnet_synaps')
    ignored = voxel(0)
    ignored[1] = 255
    with pytest.raises(
        ValueError, match=r"volume '0'.*legacy='hdc_hrnet' takes label maps of 0\.\.2, found the label 255"
    ):
        evaluated([(voxel(0), ignored)], legacy='hdc_hrnet')
    masks = np.zeros((1, 2, 4, 4), np.uint8)
    built = metric(classes=('A', 'B'), legacy='hdc_hrnet_brats')
    both = dict(data=torch.as_tensor(masks[0]))
    sample = {**slices('a', masks[:, 0], masks[:, 0])[0], 'pred_sem_seg': both, 'gt_sem_seg': both}
    with pytest.raises(ValueError, match='found 2 masks'):
        built.process(None, [sample])
