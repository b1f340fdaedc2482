"""A cluster of Ray: how a sweep asks for it, and whether its nodes can take part."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mmseg_medical.engine.sweep.cluster_task import Task, try_to_join
from mmseg_medical.errors import ConfigError
from mmseg_medical.optional import import_optional

# seconds; of a connection, and of a node that has to start an interpreter
_CONNECT = 10.0
_ANSWER = 300.0


@dataclass(frozen=True)
class Cluster:
    """How trials are placed on a cluster of Ray.

    Attributes:
        address (str): ``HOST:PORT``; ``'auto'``: the cluster that this machine belongs to; ``'local'``: one of this
            machine alone that ends with the sweep.
        cpus (int): of each trial, and its threads.
        gpus (float): of each trial, 0 to 1; less than 1 lets several share one.

    Raises:
        ConfigError: a trial cannot use these.
    """

    address: str = 'auto'
    cpus: int = 4
    gpus: float = 1.0

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise ConfigError(f'--trial-cpus {self.cpus}: at least one')
        if not 0 <= self.gpus <= 1:
            raise ConfigError(f'--trial-gpus {self.gpus:g}: expected is 0 to 1, a trial trains on one GPU')

    def asks(self) -> dict[str, float]:
        """Resources of a trial as Ray names them."""
        return {'CPU': self.cpus, 'GPU': self.gpus}

    @contextmanager
    def connected(self, say: Callable[[str], None] = print) -> Iterator[Any]:
        """Join the cluster for a while.

        Args:
            say (Callable): takes a line for the user.

        Yields:
            module: ``ray``.

        Raises:
            ImportError: Ray is not installed.
            ConfigError: the cluster cannot be reached, or none of its nodes can take a trial.
        """
        ray = import_optional('ray', 'cluster')
        import_optional('ray.tune', 'cluster')
        address = os.environ.get('RAY_ADDRESS', self.address) if self.address == 'auto' else self.address
        if '://' in address:
            raise ConfigError(
                f'--ray-address {address}: call this on a machine of the cluster and give HOST:PORT or nothing, a '
                'client outside of it does not see its files'
            )
        options = {'include_dashboard': False} if address == 'local' else {}
        # a Ray that is started here would tell its makers about the machine
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        try:
            _knock(address)
            ray.init(address=address, logging_level='ERROR', **options)
        except (OSError, RuntimeError, ValueError) as error:
            reason = f'{error} {last_line(error.__cause__)}'.rstrip(' .')
            raise ConfigError(
                f'--launcher ray: no cluster can be reached at {address}: {reason}. Start one with `ray start --head`, '
                'name it with --ray-address HOST:PORT, or take --ray-address local, this machine alone'
            ) from error
        try:
            nodes = self.nodes(ray)
            say(f'Ray: {len(nodes)} node(s) with room for {self.places(nodes)} trial(s)')
            yield ray
        finally:
            ray.shutdown()

    def nodes(self, ray: Any) -> list[dict[str, Any]]:
        """Nodes that can take a trial, as Ray describes them.

        Raises:
            ConfigError: there is none.
        """
        alive = [node for node in ray.nodes() if node['Alive']]
        nodes = [node for node in alive if self.places([node])]
        if not nodes:
            has = [', '.join(f'{node["Resources"].get(name, 0):g} {name}' for name in self.asks()) for node in alive]
            raise ConfigError(
                f'no node of the cluster has {self.cpus} CPU and {self.gpus:g} GPU for a trial, they have '
                f'{"; ".join(has)}: --trial-cpus, --trial-gpus'
            )
        return nodes

    def places(self, nodes: Sequence[dict[str, Any]]) -> int:
        """Trials that fit on some nodes at once."""
        asked = {name: number for name, number in self.asks().items() if number}
        return sum(
            min(int(node['Resources'].get(name, 0) / number) for name, number in asked.items()) for node in nodes
        )


def _knock(address: str) -> None:
    """Ray itself tries an address that does not answer for minutes, and then exits."""
    host, _, port = address.rpartition(':')
    if port.isdigit():
        socket.create_connection((host.strip('[]'), int(port)), _CONNECT).close()


def last_line(error: BaseException | None) -> str:
    """What Ray's errors have to say stands below the traceback of a worker."""
    lines = [line for line in str(error or '').splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__ if error else ''


def read_cluster(
    launcher: str, address: str | None, cpus: int | None, gpus: float | None, local_gpus: Sequence[str]
) -> Cluster | None:
    """The cluster that a command line asks for.

    Args:
        launcher (str): ``'local'`` or ``'ray'``.
        address (str | None): ``--ray-address``.
        cpus (int | None): ``--trial-cpus``.
        gpus (float | None): ``--trial-gpus``.
        local_gpus (Sequence[str]): ``--gpus``.

    Returns:
        Cluster | None: None for this machine without Ray.

    Raises:
        ConfigError: the options contradict each other.
    """
    given = {'address': address, 'cpus': cpus, 'gpus': gpus}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if launcher != 'ray':
        if chosen:
            option = {'address': 'ray-address', 'cpus': 'trial-cpus', 'gpus': 'trial-gpus'}[next(iter(chosen))]
            raise ConfigError(f'--{option} is of --launcher ray')
        return None
    if local_gpus:
        raise ConfigError('--gpus are those of this machine; trials on a cluster ask for theirs: --trial-gpus 1')
    return Cluster(**chosen)


def check_nodes(ray: Any, cluster: Cluster, task: Task) -> None:
    """Refuse a cluster with a node that would see other files or another storage.

    Args:
        ray (module): Ray, connected.
        cluster (Cluster): whose nodes are asked.
        task (Task): what they are to do.

    Raises:
        ConfigError: a node cannot take part.
    """
    nodes = cluster.nodes(ray)
    here = ray.get_runtime_context().get_node_id()
    if (task.storage or '').startswith('sqlite') and any(node['NodeID'] != here for node in nodes):
        raise ConfigError(
            f'--storage {task.storage} is for one machine: leave it out (a journal in the work dir) or take a server'
        )
    on = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    ask = ray.remote(num_cpus=0, max_retries=0)(try_to_join)
    asked = {
        f'{node["NodeManagerHostname"]} ({node["NodeManagerAddress"]})': ask.options(
            scheduling_strategy=on(node['NodeID'], soft=False)
        ).remote(task)
        for node in nodes
    }
    for name, answer in asked.items():
        try:
            reason = ray.get(answer, timeout=_ANSWER)
        except ray.exceptions.RayError as error:
            raise ConfigError(f'node {name} cannot take part: {last_line(error)}') from error
        if reason:
            raise ConfigError(reason)
