from __future__ import annotations

import sys

import pytest
import torch
import toy
from torch import nn

from mmseg_medical import apis
from mmseg_medical.errors import CheckpointError, ConfigError


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return toy.write(tmp_path_factory.mktemp('toy'))


def test_load_config_merges_options(config):
    cfg = apis.load_config(config, {'train_dataloader.batch_size': 7, 'param_scheduler.0.power': 2, 'model.extra': 1})
    assert (cfg.train_dataloader.batch_size, cfg.param_scheduler[0].power, cfg.model.extra) == (7, 2, 1)
    assert apis.load_config(cfg, {'train_dataloader.batch_size': 8}).train_dataloader.batch_size == 8
    assert cfg.train_dataloader.batch_size == 7


def test_data_root_reaches_every_data_set():
    cfg = apis.load_config('configs/hacdr/idrid.py', {'data_root': '/my data/IDRiD'})
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == '/my data/IDRiD'


def test_a_data_root_that_no_data_set_has_is_refused(tmp_path):
    (tmp_path / 'clinic.py').write_text(
        "data_root = 'data/IDRiD'\n"
        "train_dataloader = dict(dataset=dict(type='A', data_root='data/clinic'))\n"
        "test_dataloader = dict(dataset=dict(type='Concat', datasets=[dict(data_root='data/b'), dict(type='A')]))\n"
    )
    own = r'train_dataloader\.dataset\.data_root=\.\.\. test_dataloader\.dataset\.datasets\.0\.data_root=\.\.\.'
    with pytest.raises(ConfigError, match=f"would change nothing.*'data/IDRiD'.*{own}"):
        apis.load_config(tmp_path / 'clinic.py', {'data_root': '/elsewhere'})
    keys = {'train_dataloader.dataset.data_root': '/elsewhere'}
    assert apis.load_config(tmp_path / 'clinic.py', keys).train_dataloader.dataset.data_root == '/elsewhere'


@pytest.mark.parametrize('where', ['.', 'configs'])
def test_own_modules_beside_the_config_or_in_the_current_folder(tmp_path, monkeypatch, where):
    monkeypatch.setattr(sys, 'path', [path for path in sys.path if path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').mkdir()
    module = f'own_{len(where)}'
    (tmp_path / where / f'{module}.py').write_text('loaded = True')
    (tmp_path / 'configs' / 'a.py').write_text(f'custom_imports = dict(imports=[{module!r}])')
    apis.load_config('configs/a.py')
    assert sys.modules.pop(module).loaded


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'optim_wraper.optimizer.lr': 1}, r"no key 'optim_wraper'.* Did you mean optim_wrapper\?"),
        ({'model.decode_hed.num_classes': 1}, r"model has no key 'decode_hed'.* Did you mean decode_head\?"),
        ({'param_scheduler.3.power': 1}, 'param_scheduler is a list with the indices 0 to 0'),
        ({'train_cfg.max_iters.x': 1}, 'train_cfg.max_iters is 4, which has no keys'),
        ({'train_cfg.max_iters': 'many'}, r'max_iters=many: a number is expected, as in the config \(4\)'),
        ({'model.backbone.norm_eval': 'yes'}, 'True or False is expected'),
        ({'pipeline': []}, "'pipeline' is a variable inside the config file"),
    ],
)
def test_options_that_would_do_nothing_or_fail_late(config, options, message):
    with pytest.raises(ConfigError, match=message):
        apis.load_config(config, options)


def test_a_key_that_the_runner_knows_may_be_new(config):
    assert apis.load_config(config, {'sync_bn': 'torch', 'model_wrapper_cfg.bucket_cap_mb': 1}).sync_bn == 'torch'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('a = (', 'cannot be read'),
        ("_base_ = './missing.py'", 'inherits from a file that does not exist'),
        ('1 / 0', 'ZeroDiv'),
    ],
)
def test_broken_config_files(tmp_path, content, message):
    (tmp_path / 'a.py').write_text(content)
    with pytest.raises(ConfigError, match=message):
        apis.load_config(tmp_path / 'a.py')


def test_missing_config_file_names_near_ones():
    with pytest.raises(
        ConfigError, match=r'no config file configs/hacdr/idird\.py\. Did you mean .*configs/hacdr/idrid\.py'
    ):
        apis.load_config('configs/hacdr/idird.py')
    with pytest.raises(ConfigError, match=r'Did you mean configs/hacdr/idrid\.py\?'):
        apis.load_config('configs/idrid.py')


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'model.backbone.type': 'UNett'}, 'UNett.* Did you mean UNet'),
        ({'optim_wrapper.optimizer.type': 'AdamV'}, 'AdamV.* Did you mean Adam'),
        ({'train_dataloader.dataset.type': 'BaseSegDatase'}, 'Did you mean BaseSegDataset'),
        ({'train_dataloader.dataset.pipeline.1.type': 'LoadAnotations'}, 'Did you mean LoadAnnotations'),
        ({'train_cfg.type': 'IterBasedTrainLop'}, 'Did you mean IterBasedTrainLoop'),
        ({'param_scheduler.0.type': 'PolyLr'}, 'Did you mean .*PolyLR'),
        ({'val_evaluator.type': 'IoUMetrics'}, 'Did you mean IoUMetric'),
        ({'default_hooks.checkpoint.type': 'ChekpointHook'}, 'Did you mean CheckpointHook'),
    ],
)
def test_unknown_types_list_near_matches(config, tmp_path, option, message):
    with pytest.raises(ConfigError, match=message):
        apis.train(config, work_dir=tmp_path, cfg_options=option)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'model.backbone.depth': 3}, r"UNet.*unexpected keyword argument 'depth'"),
        ({'model.backbone.strides': (1, 1, 1)}, 'strides'),
        ({'optim_wrapper.optimizer.speed': 3}, r"^optim_wrapper of the config.*argument 'speed'"),
        ({'param_scheduler.0.powr': 3}, r"^param_scheduler of the config.*argument 'powr'"),
        ({'train_dataloader.dataset.prefix': 3}, r"^train_cfg or train_dataloader of the config.*argument 'prefix'"),
        ({'default_hooks.logger.every': 3}, r"LoggerHook.*argument 'every'"),
        ({'train_cfg.val_interval': None, 'train_cfg.max_iter': 3}, r"argument 'max_iter'"),
    ],
)
def test_arguments_that_a_class_refuses(config, tmp_path, option, message):
    with pytest.raises(ConfigError, match=message):
        apis.train(config, work_dir=tmp_path, cfg_options=option)


def test_a_fault_while_training_is_no_error_of_the_config(config, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.IterBasedTrainLoop.run', lambda self: {}['fault'])
    with pytest.raises(KeyError, match='fault'):
        apis.train(config, work_dir=tmp_path)


def test_init_model_without_and_with_weights(config, tmp_path):
    model = apis.init_model(config)
    assert isinstance(model, nn.Module)
    assert not model.training
    torch.save(
        {'state_dict': model.state_dict(), 'meta': {'dataset_meta': {'classes': ('a', 'b')}}}, tmp_path / 'a.pth'
    )
    again = apis.init_model(config, tmp_path / 'a.pth')
    assert again.dataset_meta == {'classes': ('a', 'b')}
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    inputs = torch.rand(1, 3, 24, 32)
    assert torch.equal(model(inputs, mode='tensor'), again(inputs, mode='tensor'))


def test_init_model_is_strict(config, tmp_path):
    torch.save(apis.init_model(config).state_dict(), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='num_classes'):
        apis.init_model(config, tmp_path / 'a.pth', cfg_options={'model.decode_head.num_classes': 5})


def test_no_such_data_loader(config):
    cfg = apis.load_config(config)
    cfg.val_dataloader = None
    with pytest.raises(ConfigError, match='no val_dataloader'):
        apis.build_dataset(cfg, 'val')


def test_tta_needs_its_config(config, tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'x')
    with pytest.raises(ConfigError, match='tta_model and tta_pipeline'):
        apis.test(config, tmp_path / 'a.pth', work_dir=tmp_path, tta=True)
