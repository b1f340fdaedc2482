# ruff: noqa: NPY002 - the transforms draw from this generator
import mmcv
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile, RandomResize, Resize
from PIL import Image

from mmseg_medical.datasets import DataError
from mmseg_medical.datasets.phantoms import fundus_phantom
from mmseg_medical.datasets.transforms import LoadFundusImage


def _write(folder, shape, seed=0, suffix='.jpg'):
    path = folder / f'{shape[0]}x{shape[1]}{suffix}'
    Image.fromarray(np.ascontiguousarray(fundus_phantom(shape, seed).image[..., ::-1])).save(path)
    return str(path)


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    return [_write(folder, shape) for shape in ((89, 131), (131, 89), (64, 64), (17, 301))]


@pytest.mark.parametrize(('ratio', 'size'), [(0.5, (478, 720)), (1.0, (956, 1440)), (2.0, (1913, 2880))])
def test_sizes_of_the_recipe(ratio, size):
    """4288 x 2848 at scale (1440, 960): 1440 x 956 at ratio 1 (factor 0.335821)."""
    _, found = LoadFundusImage((1440, 960), (ratio, ratio))._target((2848, 4288), ratio)
    assert found == size
    width, height = mmcv.rescale_size((4288, 2848), (int(1440 * ratio), int(960 * ratio)))
    assert found == (height, width)


@pytest.mark.parametrize('scale', [(60, 40), (40, 60), (300, 200)])
def test_full_decoding_gives_mmsegs_pixels(paths, scale):
    theirs, resize = LoadImageFromFile(), Resize(scale=scale, keep_ratio=True)
    for path in paths:
        expected = resize(theirs({'img_path': path}))
        found = LoadFundusImage(scale, reduced_decode=False)({'img_path': path})
        np.testing.assert_array_equal(found['img'], expected['img'])
        for key in ('img_shape', 'scale', 'keep_ratio'):
            assert found[key] == expected[key]
        np.testing.assert_allclose(found['scale_factor'], expected['scale_factor'])
        assert found['ori_shape'] == mmcv.imread(path).shape[:2]


def test_random_scales_are_those_of_mmseg(paths):
    theirs = RandomResize(scale=(60, 40), ratio_range=(0.5, 2.0), resize_type='Resize', keep_ratio=True)
    ours = LoadFundusImage((60, 40), (0.5, 2.0))
    for seed in range(8):
        np.random.seed(seed)
        expected = theirs(LoadImageFromFile()({'img_path': paths[0]}))
        np.random.seed(seed)
        found = ours({'img_path': paths[0]})
        assert found['scale'] == expected['scale']
        assert found['img'].shape == expected['img'].shape
        assert 0.5 <= found['resize_ratio'] <= 2.0


@pytest.mark.parametrize('shape', [(89, 131), (131, 89), (64, 64), (65, 121), (97, 127)])
@pytest.mark.parametrize('scale', [(30, 20), (45, 33), (64, 64)])
def test_reduced_decoding_moves_nothing(tmp_path, shape, scale):
    """On a smooth picture, where skipping pixels and averaging them come to the same."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / max(shape)
    smooth = np.stack([255 * columns, 255 * rows, 128 + 90 * np.sin(5 * (rows + columns))], axis=-1).astype(np.uint8)
    path = tmp_path / 'smooth.jpg'
    Image.fromarray(smooth).save(path, quality=99, subsampling=0)
    exact = LoadFundusImage(scale, reduced_decode=False)({'img_path': str(path)})
    reduced = LoadFundusImage(scale)({'img_path': str(path)})
    assert exact['decode_reduction'] == 1
    assert reduced['img'].shape == exact['img'].shape
    inside = (slice(1, -1), slice(1, -1))  # at the rim the last pixel is repeated
    difference = reduced['img'].astype(float)[inside] - exact['img'][inside]
    assert np.abs(difference).mean() < 1.5
    assert np.abs(difference).max() <= 8


def test_without_scale(paths):
    found = LoadFundusImage()({'img_path': paths[0]})
    assert found['img_shape'] == found['ori_shape'] == (89, 131)
    assert found['scale_factor'] == (1, 1)
    assert 'resize_ratio' not in found


def test_stretching(paths):
    found = LoadFundusImage((30, 20), keep_ratio=False)({'img_path': paths[1]})
    assert found['img'].shape == (20, 30, 3)
    assert found['scale_factor'] == (30 / 89, 20 / 131)


def test_picture_in_memory():
    image = fundus_phantom((64, 96)).image
    found = LoadFundusImage((48, 32))({'img': image})
    assert found['img'].shape == (32, 48, 3)
    assert found['ori_shape'] == (64, 96)
    assert image.shape == (64, 96, 3)


def test_png(tmp_path):
    path = _write(tmp_path, (64, 96), suffix='.png')
    found = LoadFundusImage((24, 16))({'img_path': path})
    assert (found['img_shape'], found['decode_reduction']) == ((16, 24), 1)


@pytest.mark.parametrize('damage', [lambda data: data[:-9], lambda data: b'', lambda data: b'no image'])
def test_damaged_file(tmp_path, damage):
    path = _write(tmp_path, (64, 96))
    with open(path, 'rb+') as file:  # noqa: PTH123
        data = file.read()
        file.truncate(0)
        file.seek(0)
        file.write(damage(data))
    with pytest.raises(DataError, match=r'64x96\.jpg: expected'):
        LoadFundusImage((48, 32))({'img_path': path})


@pytest.mark.parametrize('kwargs', [dict(ratio_range=(0.5, 2)), dict(scale=(9, 9), ratio_range=(2, 1))])
def test_wrong_ratio_range(kwargs):
    with pytest.raises(ValueError, match='ratio_range needs a scale'):
        LoadFundusImage(**kwargs)
