from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from mmseg_medical.engine.checkpoint import find_resumable, load_matching, load_strict, read_checkpoint
from mmseg_medical.errors import CheckpointError


class Net(nn.Module):
    def __init__(self, classes: int = 2, width: int = 3) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, width, 3)
        self.conv_seg = nn.Conv2d(width, classes, 1)


class Evil:
    def __reduce__(self):
        return os.system, ('touch evil_was_run',)


def save(path: Path, **extra) -> Path:
    torch.save({'state_dict': Net().state_dict(), 'meta': {'iter': 3}, **extra}, path)
    return path


def test_reads_what_training_writes(tmp_path):
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    path = save(tmp_path / 'a.pth', message_hub={'log_scalars': {'loss': buffer}, 'runtime_info': {'s': np.float64(3)}})
    contents = read_checkpoint(path)
    assert contents['meta'] == {'iter': 3}
    assert contents['message_hub']['log_scalars']['loss'].mean() == 1.5
    assert contents['message_hub']['runtime_info']['s'] == 3


def test_wraps_a_bare_state_dict(tmp_path):
    torch.save(Net().state_dict(), tmp_path / 'a.pth')
    assert set(read_checkpoint(tmp_path / 'a.pth')) == {'state_dict'}


def test_runs_no_code_unless_trusted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / 'a.pth', surprise=Evil())
    with pytest.raises(CheckpointError, match=r'system.*could run code'):
        read_checkpoint(path)
    assert not Path('evil_was_run').exists()
    read_checkpoint(path, trusted=True)
    assert Path('evil_was_run').exists()


def test_the_statistics_stand_in_gives_no_other_attribute(tmp_path):
    class Sneaky:
        def __reduce__(self):
            return getattr, (HistoryBuffer, '__init__')

    with pytest.raises(CheckpointError, match='could run code'):
        read_checkpoint(save(tmp_path / 'a.pth', x=Sneaky()))


@pytest.mark.parametrize('keep', [0.0, 0.01, 0.5, 0.9, 0.999])
def test_truncated_file(tmp_path, keep):
    path = save(tmp_path / 'a.pth')
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(CheckpointError, match=r'a\.pth'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'not a checkpoint at all', 'not a checkpoint'),
        (pickle.dumps([1, 2]), 'not a checkpoint'),
        (b'\x89PNG\r\n\x1a\n' + bytes(100), 'not a checkpoint'),
    ],
)
def test_other_files(tmp_path, content, message):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('content', [{'meta': {}}, [torch.zeros(1)], {'state_dict': {}}, {'state_dict': {'a': 1}}])
def test_files_of_torch_without_weights(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='not a checkpoint'):
        read_checkpoint(tmp_path / 'a.pth')


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        read_checkpoint(tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='folder'):
        read_checkpoint(tmp_path)


def test_strict_loading_takes_off_the_prefix():
    source, target = Net(), Net()
    load_strict(target, {f'module.{key}': value for key, value in source.state_dict().items()}, 'x')
    assert torch.equal(source.body.weight, target.body.weight)


def test_strict_loading_lists_every_difference_at_once():
    weights = Net(classes=5).state_dict()
    weights['other.weight'] = weights.pop('body.bias')
    before = Net()
    untouched = {key: value.clone() for key, value in before.state_dict().items()}
    with pytest.raises(CheckpointError) as raised:
        load_strict(before, weights, 'x.pth')
    message = str(raised.value)
    for part in ('x.pth', '1 missing in the checkpoint', 'body.bias', '1 not in the network', 'other.weight'):
        assert part in message
    assert 'conv_seg.weight: network (2, 3, 1, 1), checkpoint (5, 3, 1, 1)' in message
    assert all(torch.equal(value, untouched[key]) for key, value in before.state_dict().items())


def test_strict_loading_recognises_a_wrong_number_of_classes():
    with pytest.raises(CheckpointError, match=r'num_classes') as raised:
        load_strict(Net(classes=2), Net(classes=5).state_dict(), 'x.pth')
    assert '(2, 3, 1, 1), checkpoint (5, 3, 1, 1)' in str(raised.value)


def test_strict_loading_shortens_long_lists():
    with pytest.raises(CheckpointError, match=r'\.\.\. and 12 more'):
        load_strict(Net(), {**Net().state_dict(), **{f'extra{i}': torch.zeros(1) for i in range(20)}}, 'x')


def test_matching_needs_something_that_matches():
    target, source = Net(classes=2), Net(classes=5)
    load_matching(target, source.state_dict(), 'x')
    assert torch.equal(target.body.weight, source.body.weight)
    with pytest.raises(CheckpointError, match='no weight of x fits'):
        load_matching(target, {'elsewhere.weight': torch.zeros(1)}, 'x')


def test_find_resumable_follows_the_pointer_then_the_highest_step(tmp_path):
    with pytest.raises(CheckpointError, match='nothing to resume'):
        find_resumable(tmp_path)
    for step in (2, 10, 9):
        save(tmp_path / f'iter_{step}.pth')
    save(tmp_path / 'best_mAUPR_iter_99.pth')
    assert find_resumable(tmp_path).name == 'iter_10.pth'
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text(str(tmp_path / 'iter_9.pth'))
    assert find_resumable(tmp_path).name == 'iter_9.pth'
    pointer.write_text('/where/it/was/before/moving/iter_2.pth')
    assert find_resumable(tmp_path) == tmp_path / 'iter_2.pth'
    pointer.write_text('')  # the process was killed while it wrote the pointer
    assert find_resumable(tmp_path).name == 'iter_10.pth'


def test_a_copied_work_dir_resumes_itself(tmp_path):
    original, copy = tmp_path / 'original', tmp_path / 'copy'
    for folder in (original, copy):
        folder.mkdir()
        save(folder / 'iter_2.pth')
        (folder / 'last_checkpoint').write_text(str(original / 'iter_2.pth'))
    assert find_resumable(copy) == copy / 'iter_2.pth'
    (copy / 'iter_2.pth').unlink()
    assert find_resumable(copy) == original / 'iter_2.pth'


def test_the_way_out_of_an_untrusted_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'from_original\.py --trust'):
        read_checkpoint(save(tmp_path / 'a.pth', surprise=Evil()))
