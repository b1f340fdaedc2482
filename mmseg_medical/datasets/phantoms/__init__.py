from mmseg_medical.datasets.phantoms.decathlon import write_decathlon
from mmseg_medical.datasets.phantoms.fundus import FundusPhantom, fundus_phantom
from mmseg_medical.datasets.phantoms.trees import write_ddr, write_idrid

__all__ = ['FundusPhantom', 'fundus_phantom', 'write_ddr', 'write_decathlon', 'write_idrid']
