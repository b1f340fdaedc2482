"""M&Ms' official tree to HDC-HRNet's layout: python tools/dataset_converters/mnms.py data/MnMs data/preprocessed."""

from slices_converter import convert

from mmseg_medical.datasets import MnMsDataset

if __name__ == '__main__':
    convert(MnMsDataset, 'MnM', dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)))
