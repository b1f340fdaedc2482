"""The test pipeline of a config without what only evaluation needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dataset import Compose

from mmseg_medical.errors import ConfigError, building
from mmseg_medical.registry import TRANSFORMS

_LOADS_LABELS = re.compile(r'(.*\.)?Load\w*Annotations?')


def pipeline_steps(cfg: Config, key: str = 'pipeline') -> list[Any]:
    """Transforms that an image without labels goes through.

    Args:
        cfg (Config): The experiment.
        key (str): ``'pipeline'``, which is the config's ``predict_pipeline`` where it has one and else that of the test
            split, or ``'tta_pipeline'``. A ``predict_pipeline`` serves networks that are scored on a common spacing but
            can take any.

    Returns:
        list: Dicts; steps whose type is ``Load...Annotations`` are left out, also inside ``TestTimeAug`` and
        ``LoadSlice``.

    Raises:
        ConfigError: The config has no such pipeline.
    """
    if key == 'pipeline':
        dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
        steps = cfg.get('predict_pipeline') or dataset.get('pipeline') or cfg.get('test_pipeline')
    else:
        steps = cfg.get(key)
    if not steps:
        place = 'test_dataloader.dataset.pipeline' if key == 'pipeline' else key
        raise ConfigError(f'the config has no {place}, which says how an image is prepared')
    return _without_labels(steps)


def step_type(step: Any) -> str:
    """Name of a transform's class, without the scope of its registry."""
    return str(step.get('type')).rpartition('.')[-1] if hasattr(step, 'get') else ''


def slice_loader(steps: Sequence[Any]) -> Mapping[str, Any] | None:
    """The step that cuts volumes into slices; None of pipelines of whole images."""
    return next((step for step in steps if step_type(step) == 'LoadSlice'), None)


def input_facts(steps: Sequence[Any], model: Any) -> dict[str, Any]:
    """What the files must be like that a model segments.

    Args:
        steps (Sequence): Its pipeline, see :func:`pipeline_steps`.
        model (Any): Segmentor.

    Returns:
        dict: ``spatial_dims`` and ``channels`` of a file, and ``spacing_mm``, the list that images are resampled to
        (of slices: within them), or None.
    """
    channels, axes = getattr(getattr(model, 'backbone', None), 'in_channels', None), getattr(model, 'spatial_dims', 2)
    loader = slice_loader(steps)
    if loader is not None:
        axes, channels, steps = 3, file_channels(loader, channels), loader['pipeline']
    elif channels is None:
        channels = 3  # colours
    names = ('ResampleVolume', 'ResampleInPlane')
    spacing = next((step['spacing_mm'] for step in steps if step_type(step) in names and step.get('spacing_mm')), None)
    if isinstance(spacing, int | float):
        spacing = [spacing] * 2
    return dict(spatial_dims=axes, channels=channels, spacing_mm=None if spacing is None else list(spacing))


def file_channels(loader: Mapping[str, Any], in_channels: int | None) -> int | None:
    """Modalities of a volume of which ``LoadSlice`` makes the channels of a network; None if nobody says.

    Args:
        loader (Mapping): Config of ``LoadSlice``.
        in_channels (int | None): Of the backbone; None of one that does not tell.

    Raises:
        ConfigError: Its neighbours and copies do not make so many.
    """
    factor = (2 * loader.get('neighbours', 0) + 1) * loader.get('copies', 1)
    stated = next((s.get('num_channels') for s in loader['pipeline'] if step_type(s) == 'LoadCase'), None)
    if in_channels is None:
        return stated
    number = in_channels // factor if stated is None else stated
    if number * factor != in_channels:
        raise ConfigError(
            f'LoadSlice makes {factor} channels of each modality (neighbours, copies), the backbone takes {in_channels}'
            + ('' if stated is None else f' and LoadCase gives {stated}')
        )
    return number


def build_pipeline(steps: Sequence[Any]) -> Compose:
    """Build transforms.

    Raises:
        ConfigError: A type or an argument is wrong.
    """
    with building('test pipeline'):
        return Compose([TRANSFORMS.build(step) for step in steps])


def _without_labels(steps: Sequence[Any]) -> list[Any]:
    kept: list[Any] = []
    for step in steps:
        if isinstance(step, list | tuple):  # the alternatives of TestTimeAug
            inner = _without_labels(step)
            if inner:
                kept.append(inner)
        elif not _LOADS_LABELS.fullmatch(str(step.get('type'))):
            nested = {key: _without_labels(step[key]) for key in ('transforms', 'pipeline') if step.get(key)}
            kept.append({**step, **nested})
    return kept
