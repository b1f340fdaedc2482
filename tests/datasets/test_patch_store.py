"""The store of a data set: built once, never stale, repaired, shared by processes."""

import errno
import itertools
import multiprocessing
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmseg_medical.datasets import DataError
from mmseg_medical.datasets.patch_store import Case, build_store, case_writer
from mmseg_medical.datasets.samplers import SeededIndex, seed_sample
from mmseg_medical.datasets.transforms.load_stored_patch import LoadStoredPatch
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.registry import TRANSFORMS

HEAD = [
    dict(type='LoadVolume'),
    dict(type='LoadVolumeAnnotations', num_classes=3),
    dict(type='NormalizeIntensity', mode='zscore'),
]
PATCH = dict(patch_size=(8, 7, 6), foreground_prob=0.7)
MODES = pytest.mark.parametrize('in_memory', [False, True], ids=['packed', 'in_memory'])


def _write(folder, case, size=(19, 23, 17), seed=0):
    generator = np.random.default_rng(seed)
    labels = np.zeros(size, np.uint8)
    labels[tuple(slice(n // 3, n // 2 + 1) for n in size)] = 1
    labels[tuple(slice(0, 2) for _ in size)] = 2
    affine = np.diag([1.0, 1.5, 2, 1])
    image, truth = folder / f'{case}.nii.gz', folder / f'{case}_label.nii.gz'
    write_volume(Volume(generator.integers(0, 500, size).astype(np.int16), affine), image)
    write_volume(Volume(labels, affine), truth)
    return dict(case_id=case, img_path=str(image), seg_map_path=str(truth), sample_idx=3)


@pytest.fixture
def entry(tmp_path):
    return _write(tmp_path / 'data', 'a')


def _steps(steps):
    return [TRANSFORMS.build(dict(step)) for step in steps]


def _run(steps, results, seed):
    seed_sample(SeededIndex(0, (seed,)))
    results = dict(results)
    for step in steps:
        results = step(results)
    return results


def _assert_same(a, b):
    assert set(a) == set(b)
    for key in a:
        if isinstance(a[key], np.ndarray):
            np.testing.assert_array_equal(a[key], b[key], strict=True)
        else:
            assert a[key] == b[key]


def _files(folder):
    return sorted(path for path in Path(folder).rglob('*.case'))


def _no_building(monkeypatch, transform):
    monkeypatch.setattr(transform.store, '_run', lambda results: pytest.fail('a case was preprocessed'))


@MODES
@pytest.mark.parametrize('size', [(19, 23, 17), (1, 23, 5), (3, 4, 5), (8, 7, 6)])
def test_samples_are_those_of_the_pipeline(tmp_path, monkeypatch, in_memory, size):
    entry = _write(tmp_path, 'a', size)
    plain = _steps([*HEAD, dict(type='RandomPatch', **PATCH)])
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), PATCH, in_memory)
    for seed in range(12):  # the first builds
        _assert_same(_run(plain, entry, seed), _run([stored], entry, seed))
        _no_building(monkeypatch, stored)
    assert len(_files(tmp_path / 'store')) == 1


@MODES
def test_grid_steps_come_back(tmp_path, in_memory):
    entry = _write(tmp_path, 'a')
    head = [
        *HEAD[:2],
        dict(type='ReorientVolume', axes='LPS'),
        dict(type='ResampleVolume', spacing_mm=(1.5, 1.5, 1.5)),
        HEAD[2],
        dict(type='CropOrPadVolume', size=(16, 20, 30)),
    ]
    stored = LoadStoredPatch(head, str(tmp_path / 'store'), PATCH, in_memory)
    plain = _steps([*head, dict(type='RandomPatch', **PATCH)])
    for seed in range(3):
        results = _run([stored], entry, seed)
        _assert_same(_run(plain, entry, seed), results)
    assert [type(step).__name__ for step in results['grid_steps']] == ['Reorient', 'Resample', 'CropPad']
    assert TRANSFORMS.build(dict(type='PackVolumeInputs'))(results)['inputs'].shape == (1, 8, 7, 6)


@pytest.mark.realdata
def test_real_volumes(realdata, tmp_path):
    root = realdata / 'Task04_Hippocampus'
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), dict(patch_size=(32, 40, 32)), in_memory=True)
    plain = _steps([*HEAD, dict(type='RandomPatch', patch_size=(32, 40, 32))])
    for number, path in enumerate(sorted((root / 'imagesTr').glob('hippo*.nii.gz'))[:12]):
        entry = dict(case_id=path.name, img_path=str(path), seg_map_path=str(root / 'labelsTr' / path.name))
        for _ in range(2):
            _assert_same(_run(plain, entry, number), _run([stored], entry, number))


@MODES
def test_masks_and_planes(tmp_path, in_memory):
    entry = _write(tmp_path, 'a', (31, 37))
    head = [dict(type='LoadVolume'), dict(type='LoadVolumeAnnotations', regions=[[1, 2], [2]])]
    patch = dict(patch_size=(5, 40), foreground_prob=1.0)
    stored = LoadStoredPatch(head, str(tmp_path / 'store'), patch, in_memory)
    for seed in range(6):
        ours = _run([stored], entry, seed)
        _assert_same(_run(_steps([*head, dict(type='RandomPatch', **patch)]), entry, seed), ours)
        assert ours['gt_seg_map'].shape == (2, 5, 40)


@MODES
def test_without_a_patch_the_whole_case_is_read(tmp_path, entry, in_memory):
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), None, in_memory)
    for _ in range(2):
        results = _run([stored], entry, 0)
        _assert_same(_run(_steps(HEAD), entry, 0), results)
        results['img'][:] = 7  # ours to change


def test_without_labels(tmp_path, entry):
    head = [HEAD[0], HEAD[2]]
    stored = LoadStoredPatch(head, str(tmp_path / 'store'), PATCH)
    for _ in range(2):
        results = _run([stored], entry, 0)
        assert 'gt_seg_map' not in results
        assert results['img'].shape == (1, 8, 7, 6)


def test_the_generator_moves_as_without_a_store(tmp_path, entry):
    states = []
    for _ in range(2):
        _run([LoadStoredPatch(HEAD, str(tmp_path / 'store'), PATCH)], entry, 5)
        states.append(np.random.random_sample())  # noqa: NPY002
    assert states[0] == states[1]


def test_changed_source_is_read_again(tmp_path, entry):
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'))
    first = _run([stored], entry, 0)['img']
    stat = Path(entry['img_path']).stat()
    _write(Path(entry['img_path']).parent, 'a', seed=1)
    os.utime(entry['img_path'], ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a copy that preserves times
    assert not np.array_equal(_run([stored], entry, 0)['img'], first)


@pytest.mark.parametrize(
    'change',
    [
        lambda head, entry: head[2].update(mode='percentile'),
        lambda head, entry: head[1].update(label_map={0: 0, 1: 2, 2: 1}),
        lambda head, entry: head.pop(),
        lambda head, entry: entry.update(label_map={0: 0, 1: 2, 2: 1}),
    ],
    ids=['argument', 'label map', 'step', 'entry'],
)
def test_another_pipeline_is_another_case(tmp_path, entry, change):
    head, other = [dict(step) for step in HEAD], dict(entry)
    store = str(tmp_path / 'store')
    _run([LoadStoredPatch(head, store)], entry, 0)
    change(head, other)
    results = _run([LoadStoredPatch(head, store)], other, 0)
    _assert_same(_run(_steps(head), other, 0), results)
    assert len(_files(store)) == 2


def test_order_of_arguments_place_and_patch_are_no_other_case(tmp_path, entry):
    store = str(tmp_path / 'store')
    _run([LoadStoredPatch(HEAD, store, PATCH)], entry, 0)
    turned = [dict(reversed(list(step.items()))) for step in HEAD]
    _run([LoadStoredPatch(tuple(turned), store, dict(patch_size=(2, 2, 2)))], {**entry, 'sample_idx': 0}, 0)
    assert len(_files(store)) == 1


def test_another_version_is_another_case(tmp_path, entry, monkeypatch):
    for version in ('1.0', '1.1'):
        monkeypatch.setattr('mmseg_medical.__version__', version)
        _run([LoadStoredPatch(HEAD, str(tmp_path / 'store'))], entry, 0)
    assert len(_files(tmp_path / 'store')) == 2


@MODES
@pytest.mark.parametrize('damage', ['torn', 'empty', 'flipped'])
def test_damaged_file_is_built_again_with_a_warning(tmp_path, entry, in_memory, damage):
    arguments = (HEAD, str(tmp_path / 'store'), PATCH, in_memory)
    expected = _run([LoadStoredPatch(*arguments)], entry, 1)
    (path,) = _files(tmp_path / 'store')
    whole = path.read_bytes()
    spoilt = {'torn': whole[:-9], 'empty': b'', 'flipped': whole[:300] + bytes([whole[300] ^ 1]) + whole[301:]}
    path.write_bytes(spoilt[damage])
    stored = LoadStoredPatch(*arguments)
    with pytest.warns(UserWarning, match=r'\.case.* is built again'):
        _assert_same(_run([stored], entry, 1), expected)
    assert path.read_bytes() == whole
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        _assert_same(_run([stored], entry, 1), expected)


def test_full_disk_is_a_warning_in_training_and_an_error_in_building(tmp_path, entry, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(case_writer, '_write_array', full)
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), PATCH)
    plain = _steps([*HEAD, dict(type='RandomPatch', **PATCH)])
    with pytest.warns(UserWarning, match='No space left.*store_dir'):
        _assert_same(_run(plain, entry, 2), _run([stored], entry, 2))
    with pytest.raises(OSError, match='No space'):
        build_store([entry], stored.store)
    assert [path.name for path in stored.store.folder.iterdir()] == ['pipeline.json']


def test_store_dir_that_is_a_file(tmp_path, entry):
    (tmp_path / 'store').write_text('')
    with pytest.warns(UserWarning, match='store_dir of LoadStoredPatch'):
        assert _run([LoadStoredPatch(HEAD, str(tmp_path / 'store'))], entry, 0)['img'].shape == (1, 19, 23, 17)


def test_faulty_case_is_an_error(tmp_path, entry):
    Path(entry['seg_map_path']).unlink()
    with pytest.raises(DataError, match='a_label'):
        _run([LoadStoredPatch(HEAD, str(tmp_path / 'store'))], entry, 0)
    with pytest.raises(DataError, match='no img_path'):
        _run([LoadStoredPatch(HEAD, str(tmp_path / 'store'))], {'case_id': 'x', 'volume': np.zeros((3, 3, 3))}, 0)


def test_entry_that_cannot_be_named_is_an_error(tmp_path, entry):
    with pytest.raises(DataError, match=r"entry\['extra'\]"):
        _run([LoadStoredPatch(HEAD, str(tmp_path / 'store'))], {**entry, 'extra': {1}}, 0)


def test_random_step_is_an_error(tmp_path, entry):
    head = [*HEAD, dict(type='RandomFlipVolume')]
    with pytest.raises(ConfigError, match='draws random numbers'):
        _run([LoadStoredPatch(head, str(tmp_path / 'store'))], entry, 0)
    assert not _files(tmp_path / 'store')


@pytest.mark.parametrize('step', [lambda results: results, dict(type='LoadVolume', hook=print)])
def test_step_without_text_is_an_error(tmp_path, step, monkeypatch):
    monkeypatch.setattr(TRANSFORMS, 'build', lambda config: len)
    with pytest.raises(ConfigError, match='pipeline of LoadStoredPatch'):
        LoadStoredPatch([step], str(tmp_path))


def test_labels_on_another_grid_are_an_error(tmp_path, entry):
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'))
    moved = dict(img=np.zeros((1, 3, 4, 5), np.float32), gt_seg_map=np.zeros((3, 4, 6), np.uint8))
    stored.store._run = lambda results: {**results, **moved}
    with pytest.raises(ConfigError, match='right behind LoadVolume'):
        _run([stored], entry, 0)
    stored.store._run = lambda results: results
    with pytest.raises(ConfigError, match='no img'):
        _run([stored], entry, 0)


def test_ignored_voxels_are_no_centres(tmp_path, entry):
    path = Path(entry['seg_map_path'])
    labels = np.zeros((19, 23, 17), np.uint8)
    labels[0, 0, 0] = 255
    write_volume(Volume(labels, np.diag([1.0, 1.5, 2, 1])), path)
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), {**PATCH, 'foreground_prob': 1.0})
    assert _run([stored], entry, 0)['augmentations'][0]['drawn_class'] is None


def _build_in_child(arguments, entry, seed, queue):
    queue.put(_run([LoadStoredPatch(*arguments)], entry, seed)['img'])


def test_two_processes_build_the_same_case(tmp_path, entry):
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    arguments = (HEAD, str(tmp_path / 'store'), PATCH)
    children = [context.Process(target=_build_in_child, args=(arguments, entry, 4, queue)) for _ in range(3)]
    for child in children:
        child.start()
    images = [queue.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    for image in images:
        np.testing.assert_array_equal(image, images[0])
    assert len(_files(tmp_path / 'store')) == 1
    assert not list((tmp_path / 'store').rglob('.*'))


class _Samples:
    def __init__(self, entries, transform):
        self.entries, self.transform = entries, transform

    def __len__(self):
        return len(self.entries)

    def __getitem__(self, index):
        return _run([self.transform], self.entries[index], index)['img']


@MODES
def test_samples_do_not_depend_on_the_workers(tmp_path, in_memory):
    entries = [_write(tmp_path, f'case {number}/x', seed=number) for number in range(3)]
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), PATCH, in_memory)
    found = [
        np.stack(list(DataLoader(_Samples(entries, stored), batch_size=None, num_workers=workers)))
        for workers in (0, 2)
    ]
    np.testing.assert_array_equal(*found)
    assert len(pickle.loads(pickle.dumps(stored.store))._mapped) == 0  # noqa: S301


@pytest.mark.parametrize('jobs', [0, 2])
def test_build_reports_and_lists_faulty_cases(tmp_path, jobs):
    entries = [_write(tmp_path, f'c{number}', seed=number) for number in range(4)]
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), PATCH)
    assert build_store(entries[:2], stored.store)[:2] == (2, 0)
    Path(entries[3]['img_path']).write_bytes(b'')
    with pytest.raises(DataError, match=r'1 of 4 cases.*others are:\ncase c3:.*c3\.nii\.gz'):
        build_store(entries, stored.store, jobs)
    report = build_store(entries[:3], stored.store, jobs, track=lambda results, number: results)
    assert report[:2] == (0, 3)
    assert report.num_bytes == sum(path.stat().st_size for path in _files(tmp_path / 'store'))


def test_verifying_finds_what_opening_does_not(tmp_path, entry):
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store'), PATCH)
    build_store([entry], stored.store)
    (path,) = _files(tmp_path / 'store')
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 4]) + whole[201:])
    assert build_store([entry], stored.store)[:2] == (0, 1)
    with pytest.warns(UserWarning, match='built again'):
        assert build_store([entry], stored.store, verify=True)[:2] == (1, 0)
    assert path.read_bytes() == whole
    assert build_store([entry], stored.store, verify=True)[:2] == (0, 1)


def test_modalities_and_folders_name_all_their_files(tmp_path, entry):
    stored = LoadStoredPatch(HEAD, str(tmp_path / 'store')).store
    folder = tmp_path / 'series'
    folder.mkdir()
    names = set()
    for number, paths in enumerate(
        itertools.islice(itertools.cycle([[entry['img_path'], str(folder)], str(folder)]), 4)
    ):
        (folder / f'{number}.dcm').write_bytes(b'x')
        names.add(stored.path({**entry, 'img_path': paths}))
    assert len(names) == 4


def test_case_in_memory_is_what_a_file_would_be():
    results = dict(img=np.zeros((1, 2, 3), np.float32), gt_seg_map=np.ones((2, 3), np.uint8), sample_idx=3, new=1)
    case = Case.of_results(results, dict(sample_idx=3))
    assert case.fields == {'new': 1}
    assert case.locations[1].shape == (6, 2)
