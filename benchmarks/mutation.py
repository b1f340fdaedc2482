"""Mutation score of the metrics' tests: how many small faults in ``evaluation/functional`` does a test notice?

Mutants come from cosmic-ray's operators (``pip install cosmic-ray``). Each lives in the memory of a forked process, where
torch and the like are imported already, and meets there the doctests and the test files of its module. Not counted are
mutants of annotations, type aliases and docstrings, duplicates, ``is`` in place of ``==`` (identity of small numbers is up
to the interpreter), and survivors that the file of results lists, with a reason, under ``equivalent``.

    python benchmarks/mutation.py --sample 40            a seeded random sample of each module; 0 takes all
    python benchmarks/mutation.py overlap --again        only what survived so far, after tests were added
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import json
import os
import random
import signal
import sys
import time
from datetime import date
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'mmseg_medical.evaluation.functional'
SOURCES, TESTS = ROOT / PACKAGE.replace('.', '/'), ROOT / 'tests/evaluation/functional'
RESULTS = ROOT / 'benchmarks/results/mutation.json'
ALIASES = {'ArrayLike', 'Pair', 'Policy', 'Pooling', 'Surface', 'Worth', '_Corner', '_Pieces'}
TIMEOUT_S = 60


def test_files(module: str) -> list[str]:
    """The test file named like a module or like its folder, or all of the test folder named like its folder."""
    names = {'probability_targets': ['brier', 'calibration', 'roc'], 'surface/surfel_table': ['surfel_table']}
    folder = module.split('/')[0]
    names |= {} if module in names or folder != 'surface' else {module: ['surface', 'surface_references']}
    files = [TESTS / f'test_{name}.py' for name in names.get(module, [folder])]
    return [str(path) for path in (files if files[0].exists() else sorted((TESTS / folder).glob('test_*.py')))]


def meaning(code: str) -> str:
    """What can change a result: no annotation, docstring, type alias, nor what only type checkers read."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        for name in {'annotation', 'returns'} & set(node._fields):
            setattr(node, name, None)
        if isinstance(getattr(node, 'body', None), list):
            node.body = [part for part in node.body if not _has_no_effect(part)]
    return ast.dump(tree)


def _has_no_effect(part: ast.stmt) -> bool:
    if isinstance(part, ast.Assign):
        return isinstance(part.targets[0], ast.Name) and part.targets[0].id in ALIASES
    if isinstance(part, ast.If):
        return 'TYPE_CHECKING' in ast.dump(part.test)
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


@cache
def mutants_of(source: str) -> list[dict[str, str]]:
    """All mutants of a module that differ in meaning, as their code and the lines before and after."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider

    provider, found, seen = OperatorProvider(), [], {meaning(source)}
    for name in provider:
        if name.startswith('Variable') or ('_Is' in name and 'Operator_Is' not in name):
            continue
        occurrence = 0
        while (code := mutate_code(source, provider[name](), occurrence)) is not None:
            occurrence += 1
            try:
                means = meaning(code)
            except SyntaxError:
                continue
            if means not in seen:
                seen.add(means)
                before, after = source.splitlines(), code.splitlines()
                for end in (0, -1):
                    while before and after and before[end] == after[end]:
                        del before[end], after[end]
                lines = {'before': ' '.join(map(str.strip, before)), 'after': ' '.join(map(str.strip, after))}
                found.append({'operator': name, **lines, 'code': code})
    return found


def outcome(module: str, code: str) -> str:
    """``'killed'``, ``'survived'`` or ``'timeouts'``: what the tests of a module, in a process of their own, say."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        status = 3
        try:
            status = _run_tests(module, code)
        finally:
            os._exit(status)
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return 'killed' if status else 'survived'
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 'timeouts'


def _run_tests(module: str, code: str) -> int:
    import numba
    import pytest

    from mmseg_medical.ops import compile as compiler

    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    if 'kernels' in module:  # the compiled code on disk is that of the file
        compiler.kernel = numba.njit(nogil=True, error_model='numpy')
    for name, loaded in list(sys.modules.items()):
        stays = 'kernels' in name and 'kernels' not in module
        is_test = str(getattr(loaded, '__file__', None)).startswith(str(TESTS))
        if is_test or (name.startswith(PACKAGE) and not stays):
            del sys.modules[name]
    mutated = f'{PACKAGE}.{module}'.replace('/', '.').removesuffix('.__init__')
    of_file = SourceFileLoader.get_code
    SourceFileLoader.get_code = lambda self, name: (
        compile(code, self.path, 'exec') if name == mutated else of_file(self, name)
    )
    importlib.import_module(mutated)  # before pytest, which would load it from its file to rewrite assertions
    paths = [*test_files(module), str(SOURCES / f'{module}.py')]
    return int(pytest.main(['-x', '-q', '-p', 'no:cacheprovider', *paths]))


def measure(module: str, mutants: list[dict[str, str]], args: argparse.Namespace, known: dict[str, Any]) -> dict[str, Any]:
    """Counts of one module; of the ``known`` ones, if there are any, only the survivors meet the tests again."""
    if outcome(module, (SOURCES / f'{module}.py').read_text()) != 'survived':
        raise SystemExit(f'{module}: the tests fail without any mutant')
    if known:
        lines = [(s['operator'], s['before'], s['after']) for s in known['survivors']]
        drawn = [m for m in mutants if (m['operator'], m['before'], m['after']) in lines]
        counts = {**known, 'killed': known['killed'] + len(lines) - len(drawn), 'survivors': []}
    else:
        drawn = random.Random(f'{args.seed} {module}').sample(mutants, min(args.sample or len(mutants), len(mutants)))
        counts = {'mutants': len(mutants), 'sampled': len(drawn), 'killed': 0, 'timeouts': 0, 'survivors': []}
    for mutant in drawn:
        result = outcome(module, mutant['code'])
        if result == 'survived':
            counts['survivors'].append({key: text for key, text in mutant.items() if key != 'code'})
        else:
            counts[result] += 1
    return counts


def summarise(modules: dict[str, Any], equivalent: list[dict[str, str]], seed: int) -> dict[str, Any]:
    """Content of the file of results; a mutant that runs out of time counts as killed."""
    listed = {(e['module'], e['before'], e['after']) for e in equivalent}
    total = dict.fromkeys(('mutants', 'sampled', 'killed', 'survived', 'timeouts', 'equivalent'), 0)
    for module, counts in modules.items():
        same = sum((module, s['before'], s['after']) in listed for s in counts['survivors'])
        counts |= {'survived': len(counts['survivors']) - same, 'equivalent': same}
        total = {key: total[key] + counts[key] for key in total}
    score = round((total['killed'] + total['timeouts']) / max(1, total['sampled'] - total['equivalent']), 4)
    head = {'tool': 'cosmic-ray', 'version': version('cosmic-ray'), 'date': date.today().isoformat(), 'seed': seed}
    return {**head, 'modules': modules, 'total': total, 'score': score, 'equivalent': equivalent}
