"""Mutation score of the metrics' tests: how many small faults in ``evaluation/functional`` does a test notice?

Mutants come from cosmic-ray's operators (``pip install cosmic-ray``). Each lives only in the memory of a forked process,
where torch and the like are imported already, and meets the test files of its module there. Not counted are mutants of
annotations, type aliases and docstrings, duplicates, ``==`` in place of ``is`` and the like (identity of small numbers
is up to the interpreter), and survivors that the file of results lists, with a reason, as equivalent.

    python benchmarks/mutation.py --sample 40            a seeded random sample of each module; 0 takes all
    python benchmarks/mutation.py --again                only what survived so far, after tests were added
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import importlib.abc
import json
import os
import random
import signal
import sys
import time
from datetime import date
from functools import cache
from importlib.metadata import version
from importlib.util import spec_from_loader
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'mmseg_medical.evaluation.functional'
SOURCES, TESTS = ROOT / PACKAGE.replace('.', '/'), ROOT / 'tests/evaluation/functional'
RESULTS = ROOT / 'benchmarks/results/mutation.json'
SURFACE = ['test_surface.py', 'test_surface_references.py']
# test files of a module, where they are not the one of its name
FILES = {
    'surface/metrics': SURFACE,
    'surface/distances': SURFACE,
    'surface/nearest': SURFACE,
    'surface/sites': SURFACE,
    'surface/kernels/elements': SURFACE,
    'surface/kernels/tree': SURFACE,
    'surface/surfel_table': ['test_surfel_table.py'],
    'probability_targets': ['test_brier.py', 'test_calibration.py', 'test_roc.py'],
}
TIMEOUT_S = 120


def test_files(module: str) -> list[str]:
    folder = module.split('/')[0]
    names = FILES.get(module) or ([f'test_{folder}.py'] if (TESTS / f'test_{folder}.py').exists() else [])
    return [str(TESTS / name) for name in names] or sorted(map(str, (TESTS / folder).glob('test_*.py')))


class Meaning(ast.NodeTransformer):
    """Leaves of a module what can change a result: no annotation, alias, docstring, nor what only type checkers read."""

    def visit_Module(self, node: ast.Module) -> Any:
        node.body = [part for part in node.body if not (_is_alias(part) or _is_for_type_checkers(part))]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_arg(self, node: ast.arg) -> Any:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _is_alias(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in ALIASES


def _is_for_type_checkers(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.dump(node.test)


ALIASES = {'ArrayLike', 'Pair', 'Policy', 'Pooling', 'Surface', 'Worth', '_Corner', '_Pieces'}


@cache
def mutants_of(source: str) -> list[dict[str, str]]:
    """All mutants of a module that differ in meaning, as their code and the lines before and after."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider

    provider, found = OperatorProvider(), []
    seen = {ast.dump(Meaning().visit(ast.parse(source)))}
    for name in provider:
        if name.startswith('Variable') or ('_Is' in name and 'Operator_Is' not in name):
            continue
        for occurrence in range(10**6):
            code = mutate_code(source, provider[name](), occurrence)
            if code is None:
                break
            try:
                meaning = ast.dump(Meaning().visit(ast.parse(code)))
            except SyntaxError:
                continue
            if meaning not in seen:
                seen.add(meaning)
                found.append({'operator': name, **changed_lines(source.splitlines(), code.splitlines()), 'code': code})
    return found


def changed_lines(old: list[str], new: list[str]) -> dict[str, str]:
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return {name: ' '.join(line.strip() for line in lines) for name, lines in (('before', old), ('after', new))}


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a module other code than its file has."""

    def __init__(self, name: str, path: Path, code: str) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, name: str, *_: Any) -> Any:
        is_package = self.path.name == '__init__.py'
        return spec_from_loader(name, self, origin=str(self.path), is_package=is_package) if name == self.name else None

    def exec_module(self, module: Any) -> None:
        module.__file__ = str(self.path)
        if self.path.name == '__init__.py':
            module.__path__ = [str(self.path.parent)]
        exec(compile(self.code, str(self.path), 'exec'), module.__dict__)  # noqa: S102


def outcome(module: str, code: str) -> str:
    """``'killed'``, ``'survived'`` or ``'timeout'``: what the tests of a module, in a process of their own, say."""
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
    return 'timeout'


def _run_tests(module: str, code: str) -> int:
    import pytest

    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    in_kernels = 'kernels' in module
    for name in [n for n in sys.modules if n.startswith(PACKAGE)]:
        if in_kernels or 'kernels' not in name:
            del sys.modules[name]
    for name, loaded in list(sys.modules.items()):
        if str(getattr(loaded, '__file__', None)).startswith(str(TESTS)):
            del sys.modules[name]
    if in_kernels:  # the compiled code on disk is that of the file
        import numba

        from mmseg_medical.ops import compile as compiler

        compiler.kernel = numba.njit(nogil=True, error_model='numpy')
    path = SOURCES / f'{module}.py'
    name = f'{PACKAGE}.{module}'.replace('/', '.').removesuffix('.__init__')
    sys.meta_path.insert(0, Loader(name, path, code))
    importlib.import_module(name)  # before pytest, which would load it from its file to rewrite assertions
    return int(pytest.main(['-x', '-q', '-p', 'no:cacheprovider', *test_files(module), str(path)]))


def measure(module: str, sample: int, seed: int, known: dict[str, Any] | None) -> dict[str, Any]:
    """Counts of one module; with ``known``, its earlier ones, only the survivors meet the tests again."""
    source = (SOURCES / f'{module}.py').read_text()
    if outcome(module, source) != 'survived':
        raise SystemExit(f'{module}: the tests fail without any mutant')
    mutants = mutants_of(source)
    if known:
        lines = [(s['operator'], s['before'], s['after']) for s in known['survivors']]
        drawn = [m for m in mutants if (m['operator'], m['before'], m['after']) in lines]
        counts = {**known, 'killed': known['killed'] + len(lines) - len(drawn), 'survivors': []}
    else:
        rng = random.Random(f'{seed} {module}')
        drawn = rng.sample(mutants, min(sample or len(mutants), len(mutants)))
        counts = {'mutants': len(mutants), 'sampled': len(drawn), 'killed': 0, 'timeouts': 0, 'survivors': []}
    for mutant in drawn:
        result = outcome(module, mutant['code'])
        if result == 'survived':
            counts['survivors'].append({key: text for key, text in mutant.items() if key != 'code'})
        else:
            counts['killed' if result == 'killed' else 'timeouts'] += 1
    return counts


def summarise(modules: dict[str, Any], equivalent: list[dict[str, str]], seed: int) -> dict[str, Any]:
    """Content of the file of results; a timeout counts as killed."""
    listed = {(e['module'], e['before'], e['after']) for e in equivalent}
    total = {'mutants': 0, 'sampled': 0, 'killed': 0, 'survived': 0, 'timeouts': 0, 'equivalent': 0}
    for module, counts in modules.items():
        same = [s for s in counts['survivors'] if (module, s['before'], s['after']) in listed]
        counts |= {'survived': len(counts['survivors']) - len(same), 'equivalent': len(same)}
        for key in total:
            total[key] += counts[key]
    score = (total['killed'] + total['timeouts']) / max(1, total['sampled'] - total['equivalent'])
    head = {'tool': 'cosmic-ray', 'version': version('cosmic-ray'), 'date': date.today().isoformat(), 'seed': seed}
    return {**head, 'modules': modules, 'total': total, 'score': round(score, 4), 'equivalent': equivalent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('modules', nargs='*', help='such as overlap or surface/metrics; all by default')
    parser.add_argument('--sample', type=int, default=40, help='mutants of each module, 0 for all')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--again', action='store_true', help='only what survived so far')
    parser.add_argument('--out', type=Path, default=RESULTS)
    args = parser.parse_args()
    os.environ |= {'OMP_NUM_THREADS': '1', 'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1'}
    import hypothesis
    import pytest

    hypothesis.settings.register_profile('mutation', derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile('mutation')
    pytest.main(['-q', '-p', 'no:cacheprovider', str(TESTS)])  # imports and compiles what all forks share
    gc.freeze()
    before = json.loads(args.out.read_text()) if args.out.exists() else {}
    modules, equivalent = before.get('modules', {}), before.get('equivalent', [])
    names = sorted(str(path.relative_to(SOURCES).with_suffix('')) for path in SOURCES.rglob('*.py'))
    for module in args.modules or names:
        known = modules.get(module) if args.again else None
        if (args.again and not (known and known['survivors'])) or not mutants_of(
            (SOURCES / f'{module}.py').read_text()
        ):
            continue
        start = time.monotonic()
        modules[module] = measure(module, args.sample, args.seed, known)
        args.out.write_text(json.dumps(summarise(modules, equivalent, args.seed), indent=1) + '\n')
        counts = modules[module]
        print(
            module, {k: counts[k] for k in counts if k != 'survivors'}, f'{time.monotonic() - start:.0f} s', flush=True
        )


if __name__ == '__main__':
    main()
