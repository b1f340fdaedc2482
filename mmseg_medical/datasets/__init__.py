from mmseg_medical.datasets.acdc import ACDCDataset
from mmseg_medical.datasets.brats import BraTSDataset
from mmseg_medical.datasets.ddr import DDRDataset
from mmseg_medical.datasets.decathlon import MSDDataset
from mmseg_medical.datasets.decathlon_slices import MSDSliceDataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.fundus_lesions import FundusLesionDataset
from mmseg_medical.datasets.idrid import IDRiDDataset
from mmseg_medical.datasets.leakage import check_disjoint
from mmseg_medical.datasets.luna16 import LUNA16Dataset
from mmseg_medical.datasets.mnms import MnMsDataset
from mmseg_medical.datasets.slices import SliceDataset
from mmseg_medical.datasets.synapse import SynapseDataset

__all__ = [
    'ACDCDataset',
    'BraTSDataset',
    'DDRDataset',
    'DataError',
    'FundusLesionDataset',
    'IDRiDDataset',
    'LUNA16Dataset',
    'MSDDataset',
    'MSDSliceDataset',
    'MnMsDataset',
    'SliceDataset',
    'SynapseDataset',
    'check_disjoint',
]
