"""What is measured of each case: classes and regions, metrics and their conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmseg_medical.evaluation.functional.empty import EmptyPolicy
from mmseg_medical.evaluation.functional.overlap import Policy
from mmseg_medical.evaluation.functional.surface.metrics import POOLINGS, Pooling
from mmseg_medical.evaluation.functional.surface.sites import SURFACES, Surface


@dataclass(frozen=True)
class EvaluationOptions:
    """Conventions of an evaluation; every result states them.

    Attributes:
        num_classes (int): number K of labels, the background 0 among them.
        classes (dict[str, tuple[int, ...]]): name -> labels; a region such as the whole tumour of BraTS is a class of
            several labels, and classes may share labels. See :func:`classes_and_regions`.
        tolerances (tuple[float, ...]): of the normalised surface Dice, in mm (pixels for images without spacing).
        surface (str | None): ``'voxel'`` or ``'surfel'``, see
            :func:`~mmseg_medical.evaluation.functional.surface.surface_distances`; None measures no surfaces.
        pooling (str): of HD95, see :func:`~mmseg_medical.evaluation.functional.surface.hausdorff`.
        empty (str | EmptyPolicy | dict): what empty masks are worth, see
            :mod:`~mmseg_medical.evaluation.functional.empty`.
        ignore_index (int | None): target label of pixels that are left out.
        num_threads (int | None): threads for the surfaces of one case; None takes as many as torch does.

    Raises:
        ValueError: a class has no label or one outside 0..K - 1, a tolerance is negative, or there is no such surface,
            pooling or policy.
    """

    num_classes: int
    classes: Mapping[str, tuple[int, ...]]
    tolerances: tuple[float, ...] = (1.0, 2.0)
    surface: Surface | None = 'voxel'
    pooling: Pooling = 'max'
    empty: Policy = 'strict'
    ignore_index: int | None = 255
    num_threads: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError('there is no class to evaluate: num_classes counts the background 0, give 2 or more')
        for name, labels in self.classes.items():
            wrong = [label for label in labels if not 0 <= label < self.num_classes]
            if wrong or not labels:
                raise ValueError(
                    f'the class {name!r} must have labels in 0..{self.num_classes - 1} (num_classes='
                    f'{self.num_classes}), got {", ".join(map(str, labels)) or "none"}'
                )
        for tolerance in self.tolerances:
            if not tolerance >= 0:
                raise ValueError(f'tolerances must be 0 or more, got {tolerance}')
        if self.surface not in (*SURFACES, None):
            raise ValueError(f'surface must be one of {", ".join(SURFACES)} or None, got {self.surface!r}')
        if self.pooling not in POOLINGS:
            raise ValueError(f'pooling must be one of {", ".join(POOLINGS)}, got {self.pooling!r}')
        EmptyPolicy.of(self.empty)

    def conventions(self, unit: str) -> dict[str, str]:
        """What the numbers mean, in words, for files and reports.

        Args:
            unit (str): ``'mm'``, or ``'px'`` for images without spacing.
        """
        lines = {
            'cases': 'each case is scored by itself; means run over cases, and n_defined is the number of values in '
            'them beside n_valid (prediction and target present), n_missed (only target), n_false_alarm (only '
            'prediction), n_empty (neither)',
            'empty': EmptyPolicy.of(self.empty).describe(),
            'unit': 'millimetres, from the spacing in the headers' if unit == 'mm' else 'pixels',
            'ignored': f'pixels whose target is {self.ignore_index} count nowhere; for surfaces they are background',
            'intervals': 'ci_low, ci_high: 95 % bias-corrected and accelerated bootstrap interval of the mean',
        }
        if self.surface is not None:
            elements = {
                'voxel': 'border voxels (face neighbour outside the class), each counting 1, as MONAI',
                'surfel': 'surface elements between voxels, weighted by area, as DeepMind surface-distance',
            }
            pooled = {
                'max': 'percentile in each direction, then the larger one',
                'pooled': 'percentile over the distances of both directions together',
            }
            lines['surface'] = f'{elements[self.surface]}; outside the grid is background'
            lines['hd95'] = pooled[self.pooling]
            lines['assd'] = 'mean distance over both surfaces together; masd: mean of the two directed means'
        return lines


def classes_and_regions(
    num_classes: int,
    class_names: Sequence[str] | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, tuple[int, ...]]:
    """Name the classes 1 to K - 1 and the regions made of several of them.

    Args:
        num_classes (int): number K of labels, the background 0 among them.
        class_names (Sequence[str] | None): names of the K classes, or of the K - 1 without the background; None names
            them ``class_1`` and so on.
        regions (Mapping[str, Sequence[int]] | None): further classes by their labels.

    Returns:
        dict[str, tuple[int, ...]]: name -> labels.

    Raises:
        ValueError: the number of names does not match, or a name is given twice.

    Example:
        >>> classes_and_regions(4, ('necrosis', 'oedema', 'enhancing'), {'whole tumour': (1, 2, 3)})['whole tumour']
        (1, 2, 3)
    """
    if class_names is None:
        class_names = [f'class_{k}' for k in range(1, num_classes)]
    if len(class_names) == num_classes:
        class_names = class_names[1:]
    if len(class_names) != num_classes - 1:
        raise ValueError(
            f'{num_classes} classes need {num_classes} names, or {num_classes - 1} without the background, '
            f'got {len(class_names)}: {", ".join(class_names)}'
        )
    classes: dict[str, tuple[int, ...]] = {name: (k,) for k, name in enumerate(class_names, start=1)}
    if len(classes) < len(class_names):
        raise ValueError(f'class names must differ, got {", ".join(class_names)}')
    for name, labels in (regions or {}).items():
        if name in classes:
            raise ValueError(f'the region {name!r} has the name of a class')
        classes[name] = tuple(labels)
    return classes
