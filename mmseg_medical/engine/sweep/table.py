"""A sweep as text and Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmseg_medical.engine.sweep.plan import Sweep
from mmseg_medical.engine.sweep.results import TrialResult, spread
from mmseg_medical.evaluation.plain_text import markdown_table, text_table
from mmseg_medical.files import atomic_write

NAME = 'sweep'


def table_rows(sweep: Sweep, results: Sequence[TrialResult]) -> tuple[list[str], list[list[str]]]:
    """Head and one row a finished trial."""
    finished = [result for result in results if result.status == 'finished']
    several = any(len(result.seeds) > 1 for result in finished)
    tested = f'test_{sweep.metric}'
    with_test = sweep.objective != 'test' and any(tested in result.metrics for result in finished)
    head = ['trial', 'values', sweep.metric, *(['std', 'seeds'] if several else [])]
    head += ['test', *(['test std'] if several else [])] if with_test else []
    rows = []
    for result in finished:
        cells = [str(result.number), result.title, _digits(result.value)]
        cells += [_digits(result.std), str(len(result.seeds))] if several else []
        if with_test:
            cells.append(_digits(result.metrics.get(tested, math.nan)))
            cells += [_digits(spread(list(result.test_seeds.values())))] if several else []
        parameters = result.metrics.get('num_params')
        cells += ['-' if parameters is None else f'{parameters:,}', _digits(result.seconds / 60, 3)]
        rows.append(cells)
    return [*head, 'parameters', 'minutes'], rows


def legend(sweep: Sweep, results: Sequence[TrialResult]) -> list[str]:
    """What the columns say, what became of the others, and what not to conclude."""
    better = 'higher' if sweep.higher else 'lower'
    source = 'of the test' if sweep.objective == 'test' else 'best of the validations of a training'
    seeds = f', mean over {len(sweep.seeds)} seeds; std: of a sample, over the seeds' if len(sweep.seeds) > 1 else ''
    lines = [f'{sweep.metric} ({better} is better): {source}{seeds}.']
    if sweep.objective != 'test':
        lines.append('test: of the checkpoint with the best validation; no trial is chosen by it.')
    counts = dict.fromkeys(('finished', 'given up', 'failed', 'running', 'waiting'), 0)
    for result in results:
        counts[result.status] += 1
    lines.append(f'{sweep.total} trials: {", ".join(f"{n} {status}" for status, n in counts.items() if n)}.')
    if (warning := _noise(sweep, results)) is not None:
        lines.append(warning)
    for result in results:
        if result.status == 'failed':
            first = result.error.splitlines()[0] if result.error else 'no reason was noted'
            lines.append(f'trial {result.number} ({result.title}) failed: {first}')
    return lines


def _noise(sweep: Sweep, results: Sequence[TrialResult]) -> str | None:
    """How far the best trials lie apart, in the spread of their seeds."""
    finished = [result for result in results if result.status == 'finished']
    if len(finished) < 2:
        return None
    if len(sweep.seeds) < 2:
        return 'One seed each: what lies between trials may be chance. Repeat the best with --seeds 0 1 2.'
    first, second = finished[:2]
    gap = abs(first.value - second.value)
    noise = math.sqrt((first.std**2 + second.std**2) / 2)
    verdict = 'less than' if gap <= noise else 'more than'
    return f'The best two differ by {_digits(gap)}, {verdict} the spread of their seeds, {_digits(noise)}.'


def sweep_text(sweep: Sweep, results: Sequence[TrialResult], width: int = 160) -> str:
    """Table for the console."""
    head, rows = table_rows(sweep, results)
    return '\n'.join([*([text_table(head, rows, width)] if rows else []), *legend(sweep, results)])


def sweep_markdown(sweep: Sweep, results: Sequence[TrialResult]) -> str:
    """Table for a page, and the ends of the logs of failed trials."""
    head, rows = table_rows(sweep, results)
    lines = [*([markdown_table(head, rows), ''] if rows else []), *(f'- {line}' for line in legend(sweep, results))]
    for result in results:
        if result.status == 'failed' and '\n' in result.error:
            lines += ['', f'Trial {result.number}:', '', '```text', result.error, '```']
    return '\n'.join(lines)


def write_tables(sweep: Sweep, results: Sequence[TrialResult]) -> list[str]:
    """Write ``sweep.txt`` and ``sweep.md`` to the work dir, each whole or not at all; their names."""
    texts = {'txt': sweep_text(sweep, results), 'md': sweep_markdown(sweep, results)}
    for suffix, text in texts.items():
        with atomic_write(sweep.work_dir / f'{NAME}.{suffix}') as file:
            file.write(f'{text}\n')
    return [f'{NAME}.{suffix}' for suffix in texts]


def _digits(value: float, digits: int = 4) -> str:
    return '-' if math.isnan(value) else f'{value:.{digits}g}'
