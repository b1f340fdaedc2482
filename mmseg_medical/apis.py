# ruff: noqa: PT028 - test() tests a network, it is no test case
"""What the tools call and what a notebook needs: configs, networks with weights, training, testing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg_medical.errors import CheckpointError, ConfigError, building, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmengine.config import Config
    from mmengine.runner import Runner
    from torch import nn

# metrics that write files where `output_dir` says
_WRITING_METRICS = ('MedicalSegMetric', 'CaseSegMetric', 'SliceSegMetric')

# keys of a config that the runner reads besides its constructor's arguments, and mmengine's own
_EXTRA_KEYS = {
    *('activation_checkpointing', 'allow_shared_images', 'compile', 'custom_imports', 'efficient_conv_bn_eval'),
    *('find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_cfg', 'tta_model', 'tta_pipeline'),
}


def load_config(config: str | Path | Config, cfg_options: dict[str, Any] | None = None) -> Config:
    """Read a config file and change what ``cfg_options`` names.

    Modules that its ``custom_imports`` names are found in the current folder and in the file's own, after those
    installed; both stay on ``sys.path``, for what these modules import later and in data workers.

    Args:
        config: Path of a config file; a loaded config is copied.
        cfg_options: Dotted key to value, e.g. ``{'train_dataloader.batch_size': 2}``.

    Returns:
        Config: The whole experiment.

    Raises:
        ConfigError: The file or one it inherits from is missing or is not valid Python, or an option names a
            place that no config has.
    """
    import copy
    import sys

    from mmengine.config import Config

    if isinstance(config, Config):
        cfg = copy.deepcopy(config)
    else:
        path = Path(config)
        if not path.is_file():
            raise ConfigError(f'no config file {path}.{_similar_files(path)}')
        sys.path += [folder for folder in (str(Path.cwd()), str(path.parent.absolute())) if folder not in sys.path]
        try:
            cfg = Config.fromfile(path)
        except FileNotFoundError as error:
            raise ConfigError(f'config {path} inherits from a file that does not exist: {error}') from error
        except Exception as error:
            raise ConfigError(f'config {path} cannot be read: {type(error).__name__}: {error}') from error
    options = cfg_options or {}
    for key, value in options.items():
        _check_option(cfg, key, value)
    try:
        if 'data_root' in options:
            _change_data_root(cfg, options['data_root'])
        cfg.merge_from_dict(options)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ConfigError(f'--cfg-options {options} cannot be merged into the config: {error}') from error
    return cfg


def _similar_files(path: Path) -> str:
    root = Path('configs') if Path('configs').is_dir() else path.parent
    files = {file.name: file for file in root.rglob('*.py') if '_base_' not in file.parts} if root.is_dir() else {}
    if path.name in files:
        return f' Did you mean {files[path.name]}?'
    return did_you_mean(str(path), map(str, files.values()))


def _change_data_root(cfg: Config, new: str) -> None:
    """Give the data sets of a config another root, which the file names once as a variable."""
    old, places = cfg.data_root, dict(_data_roots(cfg._cfg_dict))
    if old not in (node['data_root'] for node in places.values()):
        own = ' '.join(f'{place}=...' for place in places) or 'none has one'
        raise ConfigError(
            f'--cfg-options data_root={new} would change nothing: no data set of the config has its '
            f'data_root {old!r}. Set those of the data sets: {own}'
        )
    for node in places.values():
        if node['data_root'] == old:
            node['data_root'] = new


def _data_roots(node: Any, place: str = '') -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of all data roots below the top level, and the dicts that hold them."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, (dict, list)):
            yield from _data_roots(value, f'{place}{key}.')
        elif key == 'data_root' and place:
            yield f'{place}{key}', node


def _check_option(cfg: Config, key: str, value: Any) -> None:
    """Refuse a path that leads nowhere (mmengine would create it and nobody read it), or a word for a number."""
    import inspect

    from mmengine.runner import Runner

    first, *rest = key.split('.')
    read = (set(inspect.signature(Runner.__init__).parameters) | _EXTRA_KEYS) - {'self', 'cfg'}
    if first not in read and first not in cfg:
        raise ConfigError(f'--cfg-options {key}: no key {first!r} in the config.{did_you_mean(first, read | set(cfg))}')
    if first not in read and key != 'data_root':
        raise ConfigError(
            f'--cfg-options {key}: {first!r} is a variable inside the config file, it has done its work when the file '
            f'is read. Change the places where it is used (tools/print_config.py shows them) or inherit from the config'
        )
    node: Any = cfg.get(first)
    seen = first
    for position, name in enumerate(rest):
        last = position == len(rest) - 1
        if isinstance(node, (list, tuple)):
            if not (name.isdigit() and int(name) < len(node)):
                raise ConfigError(f'--cfg-options {key}: {seen} is a list with the indices 0 to {len(node) - 1}')
            node = node[int(name)]
        elif isinstance(node, dict) and (name in node or last):
            node = node.get(name)
        elif isinstance(node, dict):
            raise ConfigError(f'--cfg-options {key}: {seen} has no key {name!r}.{did_you_mean(name, node)}')
        elif node is not None or first in cfg:
            raise ConfigError(f'--cfg-options {key}: {seen} is {node!r}, which has no keys')
        seen = f'{seen}.{name}'
    if isinstance(node, (int, float)) and isinstance(value, str):
        kind = 'True or False' if isinstance(node, bool) else 'a number'
        raise ConfigError(f'--cfg-options {key}={value}: {kind} is expected, as in the config ({node})')


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


def build_model(cfg: Config) -> nn.Module:
    """Build the network of a config, weights as the modules' constructors leave them.

    Raises:
        ConfigError: A type or an argument is wrong.
    """
    from mmengine.registry import init_default_scope

    from mmseg_medical.registry import MODELS

    init_default_scope(cfg.get('default_scope', 'mmseg_medical'))
    with building('model'):
        return MODELS.build(cfg.model)


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
