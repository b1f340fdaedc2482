"""Mutation score of the metrics' tests: how many small faults in ``evaluation/functional`` do they notice?

Mutants come from cosmic-ray's operators (``pip install cosmic-ray``). Each lives in the memory of a forked process, and
meets there the doctests and the test files of its module. Not counted are mutants of annotations, type aliases and
docstrings, duplicates, ``is`` in place of ``==`` (identity of small numbers is up to the interpreter), and survivors
that the file of results lists, with a reason, under ``equivalent``.

    OMP_NUM_THREADS=1 python benchmarks/mutation.py overlap roc --sample 40
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import os
import random
import re
import signal
import sys
from datetime import date
from importlib.machinery import SourceFileLoader
from importlib.metadata import version
from pathlib import Path

import hypothesis
import numba
import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

from mmseg_medical.ops import compile as compiler

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'mmseg_medical.evaluation.functional'
SOURCES, TESTS = ROOT / PACKAGE.replace('.', '/'), ROOT / 'tests/evaluation/functional'
RESULTS = ROOT / 'benchmarks/results/mutation.json'
NO_EFFECT = re.compile(
    r'(ArrayLike|Pair|Policy|Pooling|Surface|Worth|_Corner|_Pieces) = |if (not )?TYPE_CHECKING|[\'"]'
)
KEYS = ('mutants', 'sampled', 'killed', 'survived', 'timeouts', 'equivalent')
TIMEOUT_S = 60  # of the processor's time


def test_files(module: str) -> list[str]:
    """The test files named like a module's folder, or those of the test folder of that name, or all."""
    stem = 'surfel_table' if 'surfel' in module else module.split('/')[0]
    files = sorted(TESTS.glob(f'test_{stem}*.py')) or sorted((TESTS / stem).glob('test_*.py')) or [TESTS]
    return [str(path) for path in files]


def meaning(code: str) -> str:
    """What can change a result: no annotation, docstring, type alias, nor what only type checkers read."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        for name in {'annotation', 'returns'} & set(node._fields):
            setattr(node, name, None)
        if isinstance(getattr(node, 'body', None), list):
            node.body = [part for part in node.body if not NO_EFFECT.match(ast.unparse(part))]
    return ast.dump(tree)


def mutants_of(source: str) -> list[dict[str, str]]:
    """All mutants of a module that differ in meaning, as their code and the lines before and after."""
    provider, found, seen = OperatorProvider(), [], {meaning(source)}
    for name in provider:
        if name.startswith('Variable') or ('_Is' in name and 'Operator_Is' not in name):
            continue
        for occurrence in range(sys.maxsize):
            code = mutate_code(source, provider[name](), occurrence)
            if code is None:
                break
            with contextlib.suppress(SyntaxError):
                if (means := meaning(code)) in seen:
                    continue
                seen.add(means)
                old, new = source.splitlines(), code.splitlines()
                for end in (0, -1):
                    while old and new and old[end] == new[end]:
                        del old[end], new[end]
                before, after = (' '.join(map(str.strip, lines)) for lines in (old, new))
                found.append({'operator': name, 'before': before, 'after': after, 'code': code})
    return found


def outcome(module: str, code: str) -> str:
    """``'killed'``, ``'survived'`` or ``'timeouts'``: what the tests of a module, in a process of their own, say."""
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_PROF, TIMEOUT_S)  # ends the process
        try:
            os._exit(_run_tests(module, code))
        finally:
            os._exit(3)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        return 'timeouts'
    return 'killed' if status else 'survived'


def _run_tests(module: str, code: str) -> int:
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    if 'kernels' in module:  # the compiled code on disk is that of the file
        compiler.kernel = numba.njit(nogil=True, error_model='numpy')
    for name, loaded in list(sys.modules.items()):
        stays = 'kernels' in name and 'kernels' not in module
        is_test = str(getattr(loaded, '__file__', None)).startswith(str(TESTS))
        if is_test or (name.startswith(PACKAGE) and not stays):
            del sys.modules[name]
    mutated = f'{PACKAGE}.{module}'.replace('/', '.').removesuffix('.__init__')
    read = SourceFileLoader.get_code
    SourceFileLoader.get_code = lambda f, name: compile(code, f.path, 'exec') if name == mutated else read(f, name)
    importlib.import_module(mutated)  # before pytest, which would load it from its file to rewrite assertions
    paths = [*test_files(module), str(SOURCES / f'{module}.py')]
    return int(pytest.main(['-x', '-q', '-p', 'no:cacheprovider', *paths]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('modules', nargs='*', help='such as overlap or surface/metrics; all by default')
    parser.add_argument('--sample', type=int, default=24, help='mutants of each module, 0 for all')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'
    hypothesis.settings.register_profile('mutation', derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile('mutation')
    pytest.main(['-q', '-p', 'no:cacheprovider', str(TESTS)])  # imports and compiles what all forks share
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {'modules': {}, 'equivalent': []}
    found |= dict(tool='cosmic-ray', version=version('cosmic-ray'), date=date.today().isoformat(), seed=args.seed)
    listed = {(entry['module'], entry['after']) for entry in found['equivalent']}
    for module in args.modules or sorted(str(p.relative_to(SOURCES).with_suffix('')) for p in SOURCES.rglob('*.py')):
        if mutants := mutants_of((SOURCES / f'{module}.py').read_text()):
            if outcome(module, (SOURCES / f'{module}.py').read_text()) != 'survived':
                raise SystemExit(f'{module}: the tests fail without any mutant')
            counts = dict.fromkeys(KEYS, 0) | {'mutants': len(mutants), 'survivors': []}
            size = min(args.sample or len(mutants), len(mutants))
            for mutant in random.Random(f'{args.seed} {module}').sample(mutants, size):
                result = outcome(module, mutant.pop('code'))
                if result == 'survived' and (module, mutant['after']) in listed:
                    result = 'equivalent'
                elif result == 'survived':
                    counts['survivors'].append(mutant)
                counts['sampled'] += 1
                counts[result] += 1
            found['modules'][module] = counts
            total = {key: sum(of[key] for of in found['modules'].values()) for key in KEYS}
            score = (total['killed'] + total['timeouts']) / max(1, total['sampled'] - total['equivalent'])
            RESULTS.write_text(json.dumps({**found, 'total': total, 'score': round(score, 4)}, indent=1) + '\n')
            print(module, {key: counts[key] for key in KEYS}, flush=True)


if __name__ == '__main__':
    main()
