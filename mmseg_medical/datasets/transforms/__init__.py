from mmseg_medical.datasets.transforms.counted_random_crop import CountedRandomCrop
from mmseg_medical.datasets.transforms.field_of_view import FieldOfView
from mmseg_medical.datasets.transforms.lesion_crop import LesionCrop
from mmseg_medical.datasets.transforms.load_fundus_image import LoadFundusImage
from mmseg_medical.datasets.transforms.load_lesion_annotations import LoadLesionAnnotations
from mmseg_medical.datasets.transforms.load_stored_patch import LoadStoredPatch
from mmseg_medical.datasets.transforms.load_volume import LoadVolume
from mmseg_medical.datasets.transforms.load_volume_annotations import LoadVolumeAnnotations
from mmseg_medical.datasets.transforms.normalize_intensity import NormalizeIntensity
from mmseg_medical.datasets.transforms.pack import PackLesionInputs
from mmseg_medical.datasets.transforms.pack_volume_inputs import PackVolumeInputs
from mmseg_medical.datasets.transforms.random_affine_volume import RandomAffineVolume
from mmseg_medical.datasets.transforms.random_bias_field import RandomBiasField
from mmseg_medical.datasets.transforms.random_flip_volume import RandomFlipVolume
from mmseg_medical.datasets.transforms.random_low_resolution import RandomLowResolution
from mmseg_medical.datasets.transforms.random_patch import RandomPatch
from mmseg_medical.datasets.transforms.random_reduced_scale import RandomReducedScale
from mmseg_medical.datasets.transforms.simulate_scale import SimulateScale
from mmseg_medical.datasets.transforms.torchio_transform import TorchIOTransform
from mmseg_medical.datasets.transforms.volume_grid import (
    CropOrPadVolume,
    CropToForeground,
    ReorientVolume,
    ResampleVolume,
)

__all__ = [
    'CountedRandomCrop',
    'CropOrPadVolume',
    'CropToForeground',
    'FieldOfView',
    'LesionCrop',
    'LoadFundusImage',
    'LoadLesionAnnotations',
    'LoadStoredPatch',
    'LoadVolume',
    'LoadVolumeAnnotations',
    'NormalizeIntensity',
    'PackLesionInputs',
    'PackVolumeInputs',
    'RandomAffineVolume',
    'RandomBiasField',
    'RandomFlipVolume',
    'RandomLowResolution',
    'RandomPatch',
    'RandomReducedScale',
    'ReorientVolume',
    'ResampleVolume',
    'SimulateScale',
    'TorchIOTransform',
]
