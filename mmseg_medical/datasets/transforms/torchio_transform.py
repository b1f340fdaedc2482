# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.optional import import_optional
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TorchIOTransform(BaseTransform):
    """A random transform of TorchIO, seeded by the sampler, recorded and replayable.

    TorchIO draws from torch's generator; here it gets one of its own, seeded from numpy's, and the global one stays
    where it was. Every call builds a new transform, so nothing is carried from one image to the next. TorchIO is given
    the spacing, not the orientation: rotations are about the axes of the array. Labels are interpolated as the
    transform says, which is by nearest neighbour unless changed.

    Needs TorchIO: ``pip install 'mmseg-medical[augmentation]'``.

    Required keys: ``img``, and ``gt_seg_map`` where there are labels; both are replaced.

    Recorded, if it acts: ``steps``, TorchIO's history: a list of [name, arguments], JSON-able.

    Args:
        transform (dict): ``type``, a class of TorchIO (``RandomAffine``, ``RandomElasticDeformation``, ``RandomBlur``,
            ``RandomAnisotropy``, ``RandomNoise``, ``RandomGamma``, ``RandomBiasField``, ``RandomMotion``,
            ``RandomGhosting``, ``RandomSpike``, ...), and its arguments.
        prob (float): Probability that it acts.

    Raises:
        ConfigError: (when built) TorchIO has no such transform, or refuses the arguments.
        ImportError: TorchIO is not installed.
    """

    def __init__(self, transform: Mapping[str, Any], prob: float = 1.0) -> None:
        super().__init__()
        if not 0 <= prob <= 1:
            raise ConfigError(f'prob of TorchIOTransform must be in [0, 1], found {prob}')
        self.arguments = dict(transform)
        self.type = str(self.arguments.pop('type', None))
        self.prob = prob
        self._build(self.type, self.arguments)  # wrong ones are refused here, not in a worker

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, apply, record.

        Raises:
            RuntimeError: The labels lie on another grid than the image.
        """
        check_label_follows(results, type(self).__name__)
        acts, seed = np.random.random_sample() < self.prob, int(np.random.randint(2**31))
        if not acts:
            return results
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            subject = self._build(self.type, self.arguments)(_subject(results))
        steps = [[name, _to_json(arguments)] for name, arguments in subject.applied_transforms]
        return _finish(results, subject, dict(type='TorchIOTransform', name=self.type, steps=steps))

    @classmethod
    def replay(cls, results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Do again what ``record`` of ``augmentations`` says, after a way through JSON too."""
        subject = _subject(results)
        with torch.random.fork_rng(devices=[]):
            for name, arguments in record['steps']:
                subject = cls._build(name, _from_json(arguments))(subject)
        return _finish(results, subject, dict(record))

    @staticmethod
    def _build(name: str, arguments: Mapping[str, Any]) -> Any:
        torchio = import_optional('torchio', 'augmentation')
        kind = getattr(torchio.transforms, name, None)
        if not (isinstance(kind, type) and issubclass(kind, torchio.Transform)):
            known = [key for key in dir(torchio.transforms) if key[:1].isupper()]
            raise ConfigError(f'TorchIO has no transform {name!r}.{did_you_mean(name, known)}')
        try:
            return kind(**{**arguments, 'copy': False})
        except (TypeError, ValueError) as error:
            raise ConfigError(f'TorchIO refuses the arguments of {name}: {error}') from error

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.type}, {self.arguments}, prob={self.prob})'


def _subject(results: dict[str, Any]) -> Any:
    torchio = import_optional('torchio', 'augmentation')
    rank = results['img'].ndim - 1
    spacing = results.get('spacing_mm') or (1.0,) * rank
    affine = np.diag([*spacing, *(1.0,) * (3 - rank), 1.0])
    images = {'image': torchio.ScalarImage(tensor=_four_axes(results['img'], rank), affine=affine)}
    if 'gt_seg_map' in results:
        images['label'] = torchio.LabelMap(tensor=_four_axes(results['gt_seg_map'], rank), affine=affine)
    return torchio.Subject(**images)


def _four_axes(array: np.ndarray, rank: int) -> torch.Tensor:
    """Copy to (C, I, J, K), which is what TorchIO takes."""
    lead = array.shape[: array.ndim - rank] or (1,)
    dtype = array.dtype if array.dtype.name in ('float32', 'uint8', 'int16', 'int32') else np.int32
    return torch.from_numpy(np.array(array, dtype, order='C').reshape(*lead, *array.shape[-rank:], *(1,) * (3 - rank)))


def _finish(results: dict[str, Any], subject: Any, record: dict[str, Any]) -> dict[str, Any]:
    for key, name in (('img', 'image'), ('gt_seg_map', 'label')):
        if key in results:
            old, new = results[key], subject[name].data.numpy()
            if new.size != old.size:
                raise ConfigError(
                    f'{record["name"]} changes the size from {old.shape} to {new.shape}: use a transform '
                    'of the grid (ResampleVolume, CropOrPadVolume, RandomPatch) instead'
                )
            results[key] = np.ascontiguousarray(new.reshape(old.shape), old.dtype)
    results.pop('class_locations', None)
    results['augmentations'] = [*results.get('augmentations', []), record]
    return results


def _to_json(value: Any) -> Any:
    """Make JSON of TorchIO's arguments; arrays keep their type, tuples and arrays can be told apart from lists."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return {'array': value.tolist(), 'dtype': value.dtype.name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {'tuple': [_to_json(item) for item in value]}
    return [_to_json(item) for item in value] if isinstance(value, list) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {'array', 'dtype'}:
            return np.array(value['array'], value['dtype'])
        if set(value) == {'tuple'}:
            return tuple(_from_json(item) for item in value['tuple'])
        return {key: _from_json(item) for key, item in value.items()}
    return [_from_json(item) for item in value] if isinstance(value, list) else value
