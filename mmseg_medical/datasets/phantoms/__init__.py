from mmseg_medical.datasets.phantoms.abdomen import write_synapse
from mmseg_medical.datasets.phantoms.brain import write_brats
from mmseg_medical.datasets.phantoms.cardiac import write_acdc, write_mnms
from mmseg_medical.datasets.phantoms.chest import write_luna16
from mmseg_medical.datasets.phantoms.decathlon import write_decathlon
from mmseg_medical.datasets.phantoms.fundus import FundusPhantom, fundus_phantom
from mmseg_medical.datasets.phantoms.trees import write_ddr, write_idrid

__all__ = [
    'FundusPhantom',
    'fundus_phantom',
    'write_acdc',
    'write_brats',
    'write_ddr',
    'write_decathlon',
    'write_idrid',
    'write_luna16',
    'write_mnms',
    'write_synapse',
]
