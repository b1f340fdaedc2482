"""Facts of the specification of 3D-Res2UNet about data: intensities, crops, windows, coordinates, balls."""

from __future__ import annotations

import numpy as np
import pytest

from mmseg_medical.datasets.lung_nodules import sphere_labels
from mmseg_medical.datasets.phantoms.chest import write_mhd
from mmseg_medical.datasets.transforms import CropOrPadVolume, NormalizeIntensity
from mmseg_medical.geometry import Grid, read_volume
from mmseg_medical.geometry.points import lps_to_ras, voxel_to_world, world_to_voxel
from mmseg_medical.ops.window_grid import overlap_stride, sliding_windows


def scan(array: np.ndarray) -> dict:
    return dict(img=array.astype(np.float32)[None], affine=np.eye(4), grid_steps=[])


def test_hounsfield_units_map_to_one():
    image = np.array([-2000, -1000, -500, 0, 400, 3000], np.float32).reshape(1, 6, 1, 1)
    window = NormalizeIntensity(mode='window', center=-300, width=1400)
    found = window(dict(img=image))['img'].ravel()
    np.testing.assert_allclose(found, [0, 0, 0.357142857, 0.714285714, 1, 1], atol=1e-6)
    assert found.dtype == np.float32


def test_what_pads_a_scan_does_not_reach_the_statistics():
    """-2000 and -3024 outside the field of view are clipped before anything is computed."""
    image = np.full((1, 8, 8, 4), 40, np.float32)
    padded = image.copy()
    padded[:, :3] = -3024
    window = NormalizeIntensity(mode='window', center=-300, width=1400)
    np.testing.assert_array_equal(window(dict(img=image))['img'][:, 3:], window(dict(img=padded))['img'][:, 3:])
    assert window(dict(img=padded))['img'][:, :3].max() == 0


def test_the_centre_crop_starts_at_half_of_the_rest():
    step = CropOrPadVolume((64, 128, 128)).plan(Grid((300, 512, 512), None), {})
    assert step.start == (118, 192, 192)
    assert CropOrPadVolume((64, 128, 128)).plan(Grid((301, 513, 511), None), {}).start == (118, 192, 191)


def test_a_scan_smaller_than_the_crop_is_padded_and_loses_nothing():
    """A negative start is not taken for one that counts from the end."""
    array = np.arange(50 * 4 * 4).reshape(50, 4, 4) + 1
    cropped = CropOrPadVolume((64, 4, 4))(scan(array))['img'][0]
    assert cropped.shape == (64, 4, 4)
    np.testing.assert_array_equal(cropped[7:57], array)
    assert not cropped[:7].any()
    assert not cropped[57:].any()


@pytest.mark.parametrize(
    ('length', 'window', 'starts'),
    [(300, 64, [*range(0, 225, 32), 236]), (512, 128, list(range(0, 385, 64))), (50, 64, [0])],
)
def test_windows_start_where_they_should(length, window, starts):
    stride = overlap_stride((window,), 0.5)
    assert [w[0].start for w in sliding_windows((length,), (window,), stride)] == starts


def test_the_number_of_windows_of_a_scan():
    window = (64, 128, 128)
    assert len(sliding_windows((300, 512, 512), window, overlap_stride(window, 0.5))) == 441


@pytest.mark.parametrize(
    ('signs', 'origin', 'point'),
    [
        ((1, 1, 1), (-195, -195, -378), (-118.83, -118.83, -128)),
        ((-1, -1, 1), (195, 195, -378), (118.83, 118.83, -128)),
    ],
)
def test_world_to_voxel_through_a_file(tmp_path, signs, origin, point):
    affine = np.diag([*np.multiply(signs, (0.7617, 0.7617, 2.5)), 1.0])
    affine[:3, 3] = origin
    path = tmp_path / 'scan.mhd'
    write_mhd(path, np.zeros((101, 102, 103), np.int16), affine)
    volume = read_volume(path)
    assert volume.size == (101, 102, 103)  # x first, whatever the order of the bytes
    np.testing.assert_allclose(world_to_voxel(lps_to_ras([point]), volume.affine), [[100, 100, 100]], atol=1e-9)
    np.testing.assert_allclose(lps_to_ras(voxel_to_world([[100, 100, 100]], volume.affine)), [point], atol=1e-9)


def test_world_to_voxel_of_oblique_axes():
    rng = np.random.default_rng(0)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.standard_normal((3, 3)))[0] * (0.7, 1.3, 2.1)
    affine[:3, 3] = (10, -20, 30)
    voxels = rng.uniform(0, 40, (7, 3))
    points = np.array([affine[:3, :3] @ v + affine[:3, 3] for v in voxels])
    np.testing.assert_allclose(world_to_voxel(points, affine), voxels, atol=1e-10)


def test_the_ball_of_ten_millimetres():
    nodules = np.array([[10.0, 11.0, 12.0, 10.0]])
    labels = sphere_labels(Grid((24, 23, 25), np.eye(4)), nodules)
    assert labels.sum() == 515
    distance = np.sqrt(sum((np.arange(n).reshape(s) - c) ** 2 for n, s, c in _axes(labels.shape, (10, 11, 12))))
    np.testing.assert_array_equal(labels, distance <= 5)


def _axes(shape, center):
    forms = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    return zip(shape, forms, center, strict=True)
