"""BraTS' official tree to HDC-HRNet's layout.

python tools/dataset_converters/brats.py data/BraTS2021 data/preprocessed

As in the release, mean and deviation are those where T1 is above 0, and the background is shifted and scaled with the
rest. With ``--modalities`` it is where the first of these is above 0.
"""

from slices_converter import convert

from mmseg_medical.datasets import BraTSDataset

if __name__ == '__main__':
    convert(BraTSDataset, 'BraTS21', dict(type='NormalizeInside', region='channel', outside='same'))
