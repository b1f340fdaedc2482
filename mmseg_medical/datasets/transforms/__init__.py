from mmseg_medical.datasets.transforms.counted_random_crop import CountedRandomCrop
from mmseg_medical.datasets.transforms.crop_to_lung_field import CropToLungField
from mmseg_medical.datasets.transforms.field_of_view import FieldOfView
from mmseg_medical.datasets.transforms.lesion_crop import LesionCrop
from mmseg_medical.datasets.transforms.load_case import LoadCase
from mmseg_medical.datasets.transforms.load_case_annotations import LoadCaseAnnotations
from mmseg_medical.datasets.transforms.load_fundus_image import LoadFundusImage
from mmseg_medical.datasets.transforms.load_lesion_annotations import LoadLesionAnnotations
from mmseg_medical.datasets.transforms.load_lung_field import LoadLungField
from mmseg_medical.datasets.transforms.load_nodule_annotations import LoadNoduleAnnotations
from mmseg_medical.datasets.transforms.load_slice import LoadSlice
from mmseg_medical.datasets.transforms.load_stored_patch import LoadStoredPatch
from mmseg_medical.datasets.transforms.load_volume import LoadVolume
from mmseg_medical.datasets.transforms.load_volume_annotations import LoadVolumeAnnotations
from mmseg_medical.datasets.transforms.normalize_inside import NormalizeInside
from mmseg_medical.datasets.transforms.normalize_intensity import NormalizeIntensity
from mmseg_medical.datasets.transforms.pack import PackLesionInputs
from mmseg_medical.datasets.transforms.pack_slice_inputs import PackSliceInputs
from mmseg_medical.datasets.transforms.pack_volume_inputs import PackVolumeInputs
from mmseg_medical.datasets.transforms.random_affine_volume import RandomAffineVolume
from mmseg_medical.datasets.transforms.random_bias_field import RandomBiasField
from mmseg_medical.datasets.transforms.random_flip_volume import RandomFlipVolume
from mmseg_medical.datasets.transforms.random_gain import RandomGain
from mmseg_medical.datasets.transforms.random_intensity import RandomIntensity
from mmseg_medical.datasets.transforms.random_low_resolution import RandomLowResolution
from mmseg_medical.datasets.transforms.random_nodule_patch import RandomNodulePatch
from mmseg_medical.datasets.transforms.random_patch import RandomPatch
from mmseg_medical.datasets.transforms.random_reduced_scale import RandomReducedScale
from mmseg_medical.datasets.transforms.random_rotate90_volume import RandomRotate90Volume
from mmseg_medical.datasets.transforms.resample_in_plane import ResampleInPlane
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
    'CropToLungField',
    'FieldOfView',
    'LesionCrop',
    'LoadCase',
    'LoadCaseAnnotations',
    'LoadFundusImage',
    'LoadLesionAnnotations',
    'LoadLungField',
    'LoadNoduleAnnotations',
    'LoadSlice',
    'LoadStoredPatch',
    'LoadVolume',
    'LoadVolumeAnnotations',
    'NormalizeInside',
    'NormalizeIntensity',
    'PackLesionInputs',
    'PackSliceInputs',
    'PackVolumeInputs',
    'RandomAffineVolume',
    'RandomBiasField',
    'RandomFlipVolume',
    'RandomGain',
    'RandomIntensity',
    'RandomLowResolution',
    'RandomNodulePatch',
    'RandomPatch',
    'RandomReducedScale',
    'RandomRotate90Volume',
    'ReorientVolume',
    'ResampleInPlane',
    'ResampleVolume',
    'SimulateScale',
    'TorchIOTransform',
]
