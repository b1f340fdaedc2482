"""Synapse's official tree to HDC-HRNet's layout.

python tools/dataset_converters/synapse.py data/Synapse data/preprocessed
"""

from slices_converter import convert

from mmseg_medical.datasets import SynapseDataset

if __name__ == '__main__':
    convert(SynapseDataset, 'Synapse', dict(type='NormalizeIntensity', mode='window', center=40, width=400))
