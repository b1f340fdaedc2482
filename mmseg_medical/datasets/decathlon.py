"""The ten tasks of the Medical Segmentation Decathlon (Antonelli et al. 2022, doi:10.1038/s41467-022-30695-9)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mmseg_medical.datasets.case_dataset import CaseDataset
from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.splits import check_part, read_split, select_cases
from mmseg_medical.errors import did_you_mean
from mmseg_medical.geometry import file_stem
from mmseg_medical.registry import DATASETS

#: folders of the release
TASKS = (
    'Task01_BrainTumour',
    'Task02_Heart',
    'Task03_Liver',
    'Task04_Hippocampus',
    'Task05_Prostate',
    'Task06_Lung',
    'Task07_Pancreas',
    'Task08_HepaticVessel',
    'Task09_Spleen',
    'Task10_Colon',
)
# distinguishable on grey; the background has none
_COLORS = (
    *((220, 60, 50), (60, 150, 230), (250, 190, 60), (90, 190, 90), (170, 100, 210), (60, 200, 200)),
    *((240, 130, 60), (230, 110, 170), (150, 150, 60), (120, 120, 240)),
)
#: parts of the release
SPLITS = ('train', 'test')


@DATASETS.register_module()
class MSDDataset(CaseDataset):
    """One task of the Decathlon, listed by its ``dataset.json``.

    Entries have ``case_id`` (the file name without suffix), ``img_path``, ``seg_map_path`` (None in the test part,
    whose labels are not published), ``modalities``, and ``label_map`` where labels are not 0, 1, 2, ...

    Args:
        data_root (str): Folder of the tasks, or of this one.
        task (str): Its folder, e.g. ``'Task04_Hippocampus'``.
        split (str): ``'train'`` or ``'test'`` of the release, or a part of ``split_file``.
        split_file (str | None): JSON file of parts, see :mod:`mmseg_medical.datasets.splits`.
        fold (int | None): Which fold of ``split_file``, where it has some.
        pipeline (Sequence[dict | Callable]): Transforms.
        metainfo (dict | None): Additions to the classes and the palette.
        test_mode (bool): As in mmengine.
        **kwargs: Further arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        DataError: The folder or ``dataset.json`` is missing or damaged, a listed file is missing, doubled, or its label
            has another name; or see :mod:`mmseg_medical.datasets.splits`.
    """

    def __init__(
        self,
        data_root: str,
        task: str = 'Task04_Hippocampus',
        split: str = 'train',
        *,
        split_file: str | None = None,
        fold: int | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        self.task = task
        self.fold = fold
        self.folder = _task_folder(Path(data_root), task)
        self.release = _read_release(self.folder / 'dataset.json')
        labels = _labels(self.release, self.folder)
        self._label_map = None if sorted(labels) == list(range(len(labels))) else _label_map(labels)
        names = [name for _, name in sorted(labels.items())]
        colors = [_COLORS[i % len(_COLORS)] for i in range(len(names) - 1)]
        own = dict(classes=tuple(names), palette=[(0, 0, 0), *colors])
        super().__init__(
            data_root,
            split,
            split_file=split_file,
            pipeline=pipeline,
            metainfo={**own, **(metainfo or {})},
            test_mode=test_mode,
            **kwargs,
        )

    @property
    def description(self) -> str:
        """Data set, task and split, for messages."""
        fold = '' if self.fold is None else f' of fold {self.fold}'
        return f'{type(self).__name__} {self.task} split {self.split!r}{fold}'

    def load_data_list(self) -> list[dict]:
        """List one entry a case.

        Raises:
            DataError: See the class.
        """
        source, names = self.split, None
        if self.split_file is not None:
            source, names = read_split(self.split_file, self.split, self.fold)
        check_part(source, SPLITS, 'MSDDataset' if self.split_file is None else f'"source" of {self.split_file}')
        entries: dict[str, dict] = {}
        for listed in self.release['training' if source == 'train' else 'test']:
            entry = self._entry(listed)
            if entry is None:
                continue
            if entries.setdefault(entry['case_id'], entry) is not entry:
                raise self._wrong('each case once', f'{entry["case_id"]} twice', 'Remove one of the two lines.')
        if names is None:
            return list(entries.values())
        return select_cases(entries, names, str(self.split_file), self.folder)

    def _entry(self, listed: Any) -> dict | None:
        image, label = (listed.get('image'), listed.get('label')) if isinstance(listed, dict) else (listed, None)
        case = file_stem(PurePosixPath(image).name) if isinstance(image, str) else None
        if case is None:
            raise self._wrong('names of image files', repr(listed), 'Correct the line.')
        if case.startswith('._'):  # left by the archiver of another system
            return None
        if label is not None and file_stem(PurePosixPath(label).name) != case:
            raise self._wrong(f'a label of the name of its image, {case}', repr(label), 'Pair them by name.')
        paths = [self.folder / name if name else None for name in (image, label)]
        for path in paths:
            if path is not None and not path.is_file():
                raise data_error(
                    path,
                    expected=f'the file that {self.folder / "dataset.json"} lists',
                    found='no such file',
                    remedy='Unpack the archive again, or remove the case from the list.',
                )
        entry = dict(
            case_id=case,
            img_path=str(paths[0]),
            seg_map_path=None if paths[1] is None else str(paths[1]),
            modalities=list(self.release['modality'].values()),
        )
        return entry if self._label_map is None else {**entry, 'label_map': self._label_map}

    def _wrong(self, expected: str, found: str, remedy: str) -> Exception:
        return data_error(self.folder / 'dataset.json', expected=expected, found=found, remedy=remedy)


def _task_folder(root: Path, task: str) -> Path:
    if (root / task / 'dataset.json').is_file():
        return root / task
    if (root / 'dataset.json').is_file() and root.resolve().name == task:
        return root
    there = sorted(path.parent.name for path in root.glob('*/dataset.json')) if root.is_dir() else []
    found = f'dataset.json in {", ".join(there)}' if there else 'none' if root.is_dir() else 'no such folder'
    raise data_error(
        root,
        expected=f'the folder {task} with its dataset.json',
        found=found,
        remedy='Set data_root and task of the dataset; data/README.md shows the tree.'
        + did_you_mean(task, {*there, *TASKS} - {task}),
    )


def _read_release(path: Path) -> dict[str, Any]:
    remedy = 'Unpack the archive of the task again.'
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise data_error(
            path, expected="the Decathlon's description of a task", found=str(error), remedy=remedy
        ) from error
    for key, kind in (('modality', dict), ('labels', dict), ('training', list)):
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise data_error(path, expected=f'a {kind.__name__} {key!r}', found='none', remedy=remedy)
    content.setdefault('test', [])
    return content


def _labels(release: dict[str, Any], folder: Path) -> dict[int, str]:
    try:
        labels = {int(value): str(name) for value, name in release['labels'].items()}
    except ValueError:
        labels = {}
    if 0 not in labels or len(labels) < 2:
        raise data_error(
            folder / 'dataset.json',
            expected='labels from 0, the background, on',
            found=json.dumps(release['labels']),
            remedy='Name the value of each class: {"0": "background", "1": "..."}.',
        )
    return labels


def _label_map(labels: dict[int, str]) -> dict[int, int]:
    return {value: number for number, value in enumerate(sorted(labels))}
