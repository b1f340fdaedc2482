"""Clusters: options, connection, nodes; Ray itself is a stand-in here, see test_sweep_ray.py."""

from __future__ import annotations

import importlib.util
import socket
from types import SimpleNamespace

import pytest
import sweep_cases as cases

from mmseg_medical.engine.sweep import cluster as module
from mmseg_medical.engine.sweep.cluster import Cluster, check_nodes, read_cluster
from mmseg_medical.engine.sweep.cluster_task import Task, make_task
from mmseg_medical.errors import ConfigError

pytest.importorskip('optuna')


class FakeRay:
    """What is used of Ray, without processes."""

    def __init__(self, *resources: dict[str, float]) -> None:
        self.resources = resources
        self.addresses: list[str] = []
        self.shut_down = 0
        self.failure: Exception | None = None
        self.exceptions = SimpleNamespace(RayError=InterruptedError)
        affinity = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft))
        self.util = SimpleNamespace(scheduling_strategies=affinity)
        self.placed: list[tuple[str, bool]] = []

    def init(self, address: str, **options: object) -> None:
        if self.failure:
            raise self.failure
        self.addresses.append(address)

    def shutdown(self) -> None:
        self.shut_down += 1

    def nodes(self) -> list[dict]:
        name = 'NodeManagerHostname', 'NodeManagerAddress'
        nodes = [
            {'NodeID': f'id{i}', name[0]: f'n{i}', name[1]: f'10.0.0.{i}', 'Alive': True, 'Resources': one}
            for i, one in enumerate(self.resources)
        ]
        return [*nodes, {'Alive': False, 'Resources': {'CPU': 64.0, 'GPU': 8.0}}]

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(get_node_id=lambda: 'id0')

    def remote(self, **options: object):
        def decorate(function):
            def options(scheduling_strategy):
                self.placed.append(scheduling_strategy)
                return SimpleNamespace(remote=lambda task: lambda: function(task))

            return SimpleNamespace(options=options)

        return decorate

    def get(self, answer, timeout: float):
        if self.failure:
            raise self.failure
        return answer()


@pytest.fixture
def ray(monkeypatch) -> FakeRay:
    """Two nodes with GPUs and one without."""
    fake = FakeRay({'CPU': 16.0, 'GPU': 2.0}, {'CPU': 6.0, 'GPU': 4.0}, {'CPU': 32.0})
    monkeypatch.setattr(module, 'import_optional', lambda name, extra: fake)
    monkeypatch.delenv('RAY_ADDRESS', raising=False)
    monkeypatch.setenv('RAY_USAGE_STATS_ENABLED', '0')
    return fake


@pytest.fixture
def task(tmp_path) -> Task:
    """A sweep that nodes are to take part in."""
    cases.write(tmp_path)
    sweep = cases.sweep(tmp_path)
    return make_task(sweep, cases.store(sweep), None, tmp_path / 'tools')


def test_options():
    assert read_cluster('local', None, None, None, ['0']) is None
    assert read_cluster('ray', None, None, None, []) == Cluster('auto', 4, 1.0)
    assert read_cluster('ray', 'head:6379', 2, 0, []) == Cluster('head:6379', 2, 0)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (('local', 'auto', None, None, []), '--ray-address is of --launcher ray'),
        (('local', None, 2, None, []), '--trial-cpus is of --launcher ray'),
        (('local', None, None, 0.0, []), '--trial-gpus is of --launcher ray'),
        (('ray', None, None, None, ['0']), '--gpus are those of this machine.*--trial-gpus 1'),
        (('ray', None, 0, None, []), '--trial-cpus 0: at least one'),
        (('ray', None, None, 2.0, []), '--trial-gpus 2: expected is 0 to 1'),
        (('ray', None, None, -1.0, []), '--trial-gpus -1: expected is 0 to 1'),
    ],
)
def test_contradictions(given, message):
    with pytest.raises(ConfigError, match=message):
        read_cluster(*given)


def test_without_ray(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r"ray is needed.*pip install 'mmseg-medical\[cluster\]'"), connected():
        pass


def connected(cluster: Cluster | None = None):
    return (cluster or Cluster()).connected([].append)


def test_what_fits(ray):
    nodes = ray.nodes()[:-1]
    assert [Cluster().places([node]) for node in nodes] == [2, 1, 0]
    assert [Cluster(cpus=2, gpus=0.5).places([node]) for node in nodes] == [4, 3, 0]
    assert [Cluster(cpus=5, gpus=0).places([node]) for node in nodes] == [3, 1, 6]
    said: list[str] = []
    with Cluster().connected(said.append) as found:
        assert found is ray
        assert not ray.shut_down
    assert said == ['Ray: 2 node(s) with room for 3 trial(s)']
    assert (ray.addresses, ray.shut_down) == (['auto'], 1)


def test_no_node_is_large_enough(ray):
    message = (
        '17 CPU and 1 GPU for a trial, they have 16 CPU, 2 GPU; 6 CPU, 4 GPU; 32 CPU, 0 GPU: --trial-cpus, --trial-gpus'
    )
    with pytest.raises(ConfigError, match=message), connected(Cluster(cpus=17)):
        pass
    assert ray.shut_down == 1


def test_a_cluster_that_cannot_be_reached(ray, monkeypatch):
    with socket.create_server(('127.0.0.1', 0)) as server:
        address = f'127.0.0.1:{server.getsockname()[1]}'
        with connected(Cluster(address)):
            assert ray.addresses == [address]
    with pytest.raises(ConfigError, match=rf'no cluster can be reached at {address}: .*refused.*ray start --head'):
        connected(Cluster(address)).__enter__()
    monkeypatch.setenv('RAY_ADDRESS', address)
    with pytest.raises(ConfigError, match=f'reached at {address}'):
        connected().__enter__()
    monkeypatch.setenv('RAY_ADDRESS', 'ray://head:10001')
    with pytest.raises(ConfigError, match='--ray-address ray://head:10001: call this on a machine of the cluster'):
        connected().__enter__()
    monkeypatch.delenv('RAY_ADDRESS')
    ray.failure = ConnectionError('Could not find any running Ray instance.')
    with pytest.raises(ConfigError, match=r'reached at auto: Could not find .*--ray-address local, this machine alone'):
        connected().__enter__()
    ray.failure.__cause__ = RuntimeError('Traceback:\n  ...\nInvalidAuthToken: missing\n')
    with pytest.raises(ConfigError, match=r'Ray instance\. InvalidAuthToken: missing\. Start one'):
        connected().__enter__()
    assert len(ray.addresses) == 1


def test_all_nodes_with_room_are_asked(ray, task):
    check_nodes(ray, Cluster(), task)
    assert ray.placed == [('id0', False), ('id1', False)]
    (task.settings['work_dir'] / 'sweep.mark').unlink()
    with pytest.raises(ConfigError, match=r'cannot take part: it does not see .*sweep\.mark'):
        check_nodes(ray, Cluster(), task)
    ray.failure = InterruptedError("worker log\nModuleNotFoundError: No module named 'mmseg_medical'\n\n")
    with pytest.raises(ConfigError, match=r"node n0 \(10\.0\.0\.0\) cannot take part: Mod.* 'mmseg_medical'$"):
        check_nodes(ray, Cluster(), task)


def test_sqlite_is_for_one_machine(ray, tmp_path):
    cases.write(tmp_path)
    sweep, url = cases.sweep(tmp_path), f'sqlite:///{tmp_path}/trials.db'
    task = make_task(sweep, cases.store(sweep, url), url, tmp_path / 'tools')
    with pytest.raises(ConfigError, match=r'--storage sqlite:///.* is for one machine'):
        check_nodes(ray, Cluster(), task)
    ray.resources = ray.resources[:1]
    check_nodes(ray, Cluster(), task)
