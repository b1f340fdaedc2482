"""A HACDR-Net narrow enough for tests, on phantoms written in IDRiD's tree, as a config file that inherits."""

from __future__ import annotations

from pathlib import Path

from mmseg_medical.datasets.phantoms import write_idrid

ROOT = Path(__file__).parents[2]

CONFIG = """
_base_ = {base!r}
dims = (8, 8, 8, 8)
model = dict(
    data_preprocessor=dict(size=(64, 96)),
    backbone=dict(embed_dims=dims, depths=(1, 1, 1, 1), ffn_ratios=(1, 1, 1, 1), strip_kernels=(7,),
                  drop_rate=0.0, drop_path_rate=0.0),
    decode_head=dict(in_channels=dims, channels=8, dropout_ratio=0.0))
pipeline = [
    dict(type='LoadFundusImage', scale=(96, 64), keep_ratio=False), dict(type='LoadLesionAnnotations'),
    dict(type='PackLesionInputs')]
test_pipeline = [
    dict(type='LoadFundusImage', scale=(96, 64)), dict(type='LoadLesionAnnotations', grid='native'),
    dict(type='PackLesionInputs')]
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, **loader, dataset=dict(data_root={root!r}, pipeline=pipeline))
val_dataloader = dict(**loader, dataset=dict(data_root={root!r}, pipeline=test_pipeline))
test_dataloader = val_dataloader
data_root = {root!r}
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=5, val_interval=5)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=5))
randomness = dict(seed=1)
"""


def write(folder: Path, num_train: int = 4, num_test: int = 3) -> Path:
    """Write the photographs and the config; return the config's path."""
    root = write_idrid(folder / 'A data root', num_train=num_train, num_test=num_test, size=(96, 144))
    path = folder / 'narrow.py'
    path.write_text(CONFIG.format(base=str(ROOT / 'configs' / 'hacdr' / 'idrid.py'), root=str(root)))
    return path
