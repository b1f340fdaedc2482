from command import run
from slice_models import config

from mmseg_medical.datasets.phantoms import write_acdc


def test_volumes_are_stored_once_each(tmp_path):
    root = write_acdc(tmp_path / 'acdc', 1, 0, size=(9, 8, 3))
    cfg = config('ACDCDataset', root, [dict(type='NormalizeIntensity')], 4)
    path = tmp_path / 'config.py'
    cfg.dump(path)
    done = run('analysis_tools/build_patch_store.py', path, '--split', 'test')
    assert '2 cases built, 0 kept' in done.stdout  # not 6 slices
    assert 'storing' in done.stdout
    assert len(list((root / 'store').rglob('*.case'))) == 2
