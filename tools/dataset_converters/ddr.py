"""DDR's official tree to the merged layout: python tools/dataset_converters/ddr.py data/DDR-dataset data/DDR-merged.

Photographs are cut to their field of view and stretched to 1280 x 1280 unless ``--preprocess none`` is given.
"""

from converter import convert

from mmseg_medical.datasets import DDRDataset

if __name__ == '__main__':
    convert(DDRDataset, ('train', 'valid', 'test'), default_mode='crop_resize')
