# ruff: noqa: PT028 - test() tests a network, it is no test case
"""What the tools call and what a notebook needs: configs, networks with weights, training, testing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg_medical.configs import build_model, load_config
from mmseg_medical.errors import CheckpointError, ConfigError, building

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import Runner
    from torch import nn

    from mmseg_medical.inference import Predictor

__all__ = [
    'Predictor',
    'build_dataset',
    'build_model',
    'build_runner',
    'default_work_dir',
    'init_model',
    'load_config',
    'test',
    'train',
]

# metrics that write files where `output_dir` says
_WRITING_METRICS = ('MedicalSegMetric', 'CaseSegMetric', 'NoduleSegMetric', 'SliceSegMetric', 'BalancedSliceMetric')


def __getattr__(name: str) -> Any:
    if name == 'Predictor':  # on first use: it imports torch and mmseg
        from mmseg_medical.inference import Predictor

        return Predictor
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config; its work dir is created and tried first.

    Raises:
        ConfigError: The work dir cannot be written, or a part of the config cannot be built.
    """
    from mmseg_medical.engine.checks import check_work_dir
    from mmseg_medical.engine.runner import Runner
    from mmseg_medical.registry import RUNNERS

    cfg.setdefault('work_dir', default_work_dir(cfg))
    check_work_dir(cfg.work_dir)
    with building('a part'):
        return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def default_work_dir(cfg: Config) -> str:
    """Where a run goes whose config and command line name no folder: ``work_dirs/<config name>``."""
    return str(Path('work_dirs', Path(cfg.filename).stem if cfg.filename else 'unnamed'))


def build_dataset(cfg: Config, split: str) -> Any:
    """Build the data set of the 'train', 'val' or 'test' data loader; random draws are those of ``randomness.seed``.

    Raises:
        ConfigError: The config has no such data loader, or the data set cannot be built.
    """
    from mmengine.registry import init_default_scope
    from mmengine.runner import set_random_seed

    from mmseg_medical.registry import DATASETS

    if not cfg.get(f'{split}_dataloader'):
        raise ConfigError(f'the config has no {split}_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmseg_medical'))
    set_random_seed(cfg.get('randomness', {}).get('seed') or 0)
    with building(f'{split}_dataloader.dataset'):
        return DATASETS.build(cfg[f'{split}_dataloader'].dataset)


def init_model(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str = 'cpu',
    cfg_options: dict[str, Any] | None = None,
) -> nn.Module:
    """Build the network of a config, in evaluation mode.

    Args:
        config: Config or its path.
        checkpoint: Weights to load, strictly; None initialises the network as before training.
        device: Where to put it, e.g. 'cuda:0'.
        cfg_options: See :func:`load_config`.

    Returns:
        nn.Module: The segmentor; ``model.cfg`` is the config and ``model.dataset_meta`` the checkpoint's classes.

    Raises:
        CheckpointError: The checkpoint is unreadable or belongs to another network.
    """
    from mmseg_medical.engine.checkpoint import load_strict, read_checkpoint

    cfg = load_config(config, cfg_options)
    model = build_model(cfg)
    if checkpoint is None:
        _init_quietly(model)
    else:
        contents = read_checkpoint(checkpoint)
        load_strict(model, contents['state_dict'], str(checkpoint))
        model.dataset_meta = contents.get('meta', {}).get('dataset_meta')
    model.cfg = cfg
    return model.to(device).eval()


def _init_quietly(model: nn.Module) -> None:
    """Initialise without mmengine's log line per parameter."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        with building('init_cfg'):
            model.init_weights()  # type: ignore[operator]
    finally:
        logger.setLevel(level)


def train(
    config: str | Path | Config,
    *,
    work_dir: str | Path | None = None,
    resume: str | Path | None = None,
    amp: bool = False,
    launcher: str = 'none',
    cfg_options: dict[str, Any] | None = None,
) -> Runner:
    """Train the network of a config.

    Args:
        config: Config or its path.
        work_dir: Where checkpoints and logs go; default: the config's, else ``work_dirs/<config name>``.
        resume: 'auto' continues from the newest checkpoint of the work dir, a path from that checkpoint.
        amp: Mixed precision; its type is ``optim_wrapper.dtype`` ('float16' or 'bfloat16').
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        cfg_options: See :func:`load_config`.

    Returns:
        Runner: After training; ``runner.model`` is the network, ``runner.work_dir`` the folder.

    Raises:
        ConfigError: The config cannot be used.
        CheckpointError: There is nothing to resume, or it is another network's.
    """
    from mmengine.device import get_device

    from mmseg_medical.engine.checkpoint import find_resumable

    cfg = load_config(config, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or default_work_dir(cfg))
    if amp:
        _use_amp(cfg)
    if cfg.optim_wrapper.get('type') == 'AmpOptimWrapper' and get_device() == 'cpu':
        raise ConfigError(
            'mixed precision (AmpOptimWrapper, --amp) needs a GPU, and torch sees none. On the CPU bfloat16 works: '
            'optim_wrapper.type=BFloat16OptimWrapper'
        )
    if resume is not None:
        cfg.resume = True
        cfg.load_from = str(find_resumable(cfg.work_dir) if str(resume) == 'auto' else resume)
    if cfg.get('load_from') and '://' not in cfg.load_from and not Path(cfg.load_from).is_file():
        raise CheckpointError(f'no checkpoint {cfg.load_from} to {"resume" if cfg.get("resume") else "start"} from')
    runner = build_runner(cfg)
    runner.train()
    return runner


def _use_amp(cfg: Config) -> None:
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind == 'AmpOptimWrapper':
        return
    if kind != 'OptimWrapper':
        raise ConfigError(f'--amp turns OptimWrapper into AmpOptimWrapper, but optim_wrapper.type is {kind}')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def test(
    config: str | Path | Config,
    checkpoint: str | Path,
    *,
    work_dir: str | Path | None = None,
    out: str | Path | None = None,
    show_dir: str | Path | None = None,
    tta: bool = False,
    launcher: str = 'none',
    cfg_options: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Test a checkpoint on the test split of a config.

    Args:
        config: Config or its path.
        checkpoint: Weights; they have to fit the network exactly.
        work_dir: Where the log goes; default: the training's work dir, subfolder ``test``.
        out: Folder for predictions, ``metrics.json``, ``per_image.csv`` and ``report.html``; without it the numbers
            and the report go to ``work_dir`` and no prediction is written.
        show_dir: Folder for overlays of prediction and truth.
        tta: Average over the views of ``tta_pipeline``, or of volumes over those of ``tta_cfg``.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        cfg_options: See :func:`load_config`.

    Returns:
        dict: Metric name to value.
    """
    cfg = load_config(config, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or Path(cfg.get('work_dir') or default_work_dir(cfg), 'test'))
    if not Path(checkpoint).is_file():
        raise CheckpointError(f'no checkpoint file {checkpoint}.{_similar_checkpoints(Path(checkpoint))}')
    cfg.load_from, cfg.resume = str(checkpoint), False
    if tta:
        _use_tta(cfg)
    _direct_output(cfg, out, show_dir)
    return build_runner(cfg).test()


def _similar_checkpoints(path: Path) -> str:
    there = sorted(file.name for file in path.parent.glob('*.pth')) if path.parent.is_dir() else []
    return f' In that folder: {", ".join(there[-5:])}' if there else ''


def _use_tta(cfg: Config) -> None:
    if 'tta_cfg' in cfg:  # a segmentor that averages views by itself
        cfg.model.test_cfg = {**cfg.model.get('test_cfg', {}), **cfg.tta_cfg}
        return
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise ConfigError(f'--tta needs {" and ".join(missing)} in the config (volumes: tta_cfg)')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = {**cfg.tta_model, 'module': cfg.model}


def _direct_output(cfg: Config, out: str | Path | None, show_dir: str | Path | None) -> None:
    """Tell the metric and the report hook where to write, and have the predictions written."""
    folder = str(out or cfg.work_dir)
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    writers = [evaluator for evaluator in evaluators if evaluator.get('type') in _WRITING_METRICS]
    for evaluator in writers:
        if out is not None or evaluator.get('output_dir') is None:
            # several of them have a folder each: their files have the same names
            evaluator.output_dir = folder if len(writers) == 1 else str(Path(folder, evaluator.type))
    hooks = list(cfg.get('custom_hooks') or [])
    given: dict[str, Any] = next((hook for hook in hooks if hook.get('type') == 'SegReportHook'), {})
    hooks = [hook for hook in hooks if hook is not given]
    report = {'type': 'SegReportHook', 'output_dir': folder, **given}
    if out is not None:
        report['output_dir'] = folder
    if show_dir is not None:
        report['show_dir'] = str(show_dir)
    hooks.append(report)
    if out is not None:
        hooks.append({'type': 'PredictionHook', 'out_dir': str(Path(out, 'predictions'))})
    cfg.custom_hooks = hooks
