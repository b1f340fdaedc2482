from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EarlyStoppingHook, LoggerHook
from torch import nn

from mmseg_medical.datasets import DataError
from mmseg_medical.engine.checkpoint_hook import CheckpointHook
from mmseg_medical.engine.checks import check_classes, check_monitored, check_splits, check_work_dir
from mmseg_medical.engine.no_new_best_hook import NoNewBestHook
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.metrics import MedicalSegMetric


class Head(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes


def network(decode: int, *auxiliary: int) -> nn.Module:
    model = nn.Module()
    model.decode_head = Head(decode)
    model.auxiliary_head = nn.ModuleList([Head(number) for number in auxiliary])
    return model


def dataset(*classes: str) -> SimpleNamespace:
    return SimpleNamespace(metainfo={'classes': classes})


def test_equal_numbers_pass():
    check_classes(network(2, 2, 2), dataset('background', 'EX'), 'train')


def test_both_numbers_and_the_key_are_named():
    with pytest.raises(ConfigError, match=r"decode_head\.num_classes=5.*val data set.*3 classes \('a', 'b', 'c'\)"):
        check_classes(network(5), dataset('a', 'b', 'c'), 'val')


def test_auxiliary_heads_are_compared_too():
    with pytest.raises(ConfigError, match=r'model\.auxiliary_head\.1\.num_classes=7'):
        check_classes(network(2, 2, 7), dataset('a', 'b'), 'train')


@pytest.mark.parametrize('metainfo', [None, {}, {'classes': None}])
def test_data_sets_without_class_names_pass(metainfo):
    check_classes(network(5), SimpleNamespace(metainfo=metainfo), 'train')


def metric(**options) -> MedicalSegMetric:
    built = MedicalSegMetric(**options)
    built.dataset_meta = {'classes': ('background', 'EX')}
    return built


@pytest.mark.parametrize('key', ['mAUPR', 'Dice.EX', ['mIoU', 'mDice_fg_per_image'], 'auto', None])
def test_a_best_checkpoint_by_a_logged_number_passes(key):
    check_monitored(
        [LoggerHook(), CheckpointHook(save_best=key, rule=None if key == 'auto' else 'greater')], [metric()]
    )


@pytest.mark.parametrize(
    ('hook', 'options', 'message'),
    [
        (
            CheckpointHook(save_best='mAUPR', rule='greater'),
            {'aupr': False},
            r"save_best.*'mAUPR'.*Set aupr=True.*mIoU",
        ),
        (CheckpointHook(save_best='mDise', rule='greater'), {}, 'Did you mean .*mDice'),
        (CheckpointHook(save_best='mDice', rule='greater'), {'prefix': 'val'}, 'Did you mean val/mDice'),
        (EarlyStoppingHook(monitor='mAUPR', rule='greater'), {'aupr': False}, r'monitor of the EarlyStoppingHook'),
        (NoNewBestHook({'mAUPR': 'greater'}, 3), {'aupr': False}, r'monitors of the NoNewBestHook'),
    ],
)
def test_a_number_that_validation_never_yields(hook, options, message):
    with pytest.raises(ConfigError, match=message):
        check_monitored([hook], [metric(**options)])


def test_names_of_other_metrics_are_not_guessed():
    class Other(BaseMetric):
        def process(self, data_batch, data_samples): ...

        def compute_metrics(self, results): ...

    check_monitored([CheckpointHook(save_best='score', rule='greater')], [metric(aupr=False), Other()])


def test_work_dir_is_created_and_left_empty(tmp_path):
    path = check_work_dir(tmp_path / 'a' / 'b c')
    assert path.is_dir()
    assert not list(path.iterdir())


def test_work_dir_below_a_file(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match=r'cannot be written.*--work-dir'):
        check_work_dir(tmp_path / 'file' / 'below')


def test_work_dir_without_permission(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr('tempfile.TemporaryFile', refuse)
    with pytest.raises(ConfigError, match='Permission denied'):
        check_work_dir(tmp_path)


class Listed:
    def __init__(self, *names: str) -> None:
        self.entries = [{'case_id': name, 'img_path': f'{name}.jpg'} for name in names]

    def __len__(self) -> int:
        return len(self.entries)

    def get_data_info(self, index: int) -> dict:
        return self.entries[index]


def splits(**names: str) -> dict[str, Any]:
    return {split: Listed(*letters) for split, letters in names.items()}


@pytest.mark.parametrize(
    'datasets',
    [{}, splits(train='ab'), splits(train='ab', val='c', test='de'), splits(train='ab', val='cd', test='dc')],
)
def test_splits_that_pass(datasets):
    check_splits(datasets)


@pytest.mark.parametrize(
    ('datasets', 'shared'),
    [
        (splits(train='ab', val='b'), 'b'),
        (splits(train='ab', val='c', test='a'), 'a'),
        (splits(train='ab', val='ab'), 'a, b'),
        (splits(train='ab', val='cd', test='de'), 'd'),
        (splits(val='c', test='cd'), 'c'),
    ],
)
def test_splits_that_share_images(datasets, shared):
    with pytest.raises(DataError, match=f'^case_id {shared}: expected to be in one split only'):
        check_splits(datasets)
