"""A compared group as text, Markdown and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmseg_medical.engine.ablation.comparison import Ablation, Row
from mmseg_medical.evaluation.compare_files import difference_text, p_text
from mmseg_medical.evaluation.json_files import file_head, json_ready
from mmseg_medical.evaluation.plain_text import markdown_table, text_table
from mmseg_medical.files import atomic_write

FORMAT = 'mmseg_medical.ablation/1'
NAME = 'ablation'


def write_ablation(ablation: Ablation, out_dir: str | Path, facts: dict[str, Any] | None = None) -> list[Path]:
    """Write ``ablation.txt``, ``ablation.md`` and ``ablation.json``, each whole or not at all.

    Args:
        ablation (Ablation): what to write.
        out_dir (str | Path): folder, made if missing.
        facts (dict | None): further entries of the head of the JSON file.

    Returns:
        list[Path]: the files.
    """
    content = json_ready({**file_head(FORMAT), **(facts or {}), **asdict(ablation), 'legend': legend(ablation)})
    texts = {
        'txt': ablation_text(ablation),
        'md': ablation_markdown(ablation),
        'json': json.dumps(content, indent=2, allow_nan=False),
    }
    files = []
    for suffix, text in texts.items():
        files.append(Path(out_dir) / f'{NAME}.{suffix}')
        with atomic_write(files[-1]) as file:
            file.write(f'{text}\n')
    return files


def table_rows(ablation: Ablation) -> tuple[list[str], list[list[str]]]:
    """Head and one row a config."""
    seeds = any(len(row.seeds) > 1 for row in ablation.rows)
    head = ['config', ablation.metric, *(['std'] if seeds else []), 'runs']
    if ablation.by_case:
        head += ['difference', 'cases', 'Wilcoxon p', 'permutation p']
    head += ['parameters', 'GMACs', 's / image', 'peak MiB']
    return head, [_cells(row, ablation, seeds) for row in ablation.rows]


def class_rows(ablation: Ablation) -> tuple[list[str], list[list[str]]]:
    """Head and one row a config with the metric of every class; no rows where it is not measured by class."""
    names = list(dict.fromkeys(name for row in ablation.rows for name in row.classes))
    rows = [[row.name, *(_digits(row.classes.get(name, math.nan)) for name in names)] for row in ablation.rows]
    return ['config', *names], rows if names else []


def legend(ablation: Ablation) -> list[str]:
    """What the columns say, and notes."""
    unit = ', percent' if ablation.conventions.get('unit') == 'percent' else ''
    better = f'{"higher" if ablation.higher else "lower"} is better{unit}'
    if ablation.by_case:
        lines = [
            f'{ablation.metric} ({better}): mean over {ablation.num_cases} test cases of the mean over the classes '
            'defined in a case, then over the seeds; std: of a sample, over the seeds.',
            f'difference: config - {ablation.baseline} on the same cases, averaged over the seeds first '
            '[95 % bootstrap interval]. p: paired two-sided tests, adjusted by Holm over the configs tested against '
            f'{ablation.baseline}; choose one test before looking.',
        ]
    else:
        lines = [f'{ablation.metric} ({better}): as logged by the test, mean over the seeds; std: over the seeds.']
    memory = sorted({str(row.cost['memory']) for row in ablation.rows if row.cost})
    lines.append(
        'Cost of the test: GMACs of one forward pass at the size that the backbone gets, without the sampling of '
        'deformable convolutions; s / image: the forward pass of one sample, windows and views included; peak MiB: '
        f'{", ".join(memory) or "-"}.'
    )
    return lines + ablation.notes


def ablation_text(ablation: Ablation, width: int = 160) -> str:
    """Tables for the console."""
    tables = (table_rows(ablation), class_rows(ablation))
    parts = [text_table(head, rows, width) for head, rows in tables if rows]
    return '\n'.join([*parts, *legend(ablation)])


def ablation_markdown(ablation: Ablation) -> str:
    """Tables for a page."""
    lines = []
    for head, rows in (table_rows(ablation), class_rows(ablation)):
        if rows:
            lines += [markdown_table(head, rows), '']
    return '\n'.join([*lines, *(f'- {line}' for line in legend(ablation))])


def _cells(row: Row, ablation: Ablation, seeds: bool) -> list[str]:
    total = len(row.seeds) + len(row.unfinished)
    missing = ', '.join(dict.fromkeys(row.unfinished.values()))
    name = f'{row.name} (baseline)' if row.name == ablation.baseline else row.name
    cells = [name, _digits(row.mean), *([_digits(row.std)] if seeds else [])]
    cells.append(f'{len(row.seeds)}/{total}{f" {missing}" if missing else ""}')
    if ablation.by_case and row.pair is None:
        cells += ['-'] * 4
    elif ablation.by_case and row.pair is not None:
        cells += [difference_text(row.pair), str(row.pair.num_pairs)]
        cells += [p_text(row.wilcoxon_holm), p_text(row.permutation_holm)]
    cost = row.cost
    macs, seconds = cost.get('macs'), cost.get('seconds_per_image')
    cells += [f'{cost["parameters"]:,}' if cost else '-', '-' if macs is None else f'{macs / 1e9:.3g}']
    cells += ['-' if seconds is None else f'{seconds:.3g}']
    return [*cells, f'{cost["peak_memory_bytes"] / 2**20:,.0f}' if cost else '-']


def _digits(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.4g}'
