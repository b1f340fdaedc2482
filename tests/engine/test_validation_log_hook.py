from __future__ import annotations

import math
from types import SimpleNamespace

from mmengine.runner import EpochBasedTrainLoop

from mmseg_medical.engine import ValidationLogHook
from mmseg_medical.engine.validation_log_hook import VALIDATION_FILE, read_validations


def runner(folder, step: int, by_epoch: bool = True) -> SimpleNamespace:
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop) if by_epoch else None
    return SimpleNamespace(work_dir=str(folder), epoch=step, iter=100 * step, train_loop=loop)


def test_lines_of_a_training_that_is_resumed_and_begun_anew(tmp_path):
    hook, path = ValidationLogHook(), tmp_path / VALIDATION_FILE
    hook.before_train(runner(tmp_path, 0))
    for step in (1, 2, 3):
        hook.after_val_epoch(runner(tmp_path, step), {'dice': step / 10, 'hd95': math.inf, 'x': math.nan, 'note': 'a'})
    with path.open('a') as file:
        file.write('{"step": 4, "met')  # it was killed
    assert read_validations(path) == [(step, {'dice': step / 10, 'hd95': 'inf', 'x': None}) for step in (1, 2, 3)]
    hook.before_train(runner(tmp_path, 2))
    assert [step for step, _ in read_validations(path)] == [1, 2]
    hook.after_val_epoch(runner(tmp_path, 3), {'dice': 0.9})
    assert read_validations(path)[-1] == (3, {'dice': 0.9})
    hook.before_train(runner(tmp_path, 0))
    assert read_validations(path) == []


def test_steps_of_iterations(tmp_path):
    hook = ValidationLogHook()
    hook.after_val_epoch(runner(tmp_path, 2, by_epoch=False), {'dice': 0.5})
    hook.after_val_epoch(runner(tmp_path, 1, by_epoch=False), None)
    assert read_validations(tmp_path / VALIDATION_FILE) == [(100, {}), (200, {'dice': 0.5})]


def test_no_file():
    assert read_validations('/nowhere/at/all') == []
