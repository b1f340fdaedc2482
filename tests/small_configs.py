"""Configs made small: phantoms in place of data sets, small images and narrow networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmseg_medical.datasets.phantoms import (
    write_acdc,
    write_brats,
    write_ddr,
    write_decathlon,
    write_idrid,
    write_luna16,
    write_mnms,
    write_synapse,
)

PHOTOGRAPH = (64, 96)
VOLUME = (32, 64, 32)
SLICE = (32, 40)
# square in x and y, which may be turned by 90 degrees
NODULE = (32, 32, 16)
SLICE_DATASETS = ('ACDCDataset', 'MnMsDataset', 'BraTSDataset', 'SynapseDataset', 'MSDSliceDataset')
# the smallest widths: that of HDC-HRNet's blocks, and one whose groups have more than a value on maps of one pixel
WIDTHS = {'HRNetDCN': 8, 'HRNetResNet34': 16}
STREAM_HEADS = ('AggregateHead', 'PointRendHead', 'ConstellationHead', 'ImplicitHead', 'ProjectionHead', 'PointHead')


def write_roots(folder: Path) -> dict[str, str]:
    """Data set class to folder; the names of the photographs are those of the real data, as far as splits need them."""
    write_idrid(folder / 'idrid', num_train=54, num_test=2, size=(48, 72))
    write_ddr(folder / 'ddr', size=(48, 72))
    for task in ('Task01_BrainTumour', 'Task04_Hippocampus'):
        write_decathlon(folder / 'msd', task, num_cases=2, size=(18, 20, 17))
    write_acdc(folder / 'acdc', 1, 0)
    write_mnms(folder / 'mnms', 1, 0, 0)
    write_brats(folder / 'brats', 1)
    write_luna16(folder / 'luna', 10, size=(40, 36, 24), diameter_mm=(3, 8))
    write_synapse(folder / 'synapse', 1, 0, size=(72, 68, 6))
    return {
        'IDRiDDataset': str(folder / 'idrid'),
        'DDRDataset': str(folder / 'ddr'),
        'MSDDataset': str(folder / 'msd'),
        'MSDSliceDataset': str(folder / 'msd'),
        'ACDCDataset': str(folder / 'acdc'),
        'MnMsDataset': str(folder / 'mnms'),
        'BraTSDataset': str(folder / 'brats'),
        'SynapseDataset': str(folder / 'synapse'),
        'LUNA16Dataset': str(folder / 'luna'),
    }


def shrink(cfg: Any, roots: dict[str, str]) -> None:
    """Make the network and the data of a config small; all data sets of slices are those of training."""
    slices = cfg.train_dataloader.dataset.get('type') in SLICE_DATASETS
    width = WIDTHS.get(cfg.model.backbone.type)
    for key in ('model', 'train_dataloader'):
        _shrink(cfg[key], roots, SLICE if slices else PHOTOGRAPH)
    if slices:
        _shrink(cfg.test_dataloader, roots, SLICE)
        for part in ('train', 'test'):
            _redirect(cfg[f'{part}_dataloader'], str(Path(roots['ACDCDataset']).parent / 'store'))
    if width is not None:
        cfg.model.backbone.base_channels = width
        _narrow(cfg.model.decode_head, tuple(width * 2**i for i in range(4)))


def _shrink(node: Any, roots: dict[str, str], size: tuple[int, int]) -> None:
    if isinstance(node, dict):
        if node.get('type') in ('CropOrPadVolume', 'RandomPatch'):
            node['size' if 'size' in node else 'patch_size'] = VOLUME if size != SLICE else SLICE
        if node.get('type') == 'RandomNodulePatch':
            node['patch_size'] = NODULE
        if node.get('type') == 'LUNA16Dataset':
            node['mask_source'], node['mask_root'] = 'mask_dir', 'masks'
        if node.get('type') == 'LoadStoredPatch':
            node['store_dir'] = str(Path(roots['LUNA16Dataset']).parent / 'store')
        if node.get('type') == 'RAREUNet':
            node['target_size'] = VOLUME
        if node.get('type') in ('MSDDataset', *SLICE_DATASETS):  # the lists name the real cases
            node['split'], node['split_file'] = 'train', None
        photograph = node.get('type') != 'CropOrPadVolume'
        for key, small in (('scale', size[::-1]), ('crop_size', size), ('size', size)):
            if photograph and isinstance(node.get(key), (tuple, list)):
                node[key] = small
        if node.get('type') in roots:
            node['data_root'] = roots[node['type']]
    for child in _children(node):
        _shrink(child, roots, size)


def _redirect(node: Any, folder: str) -> None:
    if isinstance(node, dict):
        if node.get('type') in SLICE_DATASETS:
            node['fold'] = None
        for key in ('store_dir', 'cache_dir'):
            if key in node:
                node[key] = folder
    for child in _children(node):
        _redirect(child, folder)


def _narrow(node: Any, streams: tuple[int, ...]) -> None:
    if isinstance(node, dict):
        if node.get('type') in STREAM_HEADS:
            node['in_channels'] = streams
        if node.get('type') == 'RetinalLayer':
            node['out_channels'] = sum(streams)
    for child in _children(node):
        _narrow(child, streams)


def _children(node: Any) -> Any:
    return node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else []
