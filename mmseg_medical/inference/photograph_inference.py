"""Networks segment one photograph, from its file to labels on its pixels."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import Tensor

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.image_io import decode_image, read_bytes
from mmseg_medical.errors import ConfigError, building
from mmseg_medical.geometry import Grid, Volume
from mmseg_medical.inference.pipelines import build_pipeline, pipeline_steps
from mmseg_medical.inference.volume_inference import Prediction
from mmseg_medical.models.segmentors import MedicalEncoderDecoder
from mmseg_medical.registry import MODELS

#: suffixes of the photographs that can be read
PHOTOGRAPH_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')


class PhotographInference:
    """One or several :class:`MedicalEncoderDecoder` of one config, whose probabilities are averaged.

    Args:
        models (Sequence[MedicalEncoderDecoder]): In evaluation mode.
        cfg (Config): The experiment.
        tta (bool | Sequence[int]): True averages over the views of ``tta_cfg``, else of ``tta_pipeline``.
        precision (torch.dtype | None): What to compute in; None for float32.

    Raises:
        ConfigError: Axes are given, or the config has no views.
    """

    def __init__(
        self,
        models: Sequence[MedicalEncoderDecoder],
        cfg: Config,
        tta: bool | Sequence[int] = False,
        precision: torch.dtype | None = None,
    ) -> None:
        if not isinstance(tta, bool):
            raise ConfigError('the views of a model of photographs are those of tta_pipeline: tta=True, not axes')
        tta = tta and 'tta_cfg' not in cfg  # segmentors then average views by themselves
        missing = [key for key in ('tta_pipeline', 'tta_model') if tta and key not in cfg]
        if missing:
            raise ConfigError(f'test-time augmentation needs {" and ".join(missing)} in the config')
        self.models = list(models)
        self.first = self.models[0]
        self.precision = precision
        self.segmentors: list[Any] = self.models
        if tta:
            with building('tta_model'):
                self.segmentors = [MODELS.build({**cfg.tta_model, 'module': model}) for model in self.models]
        self.pipeline = build_pipeline(pipeline_steps(cfg, 'tta_pipeline' if tta else 'pipeline'))

    def prepare(self, image: Any, case_id: str) -> dict[str, Any]:
        """Say what of the pipeline's keys an image is.

        Raises:
            DataError: It is no colour photograph.
        """
        if isinstance(image, list | tuple):
            raise data_error(
                ', '.join(str(getattr(one, 'name', one))[:80] for one in image) or 'case',
                expected='one photograph with three channels',
                found=f'{len(image)} images',
                remedy='Models of photographs have no further modalities.',
            )
        if isinstance(image, Volume | np.ndarray):
            return {'img': _pixels(image, case_id), 'img_path': case_id, 'case_id': case_id}
        if not str(image).lower().endswith(PHOTOGRAPH_SUFFIXES):
            found = 'a folder' if Path(image).is_dir() else repr(Path(image).suffix)
            raise data_error(
                image,
                expected=f'a photograph ending in {", ".join(PHOTOGRAPH_SUFFIXES)}',
                found=found,
                remedy='This model segments photographs; volumes need a model of volumes.',
            )
        return {'img_path': str(image), 'case_id': case_id}

    def load_image(self, image: Any) -> Volume:
        """Return the photograph as it is drawn, (H, W, 3) in RGB."""
        if isinstance(image, Volume):
            return image
        name = 'image' if isinstance(image, np.ndarray) else str(image)
        pixels = image if isinstance(image, np.ndarray) else decode_image(read_bytes(image), image)
        return Volume(pixels[:, :, ::-1], None, name, has_channels=True)

    @torch.no_grad()
    def predict(self, image: Any, case_id: str, probabilities: bool) -> Prediction:
        """Segment one photograph; see :meth:`VolumeInference.predict`. The grid has no affine."""
        packed = self.pipeline(self.prepare(image, case_id))
        samples = [self._sample(segmentor, packed) for segmentor in self.segmentors]
        if len(samples) == 1 and not probabilities:
            labels = samples[0].pred_sem_seg.data
            values = None
        else:
            total = self._probabilities(samples[0])
            for sample in samples[1:]:
                total += self._probabilities(sample)
            total /= len(samples)
            labels, values = self.first.decide(total, probabilities=True), total.cpu().numpy()
            if len(samples) == 1:
                labels = samples[0].pred_sem_seg.data
        grid = Grid(tuple(labels.shape[1:]), None, case_id)
        return labels.cpu().numpy(), values if probabilities else None, grid

    def _sample(self, segmentor: Any, packed: dict[str, Any]) -> Any:
        batch = pseudo_collate([copy.deepcopy(packed)])  # a network moves and fills what it gets
        device = next(self.first.parameters()).device.type
        with torch.autocast(device, self.precision or torch.bfloat16, enabled=self.precision is not None):
            return segmentor.test_step(batch)[0]

    def _probabilities(self, sample: Any) -> Tensor:
        if 'seg_probs' in sample:
            return sample.seg_probs.data
        return self.first.activate(sample.seg_logits.data.float())


def _pixels(image: Volume | np.ndarray, case_id: str) -> np.ndarray:
    """Pixels (H, W, 3) in OpenCV's order of colours, as the pipeline has them."""
    array = image.array if isinstance(image, Volume) else image
    name = (image.source if isinstance(image, Volume) else '') or case_id or 'image'
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise data_error(
            name,
            expected='a photograph of shape (rows, columns, 3), uint8',
            found=f'shape {array.shape}, {array.dtype}',
            remedy='This model segments colour photographs.',
        )
    return np.ascontiguousarray(array[:, :, ::-1] if isinstance(image, Volume) else array)
