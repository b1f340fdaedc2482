"""ACDC's official tree to HDC-HRNet's layout: python tools/dataset_converters/acdc.py data/ACDC data/preprocessed."""

from slices_converter import convert

from mmseg_medical.datasets import ACDCDataset

if __name__ == '__main__':
    convert(ACDCDataset, 'ACDC', dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)))
