"""Run a tool as a user does."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(
    tool: str, *arguments: object, fails: bool = False, code: int = 0, **environment: str
) -> subprocess.CompletedProcess:
    """Call ``tools/<tool>``; it has to succeed or to end with another code, or to fail with code 2."""
    path = ROOT / 'tools' / tool
    command = [sys.executable, str(path)] if tool.endswith('.py') else [str(path)]
    variables = {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', **environment}
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, env=variables, timeout=300
    )
    if fails:
        assert done.returncode == 2, done.stderr[-3000:]
        assert 'Traceback' not in done.stderr
    else:
        assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def free_port() -> str:
    """A port nobody listens on, so that suites can run side by side."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return str(server.getsockname()[1])


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """A function that calls a tool in this process and returns exit status, output and errors."""

    def call(tool: Path, *words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, words)])
        try:
            runpy.run_path(str(tool), run_name='__main__')
            status = 0
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return call
