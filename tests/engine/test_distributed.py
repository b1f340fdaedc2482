from __future__ import annotations

import pytest
from torch import distributed

from mmseg_medical.engine.distributed import init_cpu_process_group
from mmseg_medical.errors import ConfigError

VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}
ALL = {name for names in VARIABLES.values() for name in names} | {'MASTER_ADDR', 'MASTER_PORT'}


@pytest.fixture
def clean(monkeypatch):
    for name in ALL:
        monkeypatch.setenv(name, '')  # so that monkeypatch restores what the function sets
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize('launcher', VARIABLES)
def test_the_launchers_variables_are_understood(clean, launcher):
    for name, value in zip(VARIABLES[launcher], ('1', '4', '0'), strict=True):
        clean.setenv(name, value)
    clean.setenv('SLURM_NODELIST', 'node[3-4]')
    clean.setattr('subprocess.run', lambda *args, **kwargs: type('Done', (), {'stdout': 'node3\nnode4\n'}))
    calls = []
    clean.setattr(distributed, 'init_process_group', calls.append)
    init_cpu_process_group(launcher)
    import os

    assert calls == ['gloo']
    assert [os.environ[name] for name in VARIABLES['pytorch']] == ['1', '4', '0']
    assert os.environ['MASTER_ADDR'] == ('node3' if launcher == 'slurm' else '127.0.0.1')
    assert os.environ['MASTER_PORT'] == '29500'


def test_started_without_the_launcher(clean):
    clean.setenv('RANK', '0')
    with pytest.raises(ConfigError, match=r'--launcher pytorch .* WORLD_SIZE, LOCAL_RANK are not set.*dist_train\.sh'):
        init_cpu_process_group('pytorch')
