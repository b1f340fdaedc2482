from __future__ import annotations

import pytest

from mmseg_medical.files import PARTIAL_SUFFIX, atomic_path, atomic_write


@pytest.mark.parametrize('durable', [False, True])
@pytest.mark.parametrize(('mode', 'content'), [('w', 'µ\n'), ('wb', b'\x00\xff')])
def test_the_file_appears_when_the_block_ends(tmp_path, durable, mode, content):
    path = tmp_path / 'new' / 'a.txt'
    with atomic_write(path, mode, durable) as file:
        file.write(content)
        assert not path.exists()
    assert path.read_bytes() == (content.encode() if mode == 'w' else content)
    assert list(path.parent.iterdir()) == [path]


def test_an_error_keeps_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / 'a'
    path.write_text('old')
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write(f'half {1 / 0}')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / 'a'
    with atomic_write(path) as first:
        first.write('first')
        with atomic_write(path) as second:
            second.write('second')
        assert path.read_text() == 'second'
    assert path.read_text() == 'first'
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_files_are_hidden_and_recognisable(tmp_path):
    with atomic_path(tmp_path / 'iter_2.pth') as temporary:
        temporary.write_text('x')
        assert list(tmp_path.glob(f'.*{PARTIAL_SUFFIX}')) == [temporary]
        assert not list(tmp_path.glob('iter_*'))
    assert (tmp_path / 'iter_2.pth').read_text() == 'x'
