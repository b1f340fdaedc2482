"""Work shared out to processes, any of which may die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

import torch

from mmseg_medical.errors import error_text

Item = TypeVar('Item')
Result = TypeVar('Result')
_GUARD = "a script that starts processes needs `if __name__ == '__main__':`"


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one item.

    Attributes:
        result: What the function returned, None if it failed.
        error (str | None): Why it failed, None if it did not.
        missing_package (bool): Whether it failed for a package that is not installed, as any other item will.
    """

    result: Result | None = None
    error: str | None = None
    missing_package: bool = False


def attempt(function: Callable[[Item], Result], item: Item) -> Outcome[Result]:
    """Call the function; whatever it raises is the outcome, so that other items go on."""
    try:
        return Outcome(function(item))
    except ImportError as error:
        return Outcome(error=str(error), missing_package=True)
    except Exception as error:
        text = error_text(error)
        return Outcome(error=text if isinstance(error, (OSError, ValueError)) else f'{type(error).__name__}: {text}')


# concurrent.futures cannot say which item a process died of: it calls all that were under way broken.
def share(
    items: Sequence[Item],
    function: Callable[[Item], Result],
    jobs: int,
    done: Callable[[int, Outcome[Result]], None],
) -> None:
    """Hand out items one by one to processes that are replaced when they die.

    Args:
        items (Sequence): What to work on; picklable.
        function (Callable): What to do with one; picklable, as its results must be.
        jobs (int): Processes, each with one thread.
        done (Callable): Called here with the number of an item and its outcome, in the order of completion. If it
            raises, as on Ctrl-C, the processes are killed. Once a process has died before it began, no further one is
            started; what then is left has the same error.
    """
    context = multiprocessing.get_context('spawn')  # forks of a process with threads may hang
    numbers = iter(range(len(items)))
    workers: dict[Connection, tuple[Any, int]] = {}
    begun: set[Connection] = set()
    stillborn: Outcome[Result] | None = None

    def employ() -> None:
        if stillborn is not None or (number := next(numbers, None)) is None:
            return
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, function), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the connection
        hand(ours, process, number)

    def hand(connection: Connection, process: Any, number: int) -> None:
        workers[connection] = (process, number)
        try:
            connection.send(items[number])
        except OSError:  # dead already: reading says so
            return

    try:
        for _ in range(min(jobs, len(items))):
            employ()
        while workers:
            connection = wait(list(workers))[0]
            assert isinstance(connection, Connection)  # noqa: S101  for the type checker
            process, number = workers[connection]
            outcome = _receive(connection, process)
            if outcome is None:
                begun.add(connection)
                continue
            if connection not in begun:
                outcome = stillborn = Outcome(error=f'{outcome.error}, before it began; {_GUARD}')
            del workers[connection]
            done(number, outcome)
            following = next(numbers, None) if process.is_alive() else None
            if following is not None:
                hand(connection, process, following)
                continue
            connection.close()  # the process ends with it
            process.join()
            employ()
        for number in numbers:  # there are some only where no process could begin
            done(number, stillborn or Outcome())
    finally:
        for connection, (process, _) in workers.items():
            process.kill()
            process.join()
            connection.close()


def _receive(connection: Connection, process: Any) -> Outcome | None:
    """Return the outcome that a process sends, or its death; None if it says that it has begun."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        process.join()
        return Outcome(error=_death(process.exitcode))


def _work(connection: Connection, function: Callable[[Any], Any]) -> None:
    """Work on what comes until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    torch.set_num_threads(1)
    os.environ['NUMBA_NUM_THREADS'] = '1'
    if 'numba' in sys.modules:
        sys.modules['numba'].set_num_threads(1)
    connection.send(None)  # begun
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        outcome = attempt(function, item)
        try:
            connection.send(outcome)
        except Exception as error:  # of pickling, before anything is sent
            connection.send(Outcome(error=f'the result cannot be passed to another process: {error}'))


def _death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return 'the process was killed, perhaps because memory ran out: try fewer jobs'
    return f'the process died with exit code {exit_code}'
