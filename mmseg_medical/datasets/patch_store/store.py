"""A folder of stored cases."""

from __future__ import annotations

import copy
import json
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.datasets.patch_store.case_file import CaseFile, DamagedCaseError
from mmseg_medical.datasets.patch_store.case_writer import Case, content_hash, write_case
from mmseg_medical.datasets.patch_store.keys import case_name, json_dict, pipeline_key
from mmseg_medical.errors import ConfigError
from mmseg_medical.files import atomic_write
from mmseg_medical.optional import import_optional

_SUFFIX = '.case'


class PatchStore:
    """Cases as a pipeline leaves them, one file each, built when they are first asked for.

    Files lie in a folder named after the pipeline, and are named after the case and the files it came from: another
    argument, another version of this package or a changed image is another name, never a stale hit.

    Args:
        folder (str | Path): Where the store is; shared by any number of pipelines, data sets and processes.
        pipeline (Sequence[Mapping]): Steps without random draws, as dicts.
        run (Callable): What they make of an entry.
        patch_size (Sequence[int], optional): What will be read at once; decides on the layout of new files only.
        in_memory (bool): Store uncompressed and map into memory: the pages are in RAM once, whatever the number of
            processes.

    Raises:
        ConfigError: The pipeline has no text form.
        ImportError: blosc2 is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        pipeline: Sequence[Mapping],
        run: Callable[[dict[str, Any]], dict[str, Any] | None],
        patch_size: Sequence[int] | None = None,
        in_memory: bool = False,
    ) -> None:
        import_optional('blosc2', 'volumes')  # now, not in a worker
        self.pipeline = json_dict(list(pipeline))
        self.folder = Path(folder) / pipeline_key(self.pipeline, in_memory)
        self.patch_size = None if patch_size is None else tuple(patch_size)
        self.in_memory = in_memory
        self._run = run
        self._mapped: dict[Path, CaseFile] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_mapped': {}}  # a memory map stays with its process

    def path(self, entry: Mapping[str, Any]) -> Path:
        """Name the file of a case.

        Raises:
            DataError: Its files are missing, or it has none.
        """
        return self.folder / f'{case_name(entry)}{_SUFFIX}'

    def open(self, entry: Mapping[str, Any]) -> CaseFile | Case:
        """Open a case; one that is not there, or whose header is damaged, is built.

        Args:
            entry (Mapping): Of the data set.

        Returns:
            CaseFile | Case: Open file, or the case in memory if it could not be written, which is warned of.

        Raises:
            DataError: The case itself is faulty.
            ConfigError: The pipeline draws random numbers, or leaves what cannot be stored.
        """
        path = self.path(entry)
        if path in self._mapped:
            return self._mapped[path]
        try:
            return self._open(path)
        except OSError:  # missing, as a rule; what else keeps it from being read is said when writing fails too
            return self._build(entry, path)
        except DamagedCaseError as error:
            return self.rebuild(entry, error)

    def rebuild(self, entry: Mapping[str, Any], reason: Exception) -> CaseFile | Case:
        """Build a case again whose file turned out to be damaged, and say so."""
        warnings.warn(f'{reason}; it is built again.', stacklevel=2)
        path = self.path(entry)
        self._mapped.pop(path, None)
        return self._build(entry, path)

    def ensure(self, entry: Mapping[str, Any], verify: bool = False) -> bool:
        """Make sure that a case is in the store.

        Args:
            entry (Mapping): Of the data set.
            verify (bool): Read all of it and compare it with the hash of what was written; damaged ones are built
                again.

        Returns:
            bool: Whether it was built now.

        Raises:
            DataError, ConfigError: As :meth:`open`.
            OSError: It cannot be written.
        """
        path = self.path(entry)
        try:
            with CaseFile(path) as file:
                if not verify or all(content_hash(array) == array.digest for array in file.arrays.values()):
                    return False
            raise DamagedCaseError(f'{path} is not what was written')
        except OSError:
            pass
        except DamagedCaseError as error:
            warnings.warn(f'{error}; it is built again.', stacklevel=2)
        self._write(self._preprocess(entry), path)
        return True

    def _build(self, entry: Mapping[str, Any], path: Path) -> CaseFile | Case:
        case = self._preprocess(entry)
        try:
            self._write(case, path)
            return self._open(path)
        except OSError as error:
            warnings.warn(
                f'{path.stem} is not stored because {path.parent} cannot be written ({error.strerror or error}): every '
                'visit preprocesses it again. Make room, or set store_dir of LoadStoredPatch to another folder.',
                stacklevel=2,
            )
            return case

    def _open(self, path: Path) -> CaseFile:
        file = CaseFile(path, mapped=self.in_memory)
        if self.in_memory:
            self._mapped[path] = file
        return file

    def _write(self, case: Case, path: Path) -> None:
        note = self.folder / 'pipeline.json'
        if not note.exists():  # for the reader of the folder; nothing here reads it
            with atomic_write(note) as file:
                file.write(json.dumps(self.pipeline, indent=2, default=str) + '\n')
        write_case(case, path, self.patch_size, compressed=not self.in_memory)

    def _preprocess(self, entry: Mapping[str, Any]) -> Case:
        before = _random_states()
        results = self._run(copy.deepcopy(dict(entry)))
        if before != _random_states():
            raise ConfigError(
                'pipeline of LoadStoredPatch draws random numbers, which storing would freeze: put random transforms '
                'behind it'
            )
        if results is None:
            raise ConfigError('pipeline of LoadStoredPatch drops the case: filter the data set instead')
        return Case.of_results(results, entry)


def _random_states() -> tuple:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the transforms draw from this generator
    return name, np.asarray(keys).tobytes(), tuple(rest), random.getstate()
