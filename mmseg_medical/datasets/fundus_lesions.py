"""What the fundus lesion data sets share: splits, names, entries, the merged layout."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from mmseg_medical.datasets.case_dataset import CaseDataset
from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.lesions import (
    CLASSES,
    DEFAULT_OVERLAP_ORDER,
    LESIONS,
    PALETTE,
    check_overlap_order,
)
from mmseg_medical.datasets.splits import check_part, read_split, select_cases

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff')
MASK_SUFFIXES = ('.tif', '.tiff', '.png')


class MergedPart(NamedTuple):
    """Where one part of a data set lies in the merged layout, relative to the data root."""

    images: str
    labels: str
    names: str


class FundusLesionDataset(CaseDataset):
    """Fundus photographs with four kinds of lesion, read from the official tree or from the merged layout.

    Sub-classes say where the official tree keeps the images and masks of a part, and which parts make a split.

    Args:
        data_root (str): Folder of the data set.
        split (str): A key of ``SPLITS``, or of ``split_file`` where that is given.
        split_file (str, optional): JSON file ``{"source": "train", "<split>": ["<case>", ...], ...}``: the named
            cases of the official split ``source``.
        layout (str): 'official', 'merged' (``img_dir``, ``ann_dir``, ``splits``), or 'auto'.
        target (str): 'multiclass' for one label a pixel, 'multilabel' for a channel a lesion.
        overlap_order (Sequence[str]): Order in which lesions are painted into the label map, later wins.
        cache_dir (str, optional): Folder of the label cache, 'auto' for ``<data_root>/.mmseg_medical_cache``, None
            for no cache.
        pipeline (Sequence[dict or Callable]): Transforms.
        metainfo (dict, optional): Additions to the class's own.
        test_mode (bool): As in mmengine.
        **kwargs: Further arguments of :class:`mmengine.dataset.BaseDataset` (``indices``, ``lazy_init``, ...).

    Raises:
        DataError: a folder, split or file is missing, ambiguous or doubled.
    """

    SPLITS: ClassVar[dict[str, tuple[str, ...]]] = {}
    MERGED: ClassVar[dict[str, MergedPart]] = {}
    STORES_EMPTY_MASKS: ClassVar[bool] = False  # whether the release has a file for absent lesions too

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        *,
        split_file: str | None = None,
        layout: str = 'auto',
        target: str = 'multiclass',
        overlap_order: Sequence[str] = DEFAULT_OVERLAP_ORDER,
        cache_dir: str | None = 'auto',
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        if target not in ('multiclass', 'multilabel'):
            raise ValueError(f"target must be 'multiclass' or 'multilabel', found {target!r}")
        if layout not in ('auto', 'official', 'merged'):
            raise ValueError(f"layout must be 'auto', 'official' or 'merged', found {layout!r}")
        self.layout = layout
        self.target = target
        self.overlap_order = check_overlap_order(overlap_order)
        self.cache_dir = str(Path(data_root) / '.mmseg_medical_cache') if cache_dir == 'auto' else cache_dir
        skip = 1 if target == 'multilabel' else 0
        own = dict(classes=CLASSES[skip:], palette=PALETTE[skip:], label_map=None, reduce_zero_label=False)
        super().__init__(
            data_root,
            split,
            split_file=split_file,
            pipeline=pipeline,
            metainfo={**own, **(metainfo or {})},
            test_mode=test_mode,
            **kwargs,
        )
        self._metainfo['target'] = target  # not above: mmengine takes strings there for file names

    def load_data_list(self) -> list[dict]:
        """One entry an image: ``case_id``, ``img_path``, and ``lesion_masks`` or ``seg_map_path``.

        Raises:
            DataError: see the class.
        """
        root = Path(str(self.data_root))
        if not root.is_dir():
            raise data_error(
                root,
                expected=f'the folder of {type(self).__name__}',
                found='no such folder',
                remedy='Set data_root of the dataset in the config; data/README.md shows the trees.',
            )
        source, names = self._requested()
        read = self._read_official if self._find_layout(root) == 'official' else self._read_merged
        entries: dict[str, dict] = {}
        for part in self.SPLITS[source]:
            for entry in read(root, part):
                known = entries.setdefault(entry['case_id'], entry)
                if known is not entry:
                    raise data_error(
                        entry['img_path'],
                        expected=f'one image named {entry["case_id"]}',
                        found=f'another one at {known["img_path"]}',
                        remedy='Remove one of them.',
                    )
        if names is None:
            return list(entries.values())
        return select_cases(entries, names, str(self.split_file), root)

    # -- where things are in the official tree; sub-classes fill these in

    def is_official(self, root: Path) -> bool:
        """Whether the data root holds the official tree."""
        raise NotImplementedError

    def image_folder(self, root: Path, part: str) -> Path:
        """Folder of the photographs of a part."""
        raise NotImplementedError

    def mask_folder(self, root: Path, part: str, lesion: str) -> Path:
        """Folder of a part's masks of one lesion (EX, MA, SE, HE)."""
        raise NotImplementedError

    def case_of_mask(self, stem: str, lesion: str) -> str | None:
        """Case that a mask file belongs to, None if the file is not named like a mask of this lesion."""
        raise NotImplementedError

    # -- reading

    def _requested(self) -> tuple[str, list[str] | None]:
        if self.split_file is None:
            check_part(self.split, self.SPLITS, type(self).__name__)
            return self.split, None
        source, names = read_split(self.split_file, self.split)
        check_part(source, self.SPLITS, f'"source" of {self.split_file}')
        return source, names

    def _find_layout(self, root: Path) -> str:
        if self.layout != 'auto':
            return self.layout
        official, merged = self.is_official(root), (root / 'img_dir').is_dir() and (root / 'ann_dir').is_dir()
        if official != merged:
            return 'official' if official else 'merged'
        raise data_error(
            root,
            expected=f'the official tree of {type(self).__name__} or the merged layout (img_dir, ann_dir, splits)',
            found='both' if official else 'neither',
            remedy="Set layout='official' or 'merged'." if official else 'data/README.md shows the trees.',
        )

    def _read_official(self, root: Path, part: str) -> list[dict]:
        images = _files_by_stem(self.image_folder(root, part), IMAGE_SUFFIXES)
        masks = {lesion: self._read_masks(root, part, lesion, images) for lesion in LESIONS}
        if self.STORES_EMPTY_MASKS:
            self._warn_of_gaps(part, images, masks)
        entries = []
        for case, path in images.items():
            found = {lesion: masks[lesion].get(case) for lesion in LESIONS}
            if not any(found.values()):
                raise data_error(
                    path,
                    expected='a mask of at least one lesion',
                    found='none',
                    remedy='Complete the ground truth, or name the usable cases in a split_file.',
                )
            entries.append(self._entry(case, path, lesion_masks={k: v and str(v) for k, v in found.items()}))
        return entries

    def _warn_of_gaps(self, part: str, images: dict[str, Path], masks: dict[str, dict[str, Path]]) -> None:
        gaps = [f'{case} {lesion}' for lesion in LESIONS for case in images if case not in masks[lesion]]
        if gaps:
            warnings.warn(
                f'{type(self).__name__} part {part!r}: {len(gaps)} masks are missing ({", ".join(gaps[:4])}, ...) and '
                f'count as absent lesions. The release has one for every image and lesion: is the copy complete?',
                stacklevel=2,
            )

    def _read_masks(self, root: Path, part: str, lesion: str, images: dict[str, Path]) -> dict[str, Path]:
        masks: dict[str, Path] = {}
        for stem, path in _files_by_stem(self.mask_folder(root, part, lesion), MASK_SUFFIXES).items():
            case = self.case_of_mask(stem, lesion)
            if case not in images:
                # a mask under a wrong name would silently count as an absent lesion
                raise data_error(
                    path,
                    expected=f'the name of a {lesion} mask whose image is in {self.image_folder(root, part)}',
                    found=f'no image {case or stem}',
                    remedy='Rename or remove the mask, or complete the images.',
                )
            masks[case] = path
        return masks

    def _read_merged(self, root: Path, part: str) -> list[dict]:
        place = self.MERGED[part]
        list_file = root / place.names
        if not list_file.is_file():
            raise data_error(
                list_file,
                expected=f'the list of the cases of {part!r}',
                found='no such file',
                remedy='Write the stems, one a line, or run the converter under tools/dataset_converters.',
            )
        images = _files_by_stem(root / place.images, IMAGE_SUFFIXES)
        labels = _files_by_stem(root / place.labels, ('.png',))
        names = [line.strip() for line in list_file.read_text().splitlines() if line.strip()]
        entries = []
        for name in names:
            for files, kind, folder in ((images, 'image', place.images), (labels, 'label map', place.labels)):
                if name not in files:
                    raise data_error(
                        list_file,
                        expected=f'an {kind} for every name' if kind == 'image' else f'a {kind} for every name',
                        found=f'no {name} in {root / folder}',
                        remedy='Complete the folder or correct the list.',
                    )
            entries.append(self._entry(name, images[name], seg_map_path=str(labels[name])))
        return entries

    def _entry(self, case: str, image: Path, **label: Any) -> dict:
        return dict(
            case_id=case,
            img_path=str(image),
            **label,
            target=self.target,
            overlap_order=self.overlap_order,
            cache_dir=self.cache_dir,
            seg_fields=[],
            reduce_zero_label=False,
            label_map=None,
        )


def _files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise data_error(
            folder,
            expected='a folder of the data set',
            found='no such folder',
            remedy='Complete the tree as data/README.md shows it, or correct data_root or split of the dataset.',
        )
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith('.'):
            continue
        known = files.setdefault(path.stem, path)
        if known is not path:
            raise data_error(
                path, expected=f'one file named {path.stem}', found=f'also {known.name}', remedy='Remove one of them.'
            )
    return files
