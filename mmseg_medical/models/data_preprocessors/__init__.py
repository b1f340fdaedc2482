from mmseg_medical.models.data_preprocessors.volume import VolumeDataPreProcessor

__all__ = ['VolumeDataPreProcessor']
