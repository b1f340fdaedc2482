"""mmengine's runner, made safe: whole checkpoints only, strict loading, processes without a GPU, checks first."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process
from mmengine.model import BaseTTAModel, is_model_wrapper, revert_sync_batchnorm
from mmengine.runner import Runner as _Runner
from torch import nn

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.engine.checkpoint import load_matching, load_strict, read_checkpoint
from mmseg_medical.engine.checks import check_classes, check_monitored, check_splits
from mmseg_medical.engine.cpu import tune as tune_cpu
from mmseg_medical.engine.distributed import init_cpu_process_group
from mmseg_medical.errors import building
from mmseg_medical.files import atomic_path
from mmseg_medical.registry import DATASETS


class Runner(_Runner):
    """Runner of mmengine with four differences, everything else is inherited.

    A checkpoint appears under its name only when it is written completely. Resuming and testing accept only a
    checkpoint of the same network. Distributed runs work on the CPU (gloo). Before the first step the classes
    of data and network are compared and the splits are checked for common images (``allow_shared_images = True`` in
    the config permits them).
    """

    _strict = False

    # what mmengine builds when training or testing starts; the rest is built with the runner
    build_train_loop = building('train_cfg or train_dataloader')(_Runner.build_train_loop)
    build_val_loop = building('val_cfg, val_dataloader or val_evaluator')(_Runner.build_val_loop)
    build_test_loop = building('test_cfg, test_dataloader or test_evaluator')(_Runner.build_test_loop)
    build_optim_wrapper = building('optim_wrapper')(_Runner.build_optim_wrapper)
    build_param_scheduler = building('param_scheduler')(_Runner.build_param_scheduler)
    _init_model_weights = building('init_cfg')(_Runner._init_model_weights)

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes and threads; without a GPU the processes talk over gloo."""
        if self.distributed and not is_distributed() and get_device() == 'cpu':
            init_cpu_process_group(self.launcher)
        tune_cpu()
        super().setup_env(env_cfg)

    def _maybe_compile(self, target: str) -> None:
        """Compile what makes features of images; a whole step, as mmengine does, stumbles over data samples."""
        options = self.cfg.get('compile')
        network: Any = self._network()
        if not options or not hasattr(network, 'extract_feat'):
            super()._maybe_compile(target)
            return
        network.extract_feat = torch.compile(network.extract_feat, **({} if options is True else options))
        self.logger.info('The network is compiled; its first steps take longer')

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training; on the CPU no device is named and SyncBN becomes BN."""
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            model = revert_sync_batchnorm(model)
            defaults = {
                'type': 'MMDistributedDataParallel',
                'device_ids': None,
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get('find_unused_parameters', False),
            }
            model_wrapper_cfg = {**defaults, **(model_wrapper_cfg or {})}
            sync_bn = self.cfg.pop(
                'sync_bn', None
            )  # for the wrapping only: the saved config is also for other machines
            try:
                return super().wrap_model(model_wrapper_cfg, model)
            finally:
                if sync_bn is not None:
                    self.cfg.sync_bn = sync_bn
        return super().wrap_model(model_wrapper_cfg, model)

    def train(self) -> nn.Module:
        """Check data against the network, then train."""
        datasets = {'train': self.train_loop.dataloader.dataset}
        if self._val_loop is not None:
            datasets['val'] = self.val_loop.dataloader.dataset
            check_monitored(self.hooks, self.val_loop.evaluator.metrics)
        if isinstance(self._test_dataloader, dict) and self._test_dataloader != self._val_dataloader:
            with suppress(DataError, FileNotFoundError):  # the test data need not be here yet
                datasets['test'] = DATASETS.build(self._test_dataloader['dataset'])
        self._check(datasets)
        return super().train()

    def val(self) -> dict:
        """Validate a checkpoint of exactly this network."""
        self._strict = True
        self._check({'val': self.val_loop.dataloader.dataset})
        return super().val()

    def test(self) -> dict:
        """Test a checkpoint of exactly this network."""
        self._strict = True
        self._check({'test': self.test_loop.dataloader.dataset})
        return super().test()

    def _check(self, datasets: dict[str, Any]) -> None:
        network = self._network()
        for name, dataset in datasets.items():
            check_classes(network, dataset, name)
        if not self.cfg.get('allow_shared_images', False):
            check_splits(datasets)

    def _network(self) -> nn.Module:
        model = self.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        return model

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = 'cpu',
        strict: bool = False,
        revise_keys: list = [('^module.', '')],  # noqa: B006  (mmengine's signature)
    ) -> dict[str, Any]:
        """Load weights; to resume or to test, the checkpoint has to fit exactly.

        For fine-tuning (``load_from``) differences are logged, as mmengine does, but something has to fit.

        Raises:
            CheckpointError: The file is unreadable or belongs to another network.
        """
        if '://' in str(filename):
            return super().load_checkpoint(filename, map_location, strict or self._exact, revise_keys)
        checkpoint = read_checkpoint(filename, map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        network = self._network()
        if strict or self._exact:
            load_strict(network, checkpoint['state_dict'], str(filename))
        else:
            load_matching(network, checkpoint['state_dict'], str(filename), self.logger)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    @property
    def _exact(self) -> bool:
        return self._strict or self._resume

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint that is under its name either complete or not at all.

        Raises:
            OSError: It could not be written (disk full, no permission); no part of it is left.
        """
        if '://' in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        if not is_main_process():
            return
        target = Path(out_dir, filename)
        try:
            with atomic_path(target, durable=True) as temporary:
                super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)
        except OSError as error:
            raise OSError(
                error.errno, f'checkpoint {target} was not written, earlier ones are kept: {error}'
            ) from error
