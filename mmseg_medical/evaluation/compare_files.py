"""A comparison as files and as a table of the console."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmseg_medical.evaluation.compare import Comparison
from mmseg_medical.evaluation.functional.statistics import PairComparison, RankTable, RunComparison, RunSpread
from mmseg_medical.evaluation.json_files import file_head, json_ready
from mmseg_medical.evaluation.plain_text import plain_text
from mmseg_medical.evaluation.table import csv_cell, headline_metrics
from mmseg_medical.files import atomic_write

FORMAT = 'mmseg_medical.comparison/1'
COMPARISON_FILE = 'comparison.json'
PAIRS_FILE = 'comparison.csv'
CASES_FILE = 'cases.csv'


def write_comparison(
    comparison: Comparison,
    out_dir: str | Path,
    failures: Mapping[str, Mapping[str, str]] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write ``comparison.json``, ``comparison.csv`` and ``cases.csv``, each whole or not at all.

    Args:
        comparison (Comparison): what to write.
        out_dir (str | Path): folder, made if missing.
        failures (Mapping | None): method -> case -> why it could not be evaluated.
        facts (Mapping[str, Any] | None): further entries of the head of the JSON file, such as the folders.

    Returns:
        list[Path]: the files.
    """
    files = [Path(out_dir) / name for name in (COMPARISON_FILE, PAIRS_FILE, CASES_FILE)]
    content = {
        **file_head(FORMAT),
        **(facts or {}),
        **comparison_content(comparison),
        'failures': {method: dict(cases) for method, cases in (failures or {}).items()},
    }
    with atomic_write(files[0]) as file:
        json.dump(content, file, indent=2, allow_nan=False)
        file.write('\n')
    for path, rows in zip(files[1:], (pair_rows(comparison), case_rows(comparison)), strict=True):
        with atomic_write(path) as file:
            csv.writer(file, lineterminator='\n').writerows(rows)
    return files


def comparison_content(comparison: Comparison) -> dict[str, Any]:
    """Content of ``comparison.json``: undefined numbers are None, infinite ones the texts ``inf`` and ``-inf``."""
    return json_ready(
        {
            'conventions': {**comparison.table.conventions, **comparison.conventions()},
            'methods': list(comparison.methods),
            'classes': list(comparison.table.classes),
            'metrics': list(comparison.table.metrics),
            'cases': list(comparison.table.case_ids),
            'summary': {name: table.summary() for name, table in comparison.tables.items()},
            'pairs': _pairs(comparison.pairs),
            'ranks': {
                name: {metric: _ranks(ranks) for metric, ranks in metrics.items()}
                for name, metrics in comparison.ranks.items()
            },
            'runs': _pairs(comparison.runs),
        }
    )


def _pairs(found: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Class -> metric -> entries of all pairs of methods."""
    return {
        name: {metric: [asdict(pair) for pair in pairs] for metric, pairs in metrics.items()}
        for name, metrics in found.items()
    }


def _ranks(ranks: RankTable) -> dict[str, Any]:
    return {
        'mean_rank': dict(zip(ranks.methods, ranks.mean_rank.tolist(), strict=True)),
        'wins': dict(zip(ranks.methods, ranks.wins.tolist(), strict=True)),
        **{key: getattr(ranks, key) for key in ('num_cases', 'num_ties', 'num_left_out')},
    }


def pair_rows(comparison: Comparison) -> list[list[str]]:
    """Rows of ``comparison.csv``: one a class, metric and pair, a head first; undefined numbers are empty.

    Where a method has several runs, the last two columns are of Welch's test over runs.
    """
    head = ['class', 'metric', 'first', 'second', 'num_pairs', 'num_left_out', 'mean_difference', 'ci_low', 'ci_high']
    head += ['better', 'wilcoxon_p', 'wilcoxon_p_holm', 'permutation_p', 'permutation_p_holm']
    rows = [[*head, 'welch_p', 'welch_p_holm'] if comparison.runs else head]
    for name, metrics in comparison.pairs.items():
        for metric, pairs in metrics.items():
            of_runs = comparison.runs[name][metric] if comparison.runs else ()
            for number, pair in enumerate(pairs):
                rows.append(
                    [
                        *(name, metric, pair.first, pair.second, str(pair.num_pairs), str(pair.num_left_out)),
                        *map(csv_cell, (pair.mean_difference, pair.interval.low, pair.interval.high)),
                        pair.better or '',
                        *map(csv_cell, _p_values(pair)),
                        *(csv_cell(p) for run in of_runs[number : number + 1] for p in (run.p_value, run.holm)),
                    ]
                )
    return rows


def _p_values(pair: PairComparison) -> tuple[float, float, float, float]:
    return pair.wilcoxon.p_value, pair.wilcoxon_holm, pair.permutation.p_value, pair.permutation_holm


def case_rows(comparison: Comparison) -> list[list[str]]:
    """Rows of ``cases.csv``: those of each method's own table below each other, with its name before them."""
    rows = [['method', *comparison.table.rows()[0]]]
    for name, table in comparison.tables.items():
        rows += [[name, *row] for row in table.rows()[1:]]
    return rows


def comparison_text(comparison: Comparison, width: int = 150) -> str:
    """The headline metrics as text, one row a class, metric and pair of methods, for the console."""
    from rich import box
    from rich.table import Table

    caption = (
        f'{len(comparison.table.case_ids)} cases. Mean difference first - second [95 % bootstrap interval]; '
        'p values of paired tests, adjusted by Holm over the pairs of methods.'
    )
    text = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify='left')
    for head in ('class', 'metric', 'first', 'second', 'better'):
        text.add_column(head, no_wrap=True, overflow='ellipsis', max_width=18)
    for head in ('difference', 'cases', 'left out', 'Wilcoxon p', 'permutation p'):
        text.add_column(head, justify='right', no_wrap=True)
    for name in comparison.table.classes:
        for metric in headline_metrics(comparison.metrics):
            for pair in comparison.pairs[name][metric]:
                text.add_row(
                    *(name, metric, pair.first, pair.second, pair.better or '-'),
                    *(difference_text(pair), str(pair.num_pairs), str(pair.num_left_out)),
                    *map(p_text, (pair.wilcoxon_holm, pair.permutation_holm)),
                )
        text.add_section()
    return plain_text(text, width) + (_runs_text(comparison, width) if comparison.runs else '')


def _runs_text(comparison: Comparison, width: int) -> str:
    from rich import box
    from rich.table import Table

    caption = "Mean over the runs ± standard deviation (runs); p values of Welch's test over runs, adjusted by Holm."
    text = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify='left')
    for head in RUN_HEADS:
        text.add_column(head, no_wrap=True, overflow='ellipsis', max_width=22)
    for row in run_rows(comparison, headline_metrics(comparison.metrics)):
        text.add_row(*row)
    return plain_text(text, width)


#: columns of :func:`run_rows`
RUN_HEADS = ('class', 'metric', 'first', 'its runs', 'second', 'its runs', 'Welch p')


def run_rows(comparison: Comparison, metrics: Iterable[str]) -> list[list[str]]:
    """Cells of the table of runs: one row a class, metric and pair of methods, columns :data:`RUN_HEADS`."""
    return [
        [name, metric, *_run_cells(pair)]
        for name, of_metric in comparison.runs.items()
        for metric in metrics
        for pair in of_metric[metric]
    ]


def _run_cells(pair: RunComparison) -> list[str]:
    return [
        *(pair.first, _spread_text(pair.first_runs)),
        *(pair.second, _spread_text(pair.second_runs)),
        p_text(pair.holm),
    ]


def _spread_text(runs: RunSpread) -> str:
    spread = '' if math.isnan(runs.std) else f' ± {runs.std:.2g}'
    return '-' if math.isnan(runs.mean) else f'{runs.mean:.4g}{spread} ({runs.num_runs})'


def difference_text(pair: PairComparison) -> str:
    """``+0.0123 [+0.0021, +0.0225]``; ``-`` where there is no mean difference, no interval where there is none."""
    if math.isnan(pair.mean_difference):
        return '-'
    text, low, high = (f'{v:+.3g}' for v in (pair.mean_difference, pair.interval.low, pair.interval.high))
    return text if math.isnan(pair.interval.low) else f'{text} [{low}, {high}]'


def p_text(p_value: float) -> str:
    """Three decimals, ``< 0.001`` below them, ``-`` where undefined."""
    if math.isnan(p_value):
        return '-'
    return '< 0.001' if p_value < 0.001 else f'{p_value:.3f}'
