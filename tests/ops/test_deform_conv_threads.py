"""The numba back end among threads and processes: same bits, no crash, no hang."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from deform_conv_cases import Case, gradient_like, make_arguments, run, torch_threads

from mmseg_medical.ops.deform_conv import numba_backend

pytest.importorskip('numba')
needs_fork = pytest.mark.skipif(
    'fork' not in multiprocessing.get_all_start_methods(), reason='this system cannot fork processes'
)

# Several tiles an image, the last not full; small enough that torch copies them in one thread: where its own pool has
# been used before a fork, it hangs in the child (https://github.com/pytorch/pytorch/issues/17199).
CASES = {
    'dense': Case(17, 13, (3, 3), (23, 19)),
    'depthwise': Case(17, 17, (3, 3), (23, 19), groups=17),
    'planar': Case(4, 6, (3, 3), (31, 37), deform_groups=4),
    'planar, grouped': Case(6, 10, (3, 3), (31, 37), groups=2, deform_groups=3),
}
PATIENCE = 120  # seconds after which a child counts as hung: machines may be busy
BACKEND = dict(backend='numba')


@pytest.fixture(autouse=True)
def _many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even small maps are shared among all threads."""
    monkeypatch.setattr(numba_backend, '_WORK_PER_THREAD', 1)


def work(name: str, threads: int, seed: int = 0) -> list[torch.Tensor]:
    with torch_threads(threads):
        return run(make_arguments(CASES[name], seed=seed, grad=False), CASES[name].options | BACKEND)


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('kept_bytes', [0, 100_000, 1_000_000])
def test_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch, name: str, kept_bytes: int):
    """Also when a backward pass takes many rounds of a few tiles or one round of all."""
    one = work(name, 1)
    monkeypatch.setattr(numba_backend, '_KEPT_BYTES', kept_bytes)
    for threads in (1, 2, 3, 5):
        assert same(work(name, threads), one), f'{threads} threads'


@pytest.mark.parametrize('name', CASES)
def test_same_bits_where_all_samples_meet(name: str):
    """Every sample adds to the gradient of the same few pixels."""
    arguments = make_arguments(CASES[name], spread=20.0, grad=False)
    arguments[1] = arguments[1].fmod(1.5)
    results = []
    for threads in (1, 2, 3, 5, 5, 5):
        with torch_threads(threads):
            results.append(run(arguments, CASES[name].options | BACKEND))
    assert all(same(result, results[0]) for result in results[1:])


@pytest.mark.parametrize('threads', [1, 3])
def test_several_callers_at_once(threads: int):
    expected = {(name, seed): work(name, 1, seed) for name in CASES for seed in range(2)}
    start = threading.Barrier(8)

    def call(number: int) -> bool:
        start.wait(PATIENCE)
        jobs = list(expected)
        return all(
            same(run(make_arguments(CASES[name], seed=seed, grad=False), CASES[name].options | BACKEND), expected[job])
            for job in jobs[number:] + jobs[:number]
            for name, seed in [job]
        )

    with torch_threads(threads), ThreadPoolExecutor(8) as callers:
        assert list(callers.map(call, range(8), timeout=PATIENCE)) == [True] * 8


def test_beside_the_threads_of_torch():
    """A network's own layers run in torch's pool between the calls, in both directions."""
    case = CASES['dense']
    expected = work('dense', 1)
    big = torch.rand(300, 300)
    with torch_threads(1):
        product = big @ big
    with torch_threads(2):
        for _ in range(5):
            torch.testing.assert_close(big @ big, product)
            assert same(run(make_arguments(case, grad=False), case.options | BACKEND), expected)
            torch.testing.assert_close((big + big).sin().sum(), (2 * big).sin().sum())


# --- processes -------------------------------------------------------------------------------------------------------


def as_bytes(tensors: list[torch.Tensor]) -> list[bytes]:
    return [tensor.contiguous().numpy().tobytes() for tensor in tensors]


def in_fork(name: str, threads: int) -> list[bytes]:
    """What a forked child computes from arguments that its parent made."""
    context = multiprocessing.get_context('fork')
    answer = context.SimpleQueue()
    arguments, options = make_arguments(CASES[name], grad=False), CASES[name].options | BACKEND
    grad_output = gradient_like(torch.empty(2, CASES[name].out_channels, *CASES[name].out_size))

    def work_here() -> None:
        torch.set_num_threads(threads)
        answer.put(as_bytes(run(arguments, options, grad_output)))

    child = context.Process(target=work_here, daemon=True)
    child.start()
    try:
        assert answer._reader.poll(PATIENCE), 'the child hangs or has died'
        result = answer.get()
        child.join(PATIENCE)
        assert child.exitcode == 0
        return result
    finally:
        child.kill()
        child.join()


@needs_fork
@pytest.mark.filterwarnings('ignore:.*multi-threaded:DeprecationWarning')
@pytest.mark.parametrize('threads', [1, 3])
@pytest.mark.parametrize('name', CASES)
def test_in_a_forked_child(name: str, threads: int):
    """The parent's pool exists and is idle; its threads do not exist in the child."""
    expected = as_bytes(work(name, 3))
    assert in_fork(name, threads) == expected
    assert same(work(name, 3), work(name, 1))  # the parent goes on


@needs_fork
@pytest.mark.filterwarnings('ignore:.*multi-threaded:DeprecationWarning')
def test_forked_while_the_pool_is_at_work():
    expected = as_bytes(work('dense', 3))
    done = threading.Event()

    def go_on() -> None:
        while not done.is_set():
            run(make_arguments(CASES['planar'], grad=False), CASES['planar'].options | BACKEND)

    with torch_threads(3), ThreadPoolExecutor(2) as callers:
        busy = [callers.submit(go_on) for _ in range(2)]
        try:
            assert [in_fork('dense', 3) for _ in range(3)] == [expected] * 3
        finally:
            done.set()
        for caller in busy:
            caller.result(PATIENCE)


class _Convolved(torch.utils.data.Dataset):
    """Samples that are made by the operator."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return run(make_arguments(CASES['depthwise'], seed=index, grad=False), CASES['depthwise'].options | BACKEND)[0]


@needs_fork
@pytest.mark.filterwarnings('ignore:.*multi-threaded:DeprecationWarning')
def test_in_the_workers_of_a_data_loader():
    expected = [work('depthwise', 3, seed)[0] for seed in range(4)]
    loader = torch.utils.data.DataLoader(
        _Convolved(), batch_size=None, num_workers=2, multiprocessing_context='fork', timeout=PATIENCE
    )
    assert same(list(loader), expected)


def test_from_a_thread_that_outlives_the_main_one():
    """Python refuses new work for its pools once the main thread has ended."""
    work('planar', 1)  # compiles the kernels, which the child has no time for
    script = """
        import sys, threading
        sys.path.insert(0, 'tests/ops')
        import torch
        from deform_conv_cases import Case, make_arguments, run
        from mmseg_medical.ops.deform_conv import numba_backend
        numba_backend._WORK_PER_THREAD = 1
        torch.set_num_threads(2)
        case = Case(4, 6, (3, 3), (31, 37), deform_groups=4)
        def late():
            threading.main_thread().join()
            print(sum(t.double().sum() for t in run(make_arguments(case), case.options | dict(backend='numba'))).item())
        threading.Thread(target=late).start()
    """
    result = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(script)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 0, result.stderr
    float(result.stdout)


def test_nothing_runs_on_after_a_call():
    """Idle threads sleep: they must not take the processor from torch's."""
    work('dense', 3)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.1
