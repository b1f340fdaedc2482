"""Networks of slices go over one volume, from its file to labels on the grid of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.patch_store import Case
from mmseg_medical.datasets.slices import cut_slice
from mmseg_medical.datasets.slices.files import read_any
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Grid, Reorient, Volume
from mmseg_medical.inference.pipelines import build_pipeline, file_channels, pipeline_steps, slice_loader, step_type
from mmseg_medical.inference.volume_inference import Prediction, first_volume
from mmseg_medical.models.segmentors import MedicalEncoderDecoder
from mmseg_medical.models.segmentors.averaging import Network, View, averaged, views_of


class SliceInference:
    """One or several :class:`MedicalEncoderDecoder` of one config whose pipeline begins with ``LoadSlice``.

    A volume is prepared once, in memory; nothing is stored. As many slices at a time as ``test_dataloader.batch_size``
    go through the networks, whose probabilities are averaged, and back to the grid of the file, as in tests.

    Args:
        models (Sequence[MedicalEncoderDecoder]): In evaluation mode.
        cfg (Config): The experiment.
        tta (bool | Sequence[int]): Average views: True those of ``test_cfg``, which has taken in ``tta_cfg``; axes, 0
            or 1, those that are mirrored along all their subsets.
        precision (torch.dtype | None): What to compute in; None for float32.

    Raises:
        ConfigError: There are no views, the axes are wrong, or ``LoadSlice`` does not come first or does not make the
            channels of the network.
    """

    def __init__(
        self,
        models: Sequence[MedicalEncoderDecoder],
        cfg: Config,
        tta: bool | Sequence[int] = False,
        precision: torch.dtype | None = None,
    ) -> None:
        self.models = list(models)
        self.first = self.models[0]
        self.precision = precision
        views = _views(self.first, tta)
        self.averages = len(self.models) > 1 or len(views) > 1
        self.network: Network = self.first.network
        if self.averages:
            self.network = averaged([model.network for model in self.models], self.first.activate, views)
        steps = pipeline_steps(cfg)
        loader = slice_loader(steps)
        if loader is None or loader is not steps[0]:
            raise ConfigError(f'LoadSlice must be the first step of the test pipeline, found {step_type(steps[0])}')
        self.neighbours, self.copies = loader.get('neighbours', 0), loader.get('copies', 1)
        channels = file_channels(loader, getattr(self.first.backbone, 'in_channels', None))
        prepare = [
            {**step, 'num_channels': channels} if step_type(step) == 'LoadCase' else step for step in loader['pipeline']
        ]
        self.prepare_volume, self.prepare_slice = build_pipeline(prepare), build_pipeline(steps[1:])
        test = cfg.get('test_dataloader') or {}
        self.batch_size = int(test.get('batch_size') or 1)
        self.orientation = (test.get('dataset') or {}).get('orientation')

    def load_image(self, image: Any) -> Volume:
        """Return the image, of several modalities the first, as it is drawn."""
        return first_volume(image, 3)

    @torch.no_grad()
    def predict(self, image: Any, case_id: str, probabilities: bool) -> Prediction:
        """Segment one volume; see :meth:`VolumeInference.predict`."""
        volumes = [_as_read(one) for one in (image if isinstance(image, list | tuple) else [image])]
        case = self._prepared(volumes, case_id)
        turned: Grid = case.fields['native_grid']
        labels: np.ndarray | None = None
        values: np.ndarray | None = None
        for index, sample in self._slices(case, case_id, probabilities):
            found = sample.pred_sem_seg.data.numpy()
            if labels is None:
                labels = np.empty((len(found), *turned.size), found.dtype)
            labels[..., index] = found
            if probabilities:
                if values is None:
                    values = np.empty((self.first.out_channels, *turned.size), np.float32)
                values[..., index] = self._probabilities(sample).numpy()
        if labels is None:
            raise data_error(
                case_id, expected='a volume', found=f'no slices (size {turned.size})', remedy='Copy it again.'
            )
        native = volumes[0].grid if isinstance(volumes[0], Volume) else turned
        if self.orientation is not None and native.affine is not None:
            step = Reorient.plan(native, self.orientation)
            labels = step.invert(labels, 'nearest')
            values = None if values is None else step.invert(values, 'nearest')
        return labels, values, native

    def _prepared(self, volumes: Sequence[Volume | np.ndarray], case_id: str) -> Case:
        name = volumes[0].source if isinstance(volumes[0], Volume) else ''
        entry = {'volume': list(volumes), 'img_path': name or case_id, 'case_id': case_id}
        results = self.prepare_volume({**entry, 'orientation': self.orientation})
        del results['volume']
        return Case.of_results(results, {})

    def _slices(self, case: Case, case_id: str, keep_scores: bool) -> Iterator[tuple[int, SegDataSample]]:
        """Index of each slice, and a sample with its prediction on the slice of the file."""
        number = case.fields['native_grid'].size[2]
        device = next(self.first.parameters()).device.type
        for start in range(0, number, self.batch_size):
            places = range(start, min(start + self.batch_size, number))
            batch = [self._packed(case, case_id, index, number) for index in places]
            data = self.first.data_preprocessor(pseudo_collate(batch), False)
            with torch.autocast(device, self.precision or torch.bfloat16, enabled=self.precision is not None):
                scores = self.first.infer(data['inputs'], self.network)
            yield from zip(
                places,
                self.first.postprocess_result(scores, data['data_samples'], self.averages, keep_scores),
                strict=True,
            )

    def _packed(self, case: Case, case_id: str, index: int, number: int) -> dict[str, Any]:
        cut = cut_slice(case, index, number, self.neighbours, self.copies, case_id)
        place = {'case_id': case_id, 'volume_id': case_id, 'slice_index': index, 'num_slices': number}
        return self.prepare_slice({**cut, **place})

    def _probabilities(self, sample: SegDataSample) -> Tensor:
        return sample.seg_probs.data if self.averages else self.first.activate(sample.seg_logits.data)


def _as_read(image: Any) -> Volume | np.ndarray:
    return read_any(image) if isinstance(image, str | Path) else image


def _views(model: MedicalEncoderDecoder, tta: bool | Sequence[int]) -> list[View]:
    if not isinstance(tta, bool):
        return views_of(tta, False, 2)
    if tta and not model.gives_probabilities:
        raise ConfigError(
            'test-time augmentation of slices needs mirror_axes or quarter_turns in tta_cfg of the config, or axes '
            'instead of True: tta=(1,)'
        )
    return model.views
