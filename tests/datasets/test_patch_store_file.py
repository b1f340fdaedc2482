"""The file of one case: what is written is what is read, and nothing else is."""

import errno
import itertools
import math

import numpy as np
import pytest

from mmseg_medical.datasets.patch_store import Case, CaseFile, DamagedCaseError, case_writer, content_hash, write_case
from mmseg_medical.datasets.patch_store.chunked import Packer, narrowest, unpack
from mmseg_medical.datasets.patch_store.layout import CHUNK_BYTES, all_boxes, chunk_shape, touched
from mmseg_medical.datasets.patch_store.locations import class_locations
from mmseg_medical.datasets.patch_store.metadata import decode, encode
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Grid

SHAPES = [(1, 37, 53, 41), (2, 1, 67, 29), (3, 113, 131), (1, 1, 1, 1), (4, 31, 1), (1, 64, 64, 64)]


def _case(shape, seed=0, labels=True):
    generator = np.random.default_rng(seed)
    image = generator.normal(size=shape).astype(np.float32)
    seg = generator.integers(0, 4, shape[1:]).astype(np.uint8) if labels else None
    return Case(image, seg, dict(case_id='a'), {} if seg is None else class_locations(seg, len(shape) - 1, 0))


def _boxes(shape, number=12, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(number):
        yield tuple(tuple(sorted(generator.integers(0, length + 1, 2).tolist())) for length in shape)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(case_writer, 'chunk_shape', lambda *args: chunk_shape(*args, limit=2048))


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('mapped', [False, True], ids=['packed', 'mapped'])
def test_every_box_is_numpys(tmp_path, small_chunks, shape, mapped):
    case = _case(shape)
    write_case(case, tmp_path / 'a.case', [9] * (len(shape) - 1), compressed=not mapped)
    with CaseFile(tmp_path / 'a.case', mapped) as file:
        for stored, array in [(file.image, case.image), (file.labels, case.labels)]:
            assert (stored.shape, stored.ndim, stored.dtype, len(stored)) == (
                array.shape,
                array.ndim,
                array.dtype,
                len(array),
            )
            np.testing.assert_array_equal(stored[...], array, strict=True)
            for box in _boxes(array.shape):
                index = tuple(slice(start, stop) for start, stop in box)
                np.testing.assert_array_equal(stored[index], array[index], strict=True)
                np.testing.assert_array_equal(stored[(..., *index[1:])], array[(..., *index[1:])], strict=True)
        assert {k: v[...].tolist() for k, v in file.locations.items()} == {
            k: v.tolist() for k, v in case.locations.items()
        }
        for value, voxels in file.locations.items():
            last = voxels[len(voxels) - 1]
            assert case.labels[tuple(last)] == value


@pytest.mark.parametrize('mapped', [False, True], ids=['packed', 'mapped'])
def test_arrays_in_any_order_in_memory(tmp_path, small_chunks, mapped):
    whole = _case((2, 23, 30, 17))
    case = Case(whole.image[::-1, ::2, :, ::-1], whole.labels.T[::-1, ::3, 1::2].T.swapaxes(0, 2))
    assert not case.image.flags.c_contiguous
    assert not case.labels.flags.c_contiguous
    case = Case(case.image, np.asfortranarray(case.labels[: case.image.shape[1]]))
    write_case(case, tmp_path / 'a.case', (7, 7, 7), compressed=not mapped)
    with CaseFile(tmp_path / 'a.case', mapped) as file:
        np.testing.assert_array_equal(file.image[...], case.image)
        np.testing.assert_array_equal(file.labels[...], case.labels)


def test_what_is_read_is_a_copy_that_may_be_changed(tmp_path):
    case = _case((1, 5, 6, 7))
    write_case(case, tmp_path / 'a.case', None, compressed=False)
    with CaseFile(tmp_path / 'a.case', mapped=True) as file:
        file.image[...][:] = 7
        np.testing.assert_array_equal(file.image[...], case.image)


@pytest.mark.parametrize('index', [(slice(None, None, 2),), ([0, 1],), (slice(None),) * 5, 4, 'img'])
def test_other_indices_are_refused(tmp_path, index):
    write_case(_case((1, 5, 6, 7)), tmp_path / 'a.case', None)
    with CaseFile(tmp_path / 'a.case') as file, pytest.raises(IndexError):
        file.image[index]


def test_only_touched_chunks_are_read(tmp_path, monkeypatch):
    write_case(_case((1, 70, 70, 70)), tmp_path / 'a.case', (32, 32, 32))
    read = []
    original = CaseFile.read
    monkeypatch.setattr(CaseFile, 'read', lambda self, *args: read.append(args[-1]) or original(self, *args))
    with CaseFile(tmp_path / 'a.case') as file:
        image = file.image
        assert math.prod(image.chunk) * 4 <= CHUNK_BYTES
        read.clear()
        image[0:1, 0:5, 0:5, 0:5]
        assert read == ['table of image', 'chunk 0 of image']
        read.clear()
        image[0:1, 0:5, 0:5, 0:5]
        assert read == ['chunk 0 of image']


@pytest.mark.parametrize(
    ('shape', 'patch', 'itemsize'),
    [
        ((1, 240, 240, 155), (128, 128, 128), 4),
        ((4, 240, 240, 155), (128, 128, 128), 4),
        ((512, 512, 600), (96, 160, 160), 1),
        ((1, 512, 512, 20), (512, 512, 1), 4),
        ((70000, 3), None, 4),
        ((3, 2848, 4288), (960, 1440), 1),
        ((1, 1, 997, 1009), (1, 7, 11), 4),
    ],
)
def test_layout_follows_the_patch(shape, patch, itemsize):
    chunk = chunk_shape(shape, patch, itemsize)
    first = len(shape) - len(patch or shape)
    assert chunk[:first] == shape[:first]
    assert math.prod(chunk) * itemsize <= CHUNK_BYTES
    assert all(1 <= a <= b for a, b in zip(chunk, shape, strict=True))
    if patch is not None:
        assert all(a <= -(-b // 2) for a, b in zip(chunk[first:], patch, strict=True))
        # what a patch touches at most, against the patch
        ratio = math.prod((b + 2 * (a - 1)) / b for a, b in zip(chunk[first:], patch, strict=True))
        assert ratio <= 8


def test_chunks_cover_each_voxel_once():
    shape, chunk = (5, 7, 1), (2, 7, 3)
    count = np.zeros(shape, int)
    for number, box in enumerate(all_boxes(shape, chunk)):
        count[tuple(slice(*pair) for pair in box)] += 1
        assert dict(touched(shape, chunk, tuple((start, start + 1) for start, _ in box))) == {number: box}
    assert (count == 1).all()


def _stored_and_read(tmp_path, image, mapped=False):
    write_case(Case(image, None), tmp_path / 'a.case', None, compressed=not mapped)
    with CaseFile(tmp_path / 'a.case', mapped) as file:
        assert file.image[...].tobytes() == np.ascontiguousarray(image).tobytes()
        return file.image.read_chunk(0, file.image.chunk).dtype


@pytest.mark.parametrize('mapped', [False, True], ids=['packed', 'mapped'])
def test_integers_are_stored_as_such(tmp_path, mapped):
    for values, kind in [([0, 255], 'uint8'), ([-1024, 3071], 'int16'), ([0, 65535], 'uint16')]:
        image = np.array(values, np.float32).reshape(1, 2, 1, 1)
        assert _stored_and_read(tmp_path, image, mapped) == kind


@pytest.mark.parametrize('count', [2, 256, 257, 4001])
@pytest.mark.parametrize('mapped', [False, True], ids=['packed', 'mapped'])
def test_integers_that_were_normalised_are_stored_as_such(tmp_path, mapped, count):
    image = np.random.default_rng(0).integers(-count // 2, count // 2, (1, 41, 31, 19)).astype(np.float32)
    image = ((image - image.mean()) / image.std()).astype(np.float32)
    assert _stored_and_read(tmp_path, image, mapped) == ('uint8' if count <= 256 else 'uint16')


@pytest.mark.parametrize('value', [0.5, np.nan, -0.0, 1e6, np.inf, -np.nan])
def test_odd_values_keep_every_bit(tmp_path, value):
    image = np.zeros((1, 5, 6, 7), np.float32)
    image[0, :, 3] = value
    image[0, 2] = 65535
    assert _stored_and_read(tmp_path, image[:, ::-1, :, ::-1]) == 'uint8'


def test_many_values_stay_floats(tmp_path):
    assert (
        _stored_and_read(tmp_path, np.random.default_rng(0).normal(size=(1, 41, 53, 59)).astype(np.float32))
        == 'float32'
    )
    assert narrowest(np.zeros(3))[0].dtype == np.float64


def test_shuffle_is_chosen_by_trial():
    smooth = np.linspace(0, 1, 4096, dtype=np.float32)
    pack = Packer()
    pack(np.zeros(64, np.float32))  # says nothing
    data = pack(smooth)
    np.testing.assert_array_equal(unpack(data, smooth.shape, smooth.dtype), smooth)
    assert len(data) < smooth.nbytes * 0.9


@pytest.mark.parametrize('mapped', [False, True], ids=['packed', 'mapped'])
def test_any_flipped_byte_is_found(tmp_path, small_chunks, mapped):
    case = _case((1, 11, 13, 7))
    path = tmp_path / 'a.case'
    write_case(case, path, (5, 5, 5), compressed=not mapped)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 97), *range(len(whole) - 40, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(DamagedCaseError, match=r'a\.case'):
            _read_all(path, mapped)


def _read_all(path, mapped):
    with CaseFile(path, mapped) as file:
        return [array[...] for array in file.arrays.values()]


@pytest.mark.parametrize('share', [0, 0.001, 0.3, 0.999])
def test_torn_file_is_found_when_opened(tmp_path, share):
    path = tmp_path / 'a.case'
    write_case(_case((1, 11, 13, 7)), path, None)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedCaseError):
        CaseFile(path)


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / 'a.case'
    write_case(_case((1, 5, 6, 7)), path, None)
    before = path.read_bytes()
    real = Packer.__call__
    calls = itertools.count()

    def full(self, piece):
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return real(self, piece)

    monkeypatch.setattr(Packer, '__call__', full)
    with pytest.raises(OSError, match='No space'):
        write_case(_case((1, 5, 6, 7), seed=1), path, None)
    assert [file.name for file in tmp_path.iterdir()] == ['a.case']
    assert path.read_bytes() == before


def test_faulty_disk_is_found_by_reading_back(tmp_path, monkeypatch):
    monkeypatch.setattr(Packer, '__call__', lambda self, piece: self._pack(np.zeros_like(piece), 0))
    with pytest.raises(OSError, match='reads back as something else'):
        write_case(_case((1, 5, 6, 7)), tmp_path / 'a.case', None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('place', [9, -30, -3])
def test_bytes_lost_on_the_way_are_found_by_reading_back(tmp_path, monkeypatch, place):
    real = case_writer.CaseFile

    def lossy(path):
        data = path.read_bytes()
        path.write_bytes(data[:place] + b'?' + data[place:][1:])
        return real(path)

    monkeypatch.setattr(case_writer, 'CaseFile', lossy)
    with pytest.raises(OSError, match='reads back as something else'):
        write_case(_case((1, 5, 6, 7)), tmp_path / 'a.case', None)
    assert not list(tmp_path.iterdir())


def test_contents_are_hashed(tmp_path):
    for seed in (0, 1):
        write_case(_case((1, 5, 6, 7), seed), tmp_path / f'{seed}.case', None)
    with CaseFile(tmp_path / '0.case') as a, CaseFile(tmp_path / '1.case') as b:
        assert content_hash(a.image) == a.image.digest != b.image.digest


def test_notes_come_back_with_their_types():
    grid = Grid((5, 7, 9), np.diag([1.0, 2, 3, 1]))
    step = CropPad.plan(grid, size=(4, 8, 9))
    notes = dict(
        shape=(1, 2), names=['a', None], flag=True, by_class={1: 0.5, 'x': ()}, affine=grid.affine, n=np.int64(3)
    )
    found = decode(encode({**notes, 'grid': grid, 'steps': [step]}, 'results'))
    np.testing.assert_array_equal(found.pop('affine'), notes.pop('affine'), strict=True)
    assert found.pop('grid').size == grid.size
    assert found.pop('steps')[0].target.size == step.target.size
    assert found == notes
    assert isinstance(found['shape'], tuple)


@pytest.mark.parametrize('value', [np.zeros((20, 20, 20)), {1, 2}, [lambda: 0]])
def test_notes_that_cannot_be_stored_are_named(tmp_path, value):
    case = Case(np.zeros((1, 2, 3), np.float32), None, {'weights': value})
    with pytest.raises(ConfigError, match=r"results\['weights'\].*put the step that makes it behind"):
        write_case(case, tmp_path / 'a.case', None)
    assert not list(tmp_path.iterdir())


def test_voxels_of_classes():
    labels = np.array([[0, 1, 255], [2, 2, 2]], np.uint8)
    found = class_locations(labels, 2, 0)
    assert {k: v.tolist() for k, v in found.items()} == {1: [[0, 1]], 255: [[0, 2]], 2: [[1, 0], [1, 1], [1, 2]]}
    masks = np.stack([labels == 1, labels == 3, labels > 0]).astype(np.uint8)
    found = class_locations(masks, 2, 0)
    assert sorted(found) == [0, 2]
    assert len(found[2]) == 5


def test_large_classes_are_thinned_evenly():
    labels = np.zeros((40, 50, 60), np.uint8)
    labels[10:30] = 3
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    voxels = class_locations(labels, 3, seed=0, most=2000)[3]
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert len(np.unique(voxels, axis=0)) == len(voxels) == 2000
    assert (labels[tuple(voxels.T)] == 3).all()
    # uniform on 10..29: mean 19.5, standard error 0.13
    assert abs(voxels[:, 0].mean() - 19.5) < 0.6
    assert np.array_equal(voxels, class_locations(labels, 3, seed=0, most=2000)[3])
