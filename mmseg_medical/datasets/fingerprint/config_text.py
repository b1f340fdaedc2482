"""A proposal as a config file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TEMPLATE = """\
# Proposed for {dataset}: {num_cases} cases, {memory_gib:g} GiB to train with.
# About {estimated_gib:g} GiB are used in single precision. docs/decathlon.md says how each number came about.
_base_ = [
{bases}]
num_classes = {num_classes}
patch_size = {patch_size}
channels = {channels}
model = dict(
    backbone=dict(
        in_channels={in_channels},
        channels=channels,
        strides={strides},
        kernels={kernels},
    ),
    decode_head=dict(in_channels=channels[0], num_classes=num_classes),
    test_cfg={test_cfg},
)
image = dict(type='LoadVolume', num_channels={in_channels}, rank=3)
labels = dict(type='LoadVolumeAnnotations', num_classes=num_classes{label_options})
prepare = [
{prepare}]
train_pipeline = [
    image,
    labels,
    *prepare,
    dict(type='RandomPatch', patch_size=patch_size, foreground_prob=0.33),
    dict(type='RandomFlipVolume', axes=(0, 1, 2), prob=0.5),
    dict(type='PackVolumeInputs'),
]
# the label last: predictions are brought back to the grid of the file before they are counted
test_pipeline = [image, *prepare, labels, dict(type='PackVolumeInputs')]
train_dataloader = dict(
    batch_size={batch_size},
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeededInfiniteSampler', shuffle=True),
    dataset=dict(
        pipeline=train_pipeline,
{train}    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        pipeline=test_pipeline,
{val}    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CaseSegMetric', surface=None)
test_evaluator = dict(type='CaseSegMetric', tolerances=(1.0, 2.0))
"""


def config_text(
    fingerprint: Mapping[str, Any],
    proposal: Mapping[str, Any],
    num_classes: int,
    bases: Sequence[str],
    train: Mapping[str, Any],
    val: Mapping[str, Any],
    label_map: Mapping[int, int] | None = None,
) -> str:
    """Write a config that trains what is proposed.

    Args:
        fingerprint (Mapping): Of :func:`~mmseg_medical.datasets.fingerprint.summarise`.
        proposal (Mapping): Of :func:`~mmseg_medical.datasets.fingerprint.propose`.
        num_classes (int): With the background.
        bases (Sequence[str]): Configs of a U-Net, a schedule and the runtime, as seen from where this one will lie.
        train (Mapping): Config of the data set to train on, without its pipeline.
        val (Mapping): The same of the one to validate on.
        label_map (Mapping | None): What ``LoadVolumeAnnotations`` needs where the data set does not say it.

    Returns:
        str: Python.
    """
    prepare: list[dict[str, Any]] = []
    if proposal['spacing_mm'] is not None:
        prepare.append(dict(type='ReorientVolume', axes='RAS'))
        prepare.append(dict(type='ResampleVolume', spacing_mm=tuple(proposal['spacing_mm'])))
    prepare.append(dict(type='NormalizeIntensity', **_tuples(proposal['normalization'])))
    test_cfg: dict[str, Any] = dict(mode=proposal['inference'])
    if proposal['inference'] == 'slide':
        test_cfg.update(window=tuple(proposal['patch_size']), overlap=0.5)
    return _TEMPLATE.format(
        dataset=fingerprint['dataset'],
        num_cases=fingerprint['num_measured'],
        memory_gib=proposal['memory_gib'],
        estimated_gib=proposal['estimated_gib'],
        bases=''.join(f'    {base!r},\n' for base in bases),
        num_classes=num_classes,
        in_channels=len(fingerprint['intensity']),
        test_cfg=_call(test_cfg),
        prepare=''.join(f'    {_call(step)},\n' for step in prepare),
        label_options='' if label_map is None else f', label_map={dict(label_map)}',
        train=_lines(train),
        val=_lines(val),
        batch_size=proposal['batch_size'],
        **{key: tuple(proposal[key]) for key in ('patch_size', 'channels')},
        **{key: tuple(map(tuple, proposal[key])) for key in ('strides', 'kernels')},
    )


def _tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}


def _call(options: Mapping[str, Any]) -> str:
    return f'dict({", ".join(f"{key}={value!r}" for key, value in options.items())})'


def _lines(options: Mapping[str, Any]) -> str:
    return ''.join(f'        {key}={value!r},\n' for key, value in options.items())
