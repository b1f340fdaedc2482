from __future__ import annotations

import argparse
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from mmseg_medical import cli
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError, error_text


def parse(*words: str) -> dict:
    parser = argparse.ArgumentParser()
    cli.add_common_arguments(parser)
    return parser.parse_args(['--cfg-options', *words]).cfg_options


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('3', 3), ('1e-3', 1e-3), ('True', True), ('false', False), ('None', None), ('word', 'word'),
        ('a,b', ['a', 'b']), ('1,2.5', [1, 2.5]), ('[1,2]', [1, 2]), ('(1,2)', (1, 2)),
        ('[(1,2),[a,b]]', [(1, 2), ['a', 'b']]),
        ('[]', []), ('()', ()), ('[a]', ['a']), ("'3'", '3'), ('{"a": 1}', {'a': 1}), ('', ''),
        ('/data/A. Segmentation', '/data/A. Segmentation'), ('k=v', 'k=v'), ('nan', 'nan'),
    ],
)  # fmt: skip
def test_values(text, value):
    parsed = cli.parse_value(text)
    # mmengine reads 1,2 as a list, Python as a tuple; both are accepted wherever configs take sequences
    assert (list(parsed) if isinstance(parsed, tuple) and isinstance(value, list) else parsed) == value


def test_options_add_up_and_keep_later_equal_signs():
    assert parse('a.b=1', 'c=x=y', '--cfg-options', 'd=[1,2]') == {'a.b': 1, 'c': 'x=y', 'd': [1, 2]}


@pytest.mark.parametrize('word', ['a', '=1', ''])
def test_options_without_a_key_or_value(word, capsys):
    with pytest.raises(SystemExit) as raised:
        parse(word)
    assert raised.value.code == 2
    assert 'not of the form key=value' in capsys.readouterr().err


def call(monkeypatch, error: BaseException, *words: str) -> int:
    def main(arguments: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(sys, 'argv', ['tool', *words])
    parser = argparse.ArgumentParser(prog='tool')
    cli.add_common_arguments(parser)
    with pytest.raises(SystemExit) as raised:
        cli.run(parser, main)
    return raised.value.code


@pytest.mark.parametrize('error', [ConfigError('say this'), DataError('say this'), OSError('say this')])
def test_what_a_user_can_mend_is_one_message(monkeypatch, capsys, error):
    assert call(monkeypatch, error) == 2
    message = capsys.readouterr().err
    assert message.startswith('\ntool: error: say this\n')
    assert 'Traceback' not in message


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tool', '--debug'])
    parser = argparse.ArgumentParser()
    cli.add_common_arguments(parser)
    with pytest.raises(ConfigError):
        cli.run(parser, lambda arguments: (_ for _ in ()).throw(ConfigError('x')))


@pytest.mark.parametrize('error', [ZeroDivisionError, TypeError, KeyError, AssertionError])
def test_faults_of_the_program_keep_their_traceback(monkeypatch, error):
    def main(arguments: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(sys, 'argv', ['tool'])
    parser = argparse.ArgumentParser()
    cli.add_common_arguments(parser)
    with pytest.raises(error):
        cli.run(parser, main)


def test_a_bare_assertion_of_a_library_is_quoted():
    try:
        width = 3
        assert width == 4
    except AssertionError as error:
        error.args = ()  # pytest words assertions of this file, a library's are bare
        text = error_text(error)
    assert text.startswith('test_cli.py line ')
    assert 'assert width == 4' in text


class Broken(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise DataError('IDRiD_07: expected a mask of 4288 x 2848, found 10 x 10.\nRemove it.')


@pytest.mark.parametrize('workers', [0, 1])
def test_an_error_of_a_data_worker_arrives_as_it_was_raised(workers):
    with pytest.raises(DataError) as raised:
        next(iter(DataLoader(Broken(), num_workers=workers)))
    assert error_text(raised.value) == 'IDRiD_07: expected a mask of 4288 x 2848, found 10 x 10.\nRemove it.'


def test_waiting_threads_leave_the_cores_to_others():
    code = (
        'import argparse, os, sys\nfrom mmseg_medical import cli\nassert "torch" not in sys.modules\n'
        'cli.run(argparse.ArgumentParser(), lambda a: print(os.environ["OMP_WAIT_POLICY"]))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'PASSIVE'
