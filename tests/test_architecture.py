"""Imports point one way: tools -> apis -> inference, engine, visualization -> datasets, models, evaluation -> core."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'mmseg_medical'

# A part may import from its own level and from lower ones. What a level holds may not know what stands above it.
LEVELS = [
    {'', 'errors', 'files', 'optional', 'processes', 'ops', 'geometry'},
    {'registry', 'structures', 'configs'},
    {'datasets', 'models', 'evaluation'},
    {'inference', 'engine', 'visualization'},
    {'apis'},
    {'cli'},
]
LEVEL = {part: number for number, parts in enumerate(LEVELS) for part in parts}
FRAMEWORKS = {'mmengine', 'mmcv', 'mmseg', 'mmpretrain'}
OPTIONAL = {
    'wandb',
    'mlflow',
    'tensorboard',
    'nibabel',
    'SimpleITK',
    'blosc2',
    'pydicom',
    'safetensors',
    'torchio',
    'zarr',
    'numba',
    'llvmlite',
    'triton',
    'edt',
    'cc3d',
}
OPTIONAL |= {
    'mmpretrain',
    'timm',
    'torchvision',
    'optuna',
    'ray',
    'pyvista',
    'pylidc',
    'onnx',
    'onnxruntime',
    'onnxscript',
    'sklearn',
    'monai',
    'surface_distance',
}


KERNELS = (
    'mmseg_medical.ops.compile',
    'mmseg_medical.ops.simd',
    'mmseg_medical.ops.deform_conv.cpu',
    'mmseg_medical.ops.deform_conv.triton_kernels',
    'mmseg_medical.evaluation.functional.surface.kernels',
)


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names that a file imports; ``from a import b`` counts as ``a.b``, relative ones are made absolute."""
    tree = ast.parse(path.read_text())
    nodes = _eager_nodes(tree) if top_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                package = path.relative_to(ROOT).parent.parts[: len(path.relative_to(ROOT).parts) - node.level]
                base = '.'.join([*package, base] if base else package)
            found |= {f'{base}.{alias.name}' for alias in node.names}
    return found


def _eager_nodes(tree: ast.AST) -> list[ast.AST]:
    """Nodes that run at import: nothing inside functions or ``if TYPE_CHECKING``."""
    nodes, queue = [], [tree]
    while queue:
        node = queue.pop()
        nodes.append(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
            continue
        queue += list(ast.iter_child_nodes(node))
    return nodes


def part_of(dotted: str) -> str | None:
    """'mmseg_medical.ops.x' -> 'ops'; '' is the package itself; None is not ours."""
    names = dotted.split('.')
    if names[0] != 'mmseg_medical':
        return None
    return names[1] if len(names) > 1 and names[1] in known_parts() else ''


def known_parts() -> set[str]:
    return {path.stem for path in PACKAGE.iterdir() if path.suffix == '.py' or (path / '__init__.py').exists()}


def modules(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.rglob('*.py'))


def test_every_part_has_a_level():
    assert known_parts() - {'__init__'} <= set(LEVEL)


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_arrow_runs_backwards(path: Path):
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    own = '' if parts[0] == '__init__' else parts[0]
    for name in imports(path):
        other = part_of(name)
        if other is not None and other != own:
            assert LEVEL[other] <= LEVEL[own], f'{path} ({own}) imports {name} ({other}), which stands above it'


@pytest.mark.parametrize('folder', ['ops', 'geometry', 'evaluation/functional', 'files.py', 'optional.py'])
def test_pure_core_knows_no_framework(folder: str):
    for path in [PACKAGE / folder] if folder.endswith('.py') else modules(PACKAGE / folder):
        foreign = {name for name in imports(path) if name.split('.')[0] in FRAMEWORKS}
        if path.name == 'mmcv_backend.py':  # the one back end that is mmcv's operator
            foreign = {name for name in foreign if not name.startswith('mmcv')}
        assert not foreign, f'{path} imports {foreign}'
        assert not any('registry' in name for name in imports(path)), path


def test_layers_know_no_registry():
    for path in modules(PACKAGE / 'models' / 'layers'):
        assert not any('registry' in name for name in imports(path)), path


def is_kernel(dotted: str) -> bool:
    """Kernels are functions of an optional compiler, so their modules import it; nobody imports these eagerly."""
    return dotted.startswith(KERNELS)


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_optional_packages_are_imported_where_they_are_used(path: Path):
    dotted = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
    eager = imports(path, top_level_only=True)
    if is_kernel(dotted):
        assert not {name.split('.')[0] for name in eager} & (OPTIONAL - {'numba', 'llvmlite', 'triton'})
    else:
        assert not {name.split('.')[0] for name in eager} & OPTIONAL
        assert not [name for name in eager if is_kernel(name)], path


def test_package_never_imports_tools_configs_or_tests():
    for path in modules():
        assert not any(name.split('.')[0] in {'tools', 'tests', 'configs', 'benchmarks'} for name in imports(path)), (
            path
        )


def test_a_backward_arrow_would_be_found(tmp_path, monkeypatch):
    package = tmp_path / 'mmseg_medical' / 'ops'
    package.mkdir(parents=True)
    bad = package / 'bad.py'
    bad.write_text('def f():\n    from ..engine import CheckpointHook\n')
    monkeypatch.setattr('test_architecture.ROOT', tmp_path)
    assert imports(bad) == {'mmseg_medical.engine.CheckpointHook'}
    assert LEVEL[part_of('mmseg_medical.engine.CheckpointHook')] > LEVEL['ops']
