"""IDRiD's official tree to the merged layout: python tools/dataset_converters/idrid.py data/IDRiD data/IDRiD-merged."""

from converter import convert

from mmseg_medical.datasets import IDRiDDataset

if __name__ == '__main__':
    convert(IDRiDDataset, ('train', 'test'))
