"""The page that a model directory brings along: what is known of the model, and what is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_medical.inference.pipelines import pipeline_steps

NOT_STATED = 'not stated'

_TEMPLATE = """# {name}

{summary}

| | |
| --- | --- |
| labels | {labels} |
| input | {channels} channel(s), {axes} axes, spacing {spacing} |
| network | {segmentor}, {parameters:,} parameters, {networks} network(s), weights in {precision} |
| training data | {training_data} |
| iterations | {iterations} |
| licence | {licence} |
| made with | mmseg_medical {version} |

## Intended use and limits

{intended_use}

Not a medical device. Images unlike the training data (other scanner, sequence, body part, age, disease) may be
segmented wrongly without any sign of it.

## Preprocessing

{preprocessing}

## Metrics

{metrics}

## Use

    python tools/predict.py IMAGE --model {folder} --out predictions

The SHA-256 of config and weights are in `model.json` and are checked whenever the model is loaded.
"""


@dataclass(frozen=True)
class CardFacts:
    """What only people know of a model.

    Attributes:
        name (str): Heading; default: the folder's.
        summary (str): One sentence.
        training_data (str): Default: data set, task and part of the config.
        licence (str): Of the weights.
        intended_use (str): What for, and what not.
        metrics (str): Markdown; see :func:`metrics_text`.
    """

    name: str = ''
    summary: str = ''
    training_data: str = ''
    licence: str = ''
    intended_use: str = ''
    metrics: str = ''


def write_card(path: Path, facts: Mapping[str, Any], cfg: Config, card: CardFacts) -> None:
    """Write ``README.md``.

    Args:
        path (Path): File to write.
        facts (Mapping): Contents of ``model.json``.
        cfg (Config): The experiment.
        card (CardFacts): The rest; what it leaves out is called not stated.
    """
    spacing = facts['spacing_mm']
    text = _TEMPLATE.format(
        name=card.name or facts['segmentor'],
        summary=card.summary or f'Description: {NOT_STATED}.',
        labels=', '.join(f'{number} {name}' for number, name in facts['labels'].items()),
        channels=facts['channels'],
        axes=facts['spatial_dims'],
        spacing=' x '.join(f'{mm:g}' for mm in spacing) + ' mm' if spacing else 'that of the file',
        segmentor=facts['segmentor'],
        parameters=facts['parameters'],
        networks=len(facts['weights']),
        precision=facts['precision'],
        training_data=card.training_data or _training_data(cfg),
        iterations=', '.join(NOT_STATED if number is None else f'{number:,}' for number in facts['iterations']),
        licence=card.licence or NOT_STATED,
        version=facts['version'],
        intended_use=card.intended_use or f'Intended use: {NOT_STATED}.',
        preprocessing='\n'.join(f'- `{_step_text(step)}`' for step in pipeline_steps(cfg)),
        metrics=card.metrics or NOT_STATED.capitalize() + '.',
        folder=card.name or 'DIR',
    )
    path.write_text(text, encoding='utf-8')


def metrics_text(path: Path) -> str:
    """Table of a ``metrics.json`` as testing and evaluation write it; '' if there is nothing to show.

    Args:
        path (Path): Its file; need not exist.
    """
    try:
        contents = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return ''
    if not isinstance(contents, dict):
        return ''
    summary = contents.get('summary')
    if not isinstance(summary, dict):  # of photographs there is one list for all classes
        summary = {'all': contents.get('metrics')}
    lines = []
    for name, metrics in summary.items():
        values = {key: _mean(value) for key, value in metrics.items()} if isinstance(metrics, dict) else {}
        lines += [f'| {name} | {key} | {value:.4g} |' for key, value in values.items() if value is not None]
    head = ['| class | metric | mean |', '| --- | --- | --- |']
    return '\n'.join(head + lines) if lines else ''


def _mean(value: Any) -> float | None:
    number = value.get('mean') if isinstance(value, dict) else value
    return float(number) if isinstance(number, int | float) and not isinstance(number, bool) else None


def _training_data(cfg: Config) -> str:
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    known = [str(dataset[key]) for key in ('type', 'task') if dataset.get(key)]
    if dataset.get('split'):
        known.append(f'part {dataset["split"]!r}')
    return f'{", ".join(known)} (licence of the data: {NOT_STATED})' if known else NOT_STATED


def _step_text(step: Mapping[str, Any]) -> str:
    options = ', '.join(f'{key}={value!r}' for key, value in step.items() if key not in ('type', 'transforms'))
    return f'{step["type"]}({options})'
