from mmseg_medical.models.segmentors.medical_cascade_encoder_decoder import MedicalCascadeEncoderDecoder
from mmseg_medical.models.segmentors.medical_encoder_decoder import MedicalEncoderDecoder
from mmseg_medical.models.segmentors.rare_unet_segmentor import RAREUNetSegmentor
from mmseg_medical.models.segmentors.seg_tta import MedicalSegTTAModel
from mmseg_medical.models.segmentors.volume_segmentor import VolumeSegmentor

__all__ = [
    'MedicalCascadeEncoderDecoder',
    'MedicalEncoderDecoder',
    'MedicalSegTTAModel',
    'RAREUNetSegmentor',
    'VolumeSegmentor',
]
