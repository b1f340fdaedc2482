"""All cases of a data set, by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.patch_store.store import PatchStore

_MOST_LISTED = 20


class BuildReport(NamedTuple):
    """What :func:`build_store` did.

    Attributes:
        built: Cases written now.
        kept: Cases that were there.
        num_bytes: Of all of them on disk.
    """

    built: int
    kept: int
    num_bytes: int


class _Job(Dataset):
    """Builds the case of an index; errors of data come back as text, so that the other cases go on."""

    def __init__(self, entries: list[dict[str, Any]], store: PatchStore, verify: bool) -> None:
        self.entries, self.store, self.verify = entries, store, verify

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[bool, int, str | None]:
        entry = self.entries[index]
        try:
            built = self.store.ensure(entry, self.verify)
        except DataError as error:
            return False, 0, f'case {entry.get("case_id", index)}: {error}'
        return built, self.store.path(entry).stat().st_size, None


def build_store(
    entries: Iterable[dict[str, Any]],
    store: PatchStore,
    jobs: int = 0,
    verify: bool = False,
    track: Callable[[Iterable, int], Iterable] | None = None,
) -> BuildReport:
    """Store every case that is not stored yet.

    Args:
        entries (Iterable[dict]): Of a data set: ``dataset.get_data_info(i)``.
        store (PatchStore): Where to.
        jobs (int): Processes beside this one; 0 works in this one.
        verify (bool): Read cases that are there entirely and build damaged ones again.
        track (Callable, optional): ``(results, number)`` to the same results, e.g. to show a progress bar.

    Returns:
        BuildReport: How many were built and kept.

    Raises:
        DataError: Some cases are faulty; it lists them, and all others are stored.
        OSError: A case cannot be written.
    """
    work = _Job(list(entries), store, verify)
    loader = DataLoader(work, batch_size=None, num_workers=min(jobs, len(work)), collate_fn=_same)
    built = kept = num_bytes = 0
    faults: list[str] = []
    for made, size, fault in track(loader, len(work)) if track else loader:
        if fault is not None:
            faults.append(fault)
            continue
        built, kept, num_bytes = built + made, kept + (not made), num_bytes + size
    if faults:
        more = f'\n... and {len(faults) - _MOST_LISTED} more' if len(faults) > _MOST_LISTED else ''
        raise DataError(
            f'{len(faults)} of {len(work)} cases cannot be stored, the others are:\n'
            + '\n'.join(faults[:_MOST_LISTED])
            + more
        )
    return BuildReport(built, kept, num_bytes)


def _same(item: Any) -> Any:
    return item
