from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel
from torch import nn

from mmseg_medical.engine import RecordHook
from mmseg_medical.engine.record_hook import _peak_resident_bytes
from mmseg_medical.registry import HOOKS


class Network(nn.Module):
    """Two convolutions of 3 x 3, the first of which is the backbone: 3 -> 4 -> 2 channels."""

    def __init__(self, spatial_dims: int = 2) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
        self.backbone = conv(3, 4, 3, padding=1, bias=False)
        self.head = conv(4, 2, 3, padding=1, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(inputs))

    def test_step(self, inputs: torch.Tensor) -> torch.Tensor:
        return self(inputs)


def record(network: nn.Module, folder, inputs: list[torch.Tensor], clock=None, views: int = 1) -> dict:
    runner = SimpleNamespace(model=network, work_dir=str(folder))
    hook = HOOKS.build(dict(type='RecordHook'))
    assert isinstance(hook, RecordHook)
    hook.before_test_epoch(runner)
    for index, batch in enumerate(inputs):
        for _ in range(views):
            network(batch)
        hook.after_test_iter(runner, index, outputs=list(batch))
    hook.after_test_epoch(runner, {'dice': 0.5, 'hd95': float('nan'), 'text': 'no number'})
    assert not network._forward_hooks
    assert not network._forward_pre_hooks
    return json.loads((folder / 'test_record.json').read_text())


@pytest.mark.parametrize(('size', 'taps'), [((7, 5), 9), ((3, 1, 5), 27)])
def test_counts_by_hand(tmp_path, size, taps):
    network = Network(len(size))
    content = record(network, tmp_path, [torch.zeros(1, 3, *size)])
    cost = content['cost']
    voxels = torch.Size(size).numel()
    assert cost['parameters'] == taps * (3 * 4 + 4 * 2)
    assert cost['macs'] == voxels * taps * (3 * 4 + 4 * 2)
    assert cost['sampling_macs'] == 0
    assert cost['input_shape'] == [3, *size]
    assert (cost['device'], cost['memory']) == ('cpu', 'process resident')
    assert cost['peak_memory_bytes'] > 50e6  # an interpreter with torch
    assert content['metrics'] == {'dice': 0.5, 'hd95': None}
    assert content['format'] == 'mmseg_medical.test_record/1'


def test_seconds_without_the_first_batch_and_with_all_views(tmp_path, monkeypatch):
    """A clock that goes on by 1 s with every look: each forward pass takes 1 s."""
    ticks = iter(range(1000))
    monkeypatch.setattr('mmseg_medical.engine.record_hook.time.perf_counter', lambda: float(next(ticks)))
    batches = [torch.zeros(size, 3, 4, 4) for size in (2, 2, 1)]
    cost = record(Network(), tmp_path, batches, views=3)['cost']
    assert (cost['seconds_per_image'], cost['timed_images']) == (2.0, 3)  # two batches of 3 s, three images
    cost = record(Network(), tmp_path, batches[:1])['cost']
    assert (cost['seconds_per_image'], cost['timed_images']) == (0.5, 2)


def test_a_network_that_cannot_be_counted_loses_nothing_else(tmp_path):
    class Reader(Network):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs) * float(inputs.sum())

    content = record(Reader(), tmp_path, [torch.zeros(1, 3, 4, 4)])
    assert content['cost']['macs'] is None
    assert 'does not go through the network' in content['cost']['macs_error']
    assert content['metrics']['dice'] == 0.5


def test_a_backbone_that_never_ran(tmp_path):
    class Idle(Network):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs

    assert record(Idle(), tmp_path, [torch.zeros(1, 3, 4, 4)])['cost']['macs_error'].startswith('the backbone')
    cost = record(Network(), tmp_path, [])['cost']
    assert (cost['seconds_per_image'], cost['timed_images']) == (None, 0)


def test_what_wraps_the_network_does_not_count(tmp_path):
    class Views(BaseTTAModel):
        def merge_preds(self, data_samples_list: list) -> list:
            return data_samples_list

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.module(inputs) + self.module(inputs.flip(-1))

    cost = record(Views(Network()), tmp_path, [torch.zeros(2, 3, 7, 5)])['cost']
    assert cost['macs'] == 7 * 5 * 9 * 20  # one forward pass of one image
    assert cost['seconds_per_image'] > 0


def test_other_folder(tmp_path):
    hook = RecordHook(str(tmp_path / 'elsewhere'))
    runner = SimpleNamespace(model=Network(), work_dir=str(tmp_path))
    hook.before_test_epoch(runner)
    hook.after_test_epoch(runner, {})
    assert (tmp_path / 'elsewhere' / 'test_record.json').exists()


def test_memory_is_that_of_the_process_and_not_of_its_parent(monkeypatch):
    """ru_maxrss may begin with the peak of the parent; it serves where there is no /proc."""
    monkeypatch.setattr(resource, 'getrusage', lambda who: SimpleNamespace(ru_maxrss=10**12))
    if Path('/proc/self/status').exists():
        assert 50e6 < _peak_resident_bytes() < 10**12
    monkeypatch.setattr('mmseg_medical.engine.record_hook.Path', lambda path: Path('/nothing'))
    monkeypatch.setattr(sys, 'platform', 'linux')
    assert _peak_resident_bytes() == 1024 * 10**12
    monkeypatch.setattr(sys, 'platform', 'darwin')  # bytes there
    assert _peak_resident_bytes() == 10**12


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_memory_of_a_gpu(tmp_path):
    network = Network().cuda()
    inputs = torch.zeros(1, 3, 512, 512, device='cuda')
    cost = record(network, tmp_path, [inputs])['cost']
    assert cost['memory'] == 'cuda allocated'
    assert cost['device'] == torch.cuda.get_device_name()
    assert 512 * 512 * (3 + 4) * 4 <= cost['peak_memory_bytes'] < 2e9
