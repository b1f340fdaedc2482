"""Test-time augmentation that keeps its probabilities."""

from __future__ import annotations

from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class MedicalSegTTAModel(BaseTTAModel):
    """Mean of the probabilities over augmentations, each already back on the native grid.

    The module must be a :class:`MedicalEncoderDecoder`. Samples get ``seg_probs`` (C, H0, W0) beside
    ``pred_sem_seg``, so curves are drawn from the mean that was decided on.
    """

    def merge_preds(self, data_samples_list: list[list[SegDataSample]]) -> list[SegDataSample]:
        """Merge the predictions of each image's augmentations into its first sample."""
        merged = []
        for samples in data_samples_list:
            total = self._probabilities(samples[0])
            for sample in samples[1:]:
                total += self._probabilities(sample)
            total /= len(samples)
            first = samples[0]
            if 'seg_logits' in first:
                del first.seg_logits
            first.set_data(
                dict(
                    seg_probs=PixelData(data=total),
                    pred_sem_seg=PixelData(data=self.module.decide(total, probabilities=True)),
                )
            )
            merged.append(first)
        return merged

    def _probabilities(self, sample: SegDataSample) -> Tensor:
        if 'seg_probs' in sample:  # of a module that averages views by itself
            return sample.seg_probs.data.clone()
        if 'seg_logits' not in sample:
            raise ConfigError(
                'slices of volumes keep no scores for the mean over tta_pipeline; average views inside the network: '
                'tta_cfg=dict(mirror_axes=(1,)), or set test_cfg.keep_scores=True'
            )
        return self.module.activate(sample.seg_logits.data)
