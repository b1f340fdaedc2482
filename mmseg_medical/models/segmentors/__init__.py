from mmseg_medical.models.segmentors.medical_encoder_decoder import MedicalEncoderDecoder
from mmseg_medical.models.segmentors.seg_tta import MedicalSegTTAModel

__all__ = ['MedicalEncoderDecoder', 'MedicalSegTTAModel']
