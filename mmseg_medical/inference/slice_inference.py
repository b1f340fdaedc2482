"""Networks of slices go over one volume, from its file to labels on the grid of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import Tensor

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.patch_store import Case
from mmseg_medical.datasets.slices import PLANES, checked_planes, cut_slice
from mmseg_medical.datasets.slices.files import read_any
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Grid, Reorient, Volume, restore, restore_labels
from mmseg_medical.inference.pipelines import build_pipeline, file_channels, pipeline_steps, slice_loader, step_type
from mmseg_medical.inference.slice_scores import slice_scores
from mmseg_medical.inference.volume_inference import Prediction, first_volume
from mmseg_medical.models.segmentors import MedicalEncoderDecoder, VolumeSegmentor
from mmseg_medical.models.segmentors.averaging import Network, View, averaged, views_of
from mmseg_medical.models.segmentors.deciding import air_scores
from mmseg_medical.models.segmentors.uncertainty import MemberSums


class _Turned(NamedTuple):
    """A volume as its slices are cut: prepared, with the order of its axes and the grid of the file."""

    case_id: str
    case: Case
    order: str | None
    native: Grid


class SliceInference:
    """One or several networks of slices of one config, whose pipeline begins with ``LoadSlice``.

    A volume is prepared once for each plane, in memory; nothing is stored. As many slices at a time as
    ``test_dataloader.batch_size`` go through the networks, whose probabilities are averaged, and back to the grid of
    the file, as in tests. Probabilities of several planes are averaged there, K float32 a voxel.

    Args:
        models (Sequence[MedicalEncoderDecoder | VolumeSegmentor]): Of two axes, in evaluation mode.
        cfg (Config): The experiment.
        tta (bool | Sequence[int]): Average views: True those of ``test_cfg``, which has taken in ``tta_cfg``; axes, 0
            or 1, those that are mirrored along all their subsets.
        precision (torch.dtype | None): What to compute in; None for float32.
        planes (str | Sequence[str]): Whose slices the networks see; none: as in tests of the config.
        samples (int): Times that each network is gone through, which its dropout makes different ones.

    Raises:
        ConfigError: There are no views, the axes or planes are wrong, or ``LoadSlice`` does not come first or does not
            make the channels of the network.
    """

    def __init__(
        self,
        models: Sequence[MedicalEncoderDecoder | VolumeSegmentor],
        cfg: Config,
        tta: bool | Sequence[int] = False,
        precision: torch.dtype | None = None,
        planes: str | Sequence[str] = (),
        samples: int = 1,
    ) -> None:
        self.models = list(models)
        self.first = self.models[0]
        self.precision = precision
        test = cfg.get('test_dataloader') or {}
        self.planes = checked_planes(planes) if planes else ()
        self.orders: list[str | None] = [PLANES[plane] for plane in self.planes]
        if not self.orders:
            self.orders = [_order_of_axes(test.get('dataset') or {})]
        views = _views(self.first, tta)
        members: list[Network] = [model.network for model in self.models for _ in range(samples)]
        self.averages = len(members) > 1 or len(views) > 1 or len(self.orders) > 1
        self.network: Network = self.first.network
        if self.averages:
            self.network = averaged(members, self.first.activate, views)
        self.members = [averaged([member], self.first.activate, views) for member in members]
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
        self.batch_size = int(test.get('batch_size') or 1)

    def load_image(self, image: Any) -> Volume:
        """Return the image, of several modalities the first, as it is drawn."""
        return first_volume(image, 3)

    @torch.no_grad()
    def predict(self, image: Any, case_id: str, probabilities: bool) -> Prediction:
        """Segment one volume; see :meth:`VolumeInference.predict`."""
        decide, air = partial(self.first.decide, probabilities=self.averages), self._air(self.averages)
        if not probabilities and len(self.orders) == 1:
            (turned,) = self._turned(image, case_id)
            return self._over_volume(turned, self.network, air, partial(_labels, decide)), None, turned.native
        scores, native = self._mean(image, case_id, air)
        tensor = torch.from_numpy(scores)
        labels = decide(tensor).numpy()
        if not probabilities:
            return labels, None, native
        return labels, (tensor if self.averages else self.first.activate(tensor)).numpy(), native

    @torch.no_grad()
    def predict_members(self, image: Any, case_id: str) -> tuple[np.ndarray, MemberSums, Grid]:
        """See :meth:`VolumeInference.predict_members`; each network is a member in each plane."""
        sums, air = MemberSums(self.first.multi_label), self._air(True)
        for turned in self._turned(image, case_id):
            for member in self.members:
                sums.add(torch.from_numpy(self._over_volume(turned, member, air, partial(_scores, air))))
        return self.first.decide(sums.probabilities(), probabilities=True).numpy(), sums, turned.native

    def _air(self, probabilities: bool) -> list[float]:
        return air_scores(self.first.out_channels, self.first.multi_label, probabilities)

    def _mean(self, image: Any, case_id: str, air: list[float]) -> tuple[np.ndarray, Grid]:
        """Scores of the file, mean over the planes."""
        volumes = self._turned(image, case_id)
        first = next(volumes)
        total = self._over_volume(first, self.network, air, partial(_scores, air))
        for turned in volumes:
            total += self._over_volume(turned, self.network, air, partial(_scores, air))
        return np.divide(total, len(self.orders), out=total), first.native

    def _turned(self, image: Any, case_id: str) -> Iterator[_Turned]:
        """Prepare a volume for each order of axes, one after the other."""
        images = image if isinstance(image, list | tuple) else [image]
        volumes = [read_any(one) if isinstance(one, str | Path) else one for one in images]
        given = volumes[0] if isinstance(volumes[0], Volume) else None
        if self.planes and (given is None or given.affine is None):
            raise data_error(
                case_id,
                expected='an affine, which tells the planes apart',
                found='an image without geometry',
                remedy='Store it as NIfTI, or leave out planes, for slices across its last axis.',
            )
        name = given.source if given is not None else ''
        for order in self.orders:
            entry = {'volume': volumes, 'img_path': name or case_id, 'case_id': case_id, 'orientation': order}
            results = self.prepare_volume(entry)
            del results['volume']
            case = Case.of_results(results, {})
            yield _Turned(case_id, case, order, case.fields['native_grid'] if given is None else given.grid)

    def _over_volume(
        self,
        turned: _Turned,
        network: Network,
        air: Sequence[float],
        finish: Callable[[Tensor, Sequence[Any]], np.ndarray],
    ) -> np.ndarray:
        """What ``finish`` makes of the scores of each slice and the steps that led to it, (D, *S)."""
        size = turned.case.fields['native_grid'].size
        whole: np.ndarray | None = None
        for index, scores, steps in self._slices(turned, network, air):
            found = finish(scores, steps)
            if whole is None:
                whole = np.empty((len(found), *size), found.dtype)
            whole[..., index] = found
        if whole is None:
            raise data_error(
                turned.case_id, expected='a volume', found=f'no slices (size {size})', remedy='Copy it again.'
            )
        if turned.order is not None and turned.native.affine is not None:
            whole = Reorient.plan(turned.native, turned.order).invert(whole, 'nearest')
        return np.ascontiguousarray(whole)

    def _slices(
        self, turned: _Turned, network: Network, air: Sequence[float]
    ) -> Iterator[tuple[int, Tensor, Sequence[Any]]]:
        """Index of each slice, its scores (D, *S) as it was prepared, and the steps that led there."""
        number = turned.case.fields['native_grid'].size[2]
        device = next(self.first.parameters()).device.type
        for start in range(0, number, self.batch_size):
            places = range(start, min(start + self.batch_size, number))
            batch = [self._packed(turned, index, number) for index in places]
            data = self.first.data_preprocessor(pseudo_collate(batch), False)
            with torch.autocast(device, self.precision or torch.bfloat16, enabled=self.precision is not None):
                scores = slice_scores(self.first, data, network, air)
            for index, one, sample in zip(places, scores, data['data_samples'], strict=True):
                yield index, one, sample.metainfo.get('grid_steps') or ()

    def _packed(self, turned: _Turned, index: int, number: int) -> dict[str, Any]:
        case_id = turned.case_id
        cut = cut_slice(turned.case, index, number, self.neighbours, self.copies, case_id)
        place = {'case_id': case_id, 'volume_id': case_id, 'slice_index': index, 'num_slices': number}
        return self.prepare_slice({**cut, **place})


def _labels(decide: Callable[[Tensor], Tensor], scores: Tensor, steps: Sequence[Any]) -> np.ndarray:
    return restore_labels(scores, steps, decide)


def _scores(air: Sequence[float], scores: Tensor, steps: Sequence[Any]) -> np.ndarray:
    return restore(scores.cpu().numpy(), steps, 'linear', fill=air)


def _order_of_axes(dataset: Mapping[str, Any]) -> str | None:
    """Order of axes of the volumes of a test."""
    if not dataset.get('planes'):
        return dataset.get('orientation')
    planes = checked_planes(dataset['planes'])
    if len(planes) > 1:
        raise ConfigError(
            f'test_dataloader.dataset.planes must be one plane, found {list(planes)}; Predictor(..., planes=...) and '
            'tools/predict.py --planes average several'
        )
    return PLANES[planes[0]]


def _views(model: MedicalEncoderDecoder | VolumeSegmentor, tta: bool | Sequence[int]) -> list[View]:
    if not isinstance(tta, bool):
        return views_of(tta, False, 2)
    if tta and not model.gives_probabilities:
        raise ConfigError(
            'test-time augmentation of slices needs mirror_axes or quarter_turns in tta_cfg of the config, or axes '
            'instead of True: tta=(1,)'
        )
    if isinstance(model, MedicalEncoderDecoder):
        return model.views
    return views_of(model.test_cfg.get('mirror_axes') or (), False, 2)
