from mmseg_medical.datasets.transforms.counted_random_crop import CountedRandomCrop
from mmseg_medical.datasets.transforms.field_of_view import FieldOfView
from mmseg_medical.datasets.transforms.lesion_crop import LesionCrop
from mmseg_medical.datasets.transforms.load_fundus_image import LoadFundusImage
from mmseg_medical.datasets.transforms.load_lesion_annotations import LoadLesionAnnotations
from mmseg_medical.datasets.transforms.pack import PackLesionInputs

__all__ = [
    'CountedRandomCrop',
    'FieldOfView',
    'LesionCrop',
    'LoadFundusImage',
    'LoadLesionAnnotations',
    'PackLesionInputs',
]
