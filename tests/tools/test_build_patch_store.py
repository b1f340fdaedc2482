import numpy as np
from command import run

from mmseg_medical.datasets.phantoms import write_idrid

CONFIG = """
default_scope = 'mmseg_medical'
custom_imports = dict(imports=['listed_cases'])
head = [dict(type='LoadVolume', num_channels=1), dict(type='NormalizeIntensity')]
train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(
    type='ListedCases', ann_file={ann!r}, serialize_data=False, pipeline=[
        dict(type='LoadStoredPatch', pipeline=head, store_dir={store!r}, patch=dict(patch_size=(4, 4, 4)))])))
val_dataloader = dict(dataset=dict(type='IDRiDDataset', data_root={root!r}, split='test', pipeline=[]))
"""


DATASET = """
from mmengine.dataset import BaseDataset
from mmseg_medical.registry import DATASETS, TRANSFORMS

@DATASETS.register_module()
class ListedCases(BaseDataset):
    def __init__(self, pipeline, **kwargs):
        super().__init__(pipeline=[TRANSFORMS.build(step) for step in pipeline], **kwargs)
"""


def test_build_keep_verify(tmp_path):
    cases = []
    for number in range(3):
        path = tmp_path / f'{number}.npy'
        np.save(path, np.random.default_rng(number).normal(size=(7, 8, 9)).astype(np.float32))
        cases.append(f'{{"case_id": "c{number}", "img_path": "{path}"}}')
    annotations = tmp_path / 'cases.json'
    annotations.write_text(f'{{"metainfo": {{}}, "data_list": [{", ".join(cases)}]}}')
    config = tmp_path / 'config.py'
    root = str(write_idrid(tmp_path / 'idrid', 1, 1, (32, 48)))
    config.write_text(CONFIG.format(ann=str(annotations), store=str(tmp_path / 'store'), root=root))
    (tmp_path / 'listed_cases.py').write_text(DATASET)
    tool = 'analysis_tools/build_patch_store.py'
    assert '3 cases built, 0 kept' in run(tool, config, '--jobs', 2, PYTHONPATH=str(tmp_path)).stdout
    (path, *_) = sorted((tmp_path / 'store').rglob('*.case'))
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert '1 cases built, 2 kept' in run(tool, config, '--verify', PYTHONPATH=str(tmp_path)).stdout
    assert 'nothing to store' in run(tool, config, '--split', 'val', fails=True, PYTHONPATH=str(tmp_path)).stderr
