from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mmengine.runner.runner as mmengine_runner
import numpy as np
import pytest
import torch
import toy

from mmseg_medical import apis
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.engine.cpu import usable_cpus
from mmseg_medical.errors import CheckpointError, ConfigError


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return toy.write(tmp_path_factory.mktemp('toy set'))


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """A finished run of four steps: the runner."""
    return apis.train(config, work_dir=tmp_path_factory.mktemp('trained'))


def options(**changes):
    return {key.replace('__', '.'): value for key, value in changes.items()}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def test_trains_and_tests(trained, config, tmp_path):
    work_dir = Path(trained.work_dir)
    assert {'iter_2.pth', 'iter_4.pth', 'last_checkpoint', 'toy.py'} <= {path.name for path in work_dir.iterdir()}
    metrics = apis.test(config, work_dir / 'iter_4.pth', work_dir=tmp_path)
    assert 0 < metrics['mDice'] <= 100
    assert not list(work_dir.glob('.*'))


def test_network_uses_all_cores(trained, config, tmp_path, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        apis.build_runner(apis.load_config(config, options(work_dir=str(tmp_path))))
        assert torch.get_num_threads() == usable_cpus()
    finally:
        torch.set_num_threads(before)


def test_resuming_from_the_newest_checkpoint_continues_the_count(trained, config, tmp_path):
    runner = apis.train(config, work_dir=tmp_path, cfg_options=options(train_cfg__max_iters=2))
    assert runner.iter == 2
    runner = apis.train(config, work_dir=tmp_path, resume='auto')
    assert runner.iter == 4
    # the data order and the schedule continue too: the weights are those of the uninterrupted run
    straight, resumed = weights(Path(trained.work_dir, 'iter_4.pth')), weights(tmp_path / 'iter_4.pth')
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)


def test_resuming_from_a_path(trained, config, tmp_path):
    runner = apis.train(config, work_dir=tmp_path, resume=Path(trained.work_dir, 'iter_2.pth'))
    assert runner.iter == 4
    assert not (tmp_path / 'iter_2.pth').exists()


@pytest.mark.parametrize('resume', ['auto', 'no/such.pth'])
def test_resuming_without_a_checkpoint(config, tmp_path, resume):
    with pytest.raises(CheckpointError, match=r'nothing to resume|no checkpoint no/such\.pth to resume'):
        apis.train(config, work_dir=tmp_path / 'new', resume=resume)
    assert not (tmp_path / 'new').exists()


def test_resuming_another_network(trained, config, tmp_path):
    wider = options(model__backbone__base_channels=8, model__decode_head__in_channels=8, model__decode_head__channels=8)
    with pytest.raises(CheckpointError, match=r'is not a checkpoint of this network(.|\n)*of another shape'):
        apis.train(config, work_dir=tmp_path, resume=Path(trained.work_dir, 'iter_2.pth'), cfg_options=wider)


def test_testing_another_network(trained, config, tmp_path):
    deeper = options(model__backbone__enc_num_convs=(2, 1))
    with pytest.raises(CheckpointError, match='missing in the checkpoint'):
        apis.test(config, Path(trained.work_dir, 'iter_4.pth'), work_dir=tmp_path, cfg_options=deeper)


def test_fine_tuning_takes_what_fits_and_refuses_what_fits_nowhere(trained, config, tmp_path):
    source = weights(Path(trained.work_dir, 'iter_4.pth'))
    torch.save(
        {'state_dict': {key: value for key, value in source.items() if 'conv_seg' not in key}}, tmp_path / 'a.pth'
    )
    apis.train(config, work_dir=tmp_path / 'w', cfg_options=options(load_from=str(tmp_path / 'a.pth')))
    torch.save({'state_dict': {f'encoder.{key}': value for key, value in source.items()}}, tmp_path / 'b.pth')
    with pytest.raises(CheckpointError, match='no weight of'):
        apis.train(config, work_dir=tmp_path / 'w', cfg_options=options(load_from=str(tmp_path / 'b.pth')))
    with pytest.raises(CheckpointError, match='to start from'):
        apis.train(config, work_dir=tmp_path / 'w', cfg_options=options(load_from='nowhere.pth'))


def test_number_of_classes_is_compared_before_training(config, tmp_path):
    with pytest.raises(ConfigError, match=r'decode_head\.num_classes=5.*2 classes.*background.*EX.*num_classes=2'):
        apis.train(config, work_dir=tmp_path, cfg_options=options(model__decode_head__num_classes=5))


def test_shared_images_are_refused_unless_allowed(config, tmp_path):
    shared = options(val_dataloader__dataset__data_prefix=dict(img_path='img', seg_map_path='ann'))
    with pytest.raises(DataError, match='shared by'):
        apis.train(config, work_dir=tmp_path, cfg_options=shared)
    apis.train(config, work_dir=tmp_path, cfg_options={**shared, 'allow_shared_images': True})


def test_shared_images_of_the_test_set_are_refused_too(config, tmp_path):
    shared = options(test_dataloader__dataset__data_prefix=dict(img_path='img', seg_map_path='ann'))
    with pytest.raises(DataError, match='shared by'):
        apis.train(config, work_dir=tmp_path, cfg_options=shared)


def test_work_dir_that_cannot_be_written(config, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match=r'work dir .*file/w cannot be written.*--work-dir'):
        apis.train(config, work_dir=tmp_path / 'file' / 'w')


def test_full_disk_keeps_the_last_checkpoint(config, tmp_path, monkeypatch):
    """The third save stops half-way; with one checkpoint to keep, the second has to survive it."""
    save, calls = mmengine_runner.save_checkpoint, []

    def fail_later(checkpoint, path, **kwargs):
        calls.append(path)
        if len(calls) == 3:
            Path(path).write_bytes(b'half of a checkpoint')
            raise OSError(28, 'No space left on device')
        save(checkpoint, path, **kwargs)

    monkeypatch.setattr(mmengine_runner, 'save_checkpoint', fail_later)
    every_step = options(default_hooks__checkpoint__interval=1, default_hooks__checkpoint__max_keep_ckpts=1)
    with pytest.raises(OSError, match=r'iter_3\.pth was not written, earlier ones are kept.*No space left'):
        apis.train(config, work_dir=tmp_path, cfg_options=every_step)
    assert [path.name for path in tmp_path.iterdir() if path.suffix in ('.pth', '.partial')] == ['iter_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_2.pth')
    monkeypatch.undo()
    assert apis.train(config, work_dir=tmp_path, resume='auto', cfg_options=every_step).iter == 4
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_4.pth']


def test_best_checkpoint_replaces_the_former_best_only_when_written(config, tmp_path):
    best = options(default_hooks__checkpoint__save_best='mDice', train_cfg__val_interval=1)
    best['default_hooks.checkpoint.max_keep_ckpts'] = 1
    best['default_hooks.checkpoint.rule'] = 'greater'
    apis.train(config, work_dir=tmp_path, cfg_options=best)
    names = sorted(path.name for path in tmp_path.glob('*.pth'))
    assert len(names) == 2
    assert names[0].startswith('best_mDice_iter_')
    assert names[1] == 'iter_4.pth'


def test_killed_while_saving_at_random_moments(config, tmp_path):
    """SIGKILL again and again: whatever carries a checkpoint's name loads."""
    script = f"""
import torch
from mmseg_medical import apis
runner = apis.build_runner(apis.load_config({str(config)!r}, dict(work_dir={str(tmp_path)!r})))
runner.train_loop, runner.cfg
runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
print('ready', flush=True)
step = 0
while True:
    runner.save_checkpoint(runner.work_dir, f'iter_{{step % 3}}.pth', by_epoch=False)
    step += 1
"""
    rng = np.random.default_rng(0)
    process = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in process.stdout:
        if line.strip() == b'ready':
            break
    deadline = time.monotonic() + 20
    while not (tmp_path / 'iter_2.pth').exists() and time.monotonic() < deadline:
        os.sched_yield()
    for _ in range(25):
        # a stopped process shows the folder as a kill at this very moment would leave it
        until = time.perf_counter() + rng.uniform(0, 0.02)
        while time.perf_counter() < until:
            pass
        process.send_signal(signal.SIGSTOP)
        for path in tmp_path.glob('iter_*.pth'):
            assert torch.load(path, weights_only=False)['state_dict']
        process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    files = list(tmp_path.glob('iter_*.pth'))
    assert len(files) == 3
    for path in files:
        assert torch.load(path, weights_only=False)['state_dict']


def test_a_half_written_file_of_a_killed_run_is_removed_by_the_next(config, tmp_path):
    (tmp_path / '.iter_2.pth.partial').write_bytes(b'half')
    apis.train(config, work_dir=tmp_path)
    assert not list(tmp_path.glob('.*'))


def test_sync_bn_in_a_process_group_without_a_gpu(config, tmp_path):
    """SyncBN runs on GPUs only; the config that asks for it trains on the CPU too, and stays as it is."""
    script = f"""
from mmseg_medical import apis
options = {{'sync_bn': 'torch', 'model.backbone.norm_eval': False, 'train_cfg.max_iters': 1}}
runner = apis.train({str(config)!r}, work_dir={str(tmp_path)!r}, launcher='pytorch', cfg_options=options)
assert type(runner.model).__name__ == 'MMDistributedDataParallel' and runner.cfg.sync_bn == 'torch'
"""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = str(server.getsockname()[1])
    one = {'RANK': '0', 'LOCAL_RANK': '0', 'WORLD_SIZE': '1', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
    variables = {**os.environ, **one, 'CUDA_VISIBLE_DEVICES': '-1', 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "sync_bn = 'torch'" in (tmp_path / 'toy.py').read_text()


def test_mixed_precision_without_a_gpu(config, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    with pytest.raises(ConfigError, match='needs a GPU'):
        apis.train(config, work_dir=tmp_path, amp=True)
    with pytest.raises(ConfigError, match=r'optim_wrapper\.type is Other'):
        apis.train(config, work_dir=tmp_path, amp=True, cfg_options=options(optim_wrapper__type='Other'))
