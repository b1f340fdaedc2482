from __future__ import annotations

import io
from types import SimpleNamespace

import torch
from rich.console import Console

from mmseg_medical.engine import ProgressHook


def runner(**extra):
    return SimpleNamespace(rank=0, max_iters=20, iter=0, test_dataloader=[1, 2, 3], **extra)


def test_ten_lines_where_there_is_no_terminal():
    hook, output = ProgressHook(smoothing=1), io.StringIO()
    hook._console = Console(file=output, width=80)
    hook.before_train(runner())
    for step in range(20):
        hook.after_train_iter(None, step, outputs={'loss': torch.tensor(float(step))})
    hook.after_train(None)
    lines = output.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith('training 2/20, loss 1.000')
    assert lines[-1].startswith('training 20/20, loss 19.000')


def test_a_bar_on_a_terminal():
    hook, output = ProgressHook(), io.StringIO()
    hook._console = Console(file=output, width=100, force_terminal=True)
    hook.before_test_epoch(runner())
    for step in range(3):
        hook.after_test_iter(None, step)
    hook.after_test_epoch(None)
    assert 'testing' in output.getvalue()
    assert '3/3' in output.getvalue()


def test_silent_on_other_ranks():
    hook, output = ProgressHook(), io.StringIO()
    hook._console = Console(file=output)
    other = runner()
    other.rank = 1
    hook.before_train(other)
    hook.after_train_iter(None, 0, outputs={})
    hook.after_train(None)
    assert output.getvalue() == ''
