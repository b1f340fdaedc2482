"""Process groups on machines without a GPU, where mmengine's own start insists on a device."""

from __future__ import annotations

import os
import subprocess

from torch import distributed

from mmseg_medical.errors import ConfigError

# launcher -> environment variables of rank, number of processes, rank on this machine
_RANK_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def init_cpu_process_group(launcher: str) -> None:
    """Join the process group that ``launcher`` started, over gloo.

    Args:
        launcher: 'pytorch' (torchrun), 'slurm' or 'mpi'.

    Raises:
        ConfigError: The launcher's environment variables are not set: the process was started without it.
    """
    names = _RANK_VARIABLES[launcher]
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ConfigError(
            f'--launcher {launcher} needs the environment variables {", ".join(names)}, of which {", ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} not set: start the command with tools/dist_train.sh, '
            f'tools/slurm_train.sh or mpirun'
        )
    for target, source in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), names, strict=True):
        os.environ[target] = os.environ[source]
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_host() if launcher == 'slurm' else '127.0.0.1'
    os.environ.setdefault('MASTER_PORT', '29500')
    distributed.init_process_group('gloo')


def _first_slurm_host() -> str:
    command = ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
