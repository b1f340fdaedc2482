"""Results of several processes put together: nothing counted twice, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, get_world_size, is_main_process
from torch import Tensor


@dataclass(frozen=True)
class Identity:
    """What a sample is called.

    Attributes:
        key (str): tells the samples of a data set apart: ``case_id`` of the sample, or else its ``img_path``.
        case_id (str): name for tables: ``case_id``, or else the stem of the file.
        img_path (str): file, may be empty.
    """

    key: str
    case_id: str
    img_path: str

    @classmethod
    def of(cls, sample: dict, number: int) -> Identity:
        """Read the identity of a sample.

        Args:
            sample (dict): may have ``case_id`` and ``img_path``.
            number (int): names a sample without them.

        Raises:
            ValueError: it has neither, and there are several processes.
        """
        img_path = str(sample.get('img_path') or '')
        case_id = str(sample.get('case_id') or Path(img_path).stem)
        key = str(sample.get('case_id') or img_path)
        if not key:
            if get_world_size() > 1:
                raise ValueError(
                    'samples carry neither case_id nor img_path, so images repeated by the sampler cannot be told; '
                    "add 'case_id' or 'img_path' to meta_keys of PackSegInputs"
                )
            key = case_id = f'sample {number}'
        return cls(key, case_id, img_path)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name the image in what is raised inside about its contents."""
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            message = error.args[0] if error.args else error
            raise type(error)(f'image {self.case_id!r} ({self.img_path or "no img_path"}): {message}') from error


@dataclass(frozen=True)
class Record:
    """Result of one sample on its way between processes."""

    identity: Identity
    content: Any


def record_samples(results: list[Record], samples: Sequence[dict], measure: Callable[[Identity, dict], Any]) -> None:
    """Append what is measured of each sample to the results; errors about its contents name it.

    Args:
        results (list[Record]): of this process so far.
        samples (Sequence[dict]): of one batch.
        measure (Callable): identity and sample -> content of the record.
    """
    for sample in samples:
        identity = Identity.of(sample, len(results))
        with identity.named():
            content = measure(identity, sample)
        results.append(Record(identity, content))


def merge(results: Sequence[Record], size: int) -> tuple[list[Record], list[bool]]:
    """Gather the records of all processes, without those of samples that the sampler repeated to fill up the ranks.

    Args:
        results (Sequence[Record]): of this process, in the order of its samples.
        size (int): number of samples of the data set.

    Returns:
        tuple[list[Record], list[bool]]: the records, the same on every process; for each process, whether its last
        sample was a repeated one.

    Raises:
        ValueError: there are none, two samples have one key, or fewer keys than samples.
    """
    ranks: list[list[Record]] = all_gather_object(list(results))
    repeated = _repeated_last(ranks)
    records = [record for r, rank in enumerate(ranks) for record in (rank[:-1] if repeated[r] else rank)]
    if not records:
        raise ValueError('no image was evaluated: the data loader of the evaluation is empty')
    _check_unique(records)
    if any(repeated) and len(records) < size:
        lost = [rank[-1].identity.case_id for r, rank in enumerate(ranks) if repeated[r]]
        raise ValueError(
            f'{size} images of the data set have only {len(records)} case ids; among the repeated ones: '
            f'{", ".join(lost[:5])}. Every image needs its own case_id'
        )
    return records, repeated


def from_main(compute: Callable[[], dict[str, float]], prefix: str | None) -> dict[str, float]:
    """Compute on the main process and tell the others; see :func:`prefixed`."""
    numbers: list[dict[str, float] | None] = [compute() if is_main_process() else None]
    broadcast_object_list(numbers)
    return prefixed(numbers[0] or {}, prefix)


def prefixed(numbers: dict[str, float], prefix: str | None) -> dict[str, float]:
    """Put ``prefix/`` before the names, if there is one."""
    return {f'{prefix}/{name}': value for name, value in numbers.items()} if prefix else numbers


def class_names(dataset_meta: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Names of the classes of a data set.

    Raises:
        ValueError: it names none.
    """
    classes = (dataset_meta or {}).get('classes')
    if not classes:
        raise ValueError('the data set names no classes: give it METAINFO["classes"] or metainfo=dict(classes=...)')
    return tuple(classes)


def sample_data(sample: dict, name: str) -> Tensor:
    """Tensor of one field of a sample.

    Raises:
        ValueError: the sample has no such field.
    """
    field = sample.get(name)
    data = field.get('data') if isinstance(field, dict) else getattr(field, 'data', None)
    if data is None:
        raise ValueError(f'the sample has no {name}')
    return data


def _repeated_last(ranks: list[list[Record]]) -> list[bool]:
    """Which ranks end with a sample that another rank has before its end, or that a lower rank ends with."""
    own = {record.identity.key for rank in ranks for record in rank[:-1]}
    repeated = []
    for rank in ranks:
        last = rank[-1].identity.key if rank else None
        elsewhere = last is not None and last in own and all(record.identity.key != last for record in rank[:-1])
        repeated.append(elsewhere)
        if last is not None:
            own.add(last)
    return repeated


def _check_unique(records: list[Record]) -> None:
    seen: dict[str, Record] = {}
    for record in records:
        other = seen.setdefault(record.identity.key, record)
        if other is not record:
            raise ValueError(
                f'the image {record.identity.key!r} was evaluated twice ({other.identity.img_path!r} and '
                f'{record.identity.img_path!r}); every image of a data set needs its own case_id'
            )
