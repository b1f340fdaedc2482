from mmseg_medical.datasets.ddr import DDRDataset
from mmseg_medical.datasets.decathlon import MSDDataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.fundus_lesions import FundusLesionDataset
from mmseg_medical.datasets.idrid import IDRiDDataset
from mmseg_medical.datasets.leakage import check_disjoint

__all__ = ['DDRDataset', 'DataError', 'FundusLesionDataset', 'IDRiDDataset', 'MSDDataset', 'check_disjoint']
