from __future__ import annotations

from pathlib import Path

import pytest
import sweep_cases as cases

from mmseg_medical.engine.sweep.checks import check_space
from mmseg_medical.engine.sweep.parameter import Range, parse_parameter
from mmseg_medical.engine.sweep.space import Space, read_space
from mmseg_medical.errors import ConfigError

SPACES = Path(__file__).parents[2] / 'configs' / 'hippocampus' / 'spaces'


def space(folder: Path, text: str, name: str = 'space.py') -> Space:
    (folder / name).write_text(text)
    return read_space(folder / name)


@pytest.mark.parametrize(('name', 'number'), [('grid2d', 4), ('grid2d_wide', 6), ('grid3d', 76)])
def test_grids_of_the_original(name, number):
    found = read_space(SPACES / f'{name}.py')
    grid = found.grid()
    assert len(grid) == number
    assert len({found.title(labels) for labels in grid}) == number


def test_names_and_changes_of_the_original():
    found = read_space(SPACES / 'grid2d.py')
    titles = [found.title(labels) for labels in found.grid()]
    heads = ('NoINR', 'INR32', 'INR48', 'INR64')
    assert titles == [f'nnUNet_BC32_D4_{head}_LR1e-04_WD1e-05' for head in heads]
    changes = [found.changes(labels) for labels in found.grid()]
    assert '+model.decode_head.implicit' not in changes[0]
    assert changes[3]['+model.decode_head.implicit'] == dict(type='CoordinateHead', hidden=64)
    assert changes[3]['model.backbone.channels'] == [32, 64, 128, 256, 512]
    wide = read_space(SPACES / 'grid3d.py')
    combinations = [tuple(labels.values()) for labels in wide.grid()]
    # base 16, 24 and 32: two depths, two numbers of layers, then heads by projections
    assert [sum(values[0] == base for values in combinations) for base in (16, 24, 32)] == [16, 36, 24]
    assert len(wide.changes(wide.grid()[0])['model.backbone.channels']) == 4  # three divisions


def test_the_second_grid_of_the_original():
    found = read_space(SPACES / 'grid2d_wide.py')
    assert [found.title(labels) for labels in found.grid()] == [
        f'nnUNet_BC{base}_D4_INR{hidden}_LR1e-04_WD1e-05' for base in (32, 48) for hidden in (64, 128, 256)
    ]


def test_a_space_inherits_parameters_and_functions(tmp_path):
    text = 'parameters = dict(a=[1, 2], b=[3])\ndef options(a, b):\n  return {"model.width": a + b}\n'
    space(tmp_path, text, 'first.py')
    own = space(tmp_path, '_base_ = "first.py"\nparameters = dict(b=[5, 6])\ndef title(b):\n  return str(b)\n')
    assert [own.changes(labels)['model.width'] for labels in own.grid()] == [6, 7, 8]
    assert [own.title(labels) for labels in own.grid()] == ['5', '6', '6']
    third = space(tmp_path, '_base_: space.py\nparameters: {a: [9]}\n', 'third.yaml')
    assert [third.changes(labels)['model.width'] for labels in third.grid()] == [14, 15]
    assert len(space(tmp_path, '_base_ = "third.yaml"', 'fourth.py').grid()) == 2


def test_steps_are_those_that_a_space_sets(tmp_path):
    cases.write(tmp_path, "parameters = {'train_cfg.max_epochs': [5, 7], 'train_cfg.val_interval': [2]}")
    assert cases.sweep(tmp_path).steps() == (2, 5)


def test_values_ranges_and_choices(tmp_path):
    found = space(
        tmp_path,
        "parameters = {'model.width': [2, 4], 'model.depth': dict(low=1, high=5, step=2),\n"
        "    'lr': dict(low=0.1, high=0.3, step=0.1), 'head': dict(choices={'a': {'model.head.type': 'A'},\n"
        "    'b': {'model.head.type': 'B', 'model.head.sizes': [3]}})}\n"
        "def options(lr):\n    return {'optim_wrapper.optimizer.lr': lr * 2}\n",
    )
    grid = found.grid()
    assert len(grid) == 2 * 3 * 3 * 2
    assert found.changes(grid[-1]) == {
        'model.width': 4,
        'model.depth': 5,
        'model.head.type': 'B',
        'model.head.sizes': [3],
        'optim_wrapper.optimizer.lr': 0.6,
    }
    assert found.title(grid[0]) == 'width=2 depth=1 lr=0.1 head=a'
    check_space(found, cases.config(), {}, grid)


def test_grids_of_ranges():
    assert Range('x', 1, 10, 3).grid() == (1, 4, 7, 10)
    assert Range('x', 1, 9, 3).grid() == (1, 4, 7)
    assert Range('x', 2, 5).grid() == (2, 3, 4, 5)
    assert Range('x', 0.0, 1.0, 0.1).grid() == tuple(i / 10 for i in range(11))
    assert Range('x', 1e-6, 3e-6, 1e-6).grid() == (1e-6, 2e-6, 3e-6)


def test_duplicates_of_a_grid_are_one(tmp_path):
    found = space(tmp_path, 'parameters = dict(on=[True, False], n=[1, 2, 3])\n'
                  "def options(on, n):\n    return {'model.width': n if on else 0}\n")  # fmt: skip
    assert [found.changes(labels)['model.width'] for labels in found.grid()] == [1, 2, 3, 0]


def test_yaml(tmp_path):
    found = space(
        tmp_path,
        'parameters:\n  optim_wrapper.optimizer.lr: {low: 1e-5, high: 1e-2, log: true}\n'
        '  model.head.sizes: [[1, 2], [3, 4]]\n  model.width: [1e-1, 2]\n',
        'space.yaml',
    )
    rate, sizes, width = found.parameters.values()
    assert (rate.low, rate.high, rate.log) == (1e-5, 1e-2, True)  # texts to YAML
    assert sizes.labels == ('[1, 2]', '[3, 4]')
    assert sizes.value('[3, 4]') == [3, 4]
    assert width.labels == (0.1, 2)
    check_space(found, cases.config(), {}, found.examples())


@pytest.mark.parametrize(('kind', 'name', 'parameters'), [('yaml', 'space.yaml', 5), ('python', 'space.py', 3)])
def test_the_examples_of_the_page(tmp_path, kind, name, parameters):
    page = (SPACES.parents[2] / 'docs' / 'sweeps.md').read_text()
    found = space(tmp_path, page.partition(f'```{kind}\n')[2].partition('```')[0], name)
    assert len(found.parameters) == parameters
    assert all(found.changes(labels) for labels in found.examples())
    if kind == 'python':  # a projection of 12 is too wide for 16 channels
        assert len(found.grid()) == 3 * 2 * 3 - 2
        assert found.title(found.grid()[0]) == 'BC16_D3_P4'


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ([], 'at least one value'),
        ({'values': 3}, 'at least one value'),
        ([1, 2, 1], '1 is given twice'),
        (4, 'is no range of values; expected is a list of values'),
        (dict(low=1), 'is no range of values'),
        (dict(low=1, high=2, values=[1]), 'is no range of values'),
        (dict(low=1, hihg=2), "unknown entry 'hihg'. Did you mean high"),
        (dict(low=2, high=1), 'low 2 must be below high 1'),
        (dict(low=1, high=1), 'low 1 must be below high 1'),
        (dict(low='a', high=1), "low must be a number, found 'a'"),
        (dict(low=float('nan'), high=1), 'low must be a number'),
        (dict(low=True, high=5), 'low must be a number'),
        (dict(low=0, high=1, log=True), 'begins above 0'),
        (dict(low=1, high=9, log=True, step=2), 'a step or log=True, not both'),
        (dict(low=1, high=9, log='yes'), 'log must be True or False'),
        (dict(low=1, high=9, step=0), 'step 0 must be above 0'),
        (dict(low=1, high=3, step=5), 'at most high - low = 2'),
        (dict(choices=[1]), 'choices map a name to changes'),
        (dict(choices={}), 'at least one'),
    ],
)
def test_wrong_entries(spec, message):
    with pytest.raises(ConfigError, match=f'^depth: .*{message}'):
        parse_parameter('depth', spec)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('parameters = {}', 'the space is empty'),
        ('_base_ = "space.py"', "_base_ must name another file, found 'space.py'"),
        ('_base_ = ["a.py"]', '_base_ must name another file'),
        ('_base_ = "none.py"', r'none\.py cannot be read: FileNotFoundError'),
        ('x = 1', "expected a dict 'parameters', found NoneType"),
        ('parameters = dict(', 'cannot be read: SyntaxError'),
        ('parameters = dict(width=[])', 'space.py: width: expected a list with at least one value'),
        ('parameters = dict(width=[1])\ndef options(widht):\n  return {}', "'widht', which is no parameter. Did you"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        space(tmp_path, text)


def test_wrong_places_of_files(tmp_path):
    (tmp_path / 'space.py').touch()
    with pytest.raises(ConfigError, match=r'no such file\. Did you mean space\.py'):
        read_space(tmp_path / 'spaec.py')
    with pytest.raises(ConfigError, match=r'a \.py or \.yaml file'):
        space(tmp_path, '{}', 'space.json')
    with pytest.raises(ConfigError, match='expected a mapping'):
        space(tmp_path, '- 1', 'space.yaml')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("parameters = {'x': dict(low=0.0, high=1.0)}", r'x: a grid takes finitely many values.*--sampler random or'),
        ("parameters = {'x': [1, 2]}\ndef allowed(x):\n  return False", 'lets none of the 2 combinations pass'),
        ("parameters = {'x': [1, 2]}\ndef allowed(x):\n  return y", r'allowed\(x=1\) fails: NameError'),
        ("parameters = {'x': [1]}\ndef options(x):\n  return x", 'must return a dict of dotted keys, found 1'),
        ("parameters = {k: dict(low=1, high=1000) for k in 'abc'}", 'a grid of 1,000,000,000 combinations'),
        (
            "parameters = {'a': [1], 'b': [1]}\ndef options(b):\n  return {'a': b}",
            r'both the parameter a and options\(\)',
        ),
    ],
)
def test_grids_that_cannot_be(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        space(tmp_path, text).grid()


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        ("'model.widht': [1]", r'no key model\.widht\. Did you mean model\.width.*to be added, write \+model\.widht'),
        ("'modell.width': [1]", r'no key modell\.width\. Did you mean model\.width'),
        ("'optimizer.lr': [1.0]", r'no key optimizer\.lr\..*optim_wrapper\.optimizer\.lr'),
        ("'width': [1]", r'no key width\..*must be an argument of options\(\)'),
        ("'model.losses.1.weight': [1.0]", r'no key model\.losses\.1\.weight\. Did you mean model\.losses\.0\.weight'),
        ("'+model.width': [1]", r'has a key model\.width, leave out the \+'),
        ("'train_cfg.max_epochs': [4]", r'--cfg-options sets, too'),
        ("'model.width': ['wide']", 'model.width=wide: a number is expected'),
        ("'a': dict(choices={'x': {'model.width': 1}, 'y': {'model.widht': 1}})", r'no key model\.widht'),
    ],
)
def test_keys_that_the_config_does_not_have(tmp_path, entry, message):
    found = space(tmp_path, f'parameters = {{{entry}}}')
    with pytest.raises(ConfigError, match=message):
        check_space(found, cases.config(), {'train_cfg.max_epochs': 2}, found.examples())


def test_keys_that_it_has(tmp_path):
    found = space(tmp_path, "parameters = {'model.losses.0.weight': dict(low=0.1, high=1.0), '+model.head.act': ['a']}")
    check_space(found, cases.config(), {}, found.examples())
