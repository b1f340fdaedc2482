"""What every data set of cases does: names them in errors, seeds their draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.samplers import seed_sample
from mmseg_medical.registry import TRANSFORMS


class CaseDataset(BaseDataset):
    """mmengine's data set whose entries have a ``case_id``, which errors of the pipeline name.

    Args:
        data_root (str): Folder of the data set.
        split (str): Part of it.
        split_file (str | None): File that says which cases are in which part, see :mod:`mmseg_medical.datasets.splits`.
        pipeline (Sequence[dict | Callable]): Transforms, of this package's registry.
        metainfo (dict): Classes and palette.
        test_mode (bool): As in mmengine.
        **kwargs: Further arguments of :class:`mmengine.dataset.BaseDataset` (``indices``, ``lazy_init``, ...).
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        *,
        split_file: str | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        self.split = split
        self.split_file = split_file
        # serialising pays for long lists only, and costs a garbage collection for every data set made
        kwargs.setdefault('serialize_data', False)
        super().__init__(
            data_root=str(data_root),
            metainfo=metainfo,
            data_prefix={},
            pipeline=[TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline],
            test_mode=test_mode,
            **kwargs,
        )

    @property
    def description(self) -> str:
        """Data set and split, for messages."""
        return f'{type(self).__name__} split {self.split!r}'

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; an error names the case it came from."""
        seed_sample(idx)
        try:
            return super().prepare_data(idx)
        except DataError as error:
            raise DataError(f'{self.description}, case {self.get_data_info(idx)["case_id"]}: {error}') from error
        except Exception as error:
            case = self.get_data_info(idx)['case_id']
            raise RuntimeError(f'{self.description}, case {case}: {type(error).__name__}: {error}') from error
