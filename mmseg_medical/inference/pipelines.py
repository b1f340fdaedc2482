"""The test pipeline of a config without what only evaluation needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
        list: Dicts; steps whose type is ``Load...Annotations`` are left out, also inside ``TestTimeAug``.

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
            nested = {'transforms': _without_labels(step['transforms'])} if step.get('transforms') else {}
            kept.append({**step, **nested})
    return kept
