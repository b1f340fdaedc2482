import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import pad

from mmseg_medical.ops import argmax_labels, slab_merger, slide_windows, sliding_windows
from mmseg_medical.ops.sliding_window import slab_axis
from mmseg_medical.ops.window_grid import overlap_stride, window_weights

BACKGROUND = (2.0, -1.0, -3.0)


def network(rank, channels=2, classes=3):
    """Depends on the neighbourhood and on the place in the window, so windows disagree where they overlap."""
    torch.manual_seed(0)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1](channels, classes, 3, padding=1)
    return lambda x: conv(x) + torch.linspace(0, 1, x[0, 0].numel()).reshape(x.shape[2:])


def full_buffer(forward, image, window, *, stride, weights, axis, classes=3, skip=None):
    """The merge as anyone would write it: sums and weights of the whole padded image."""
    size = image.shape[1:]
    missing = [max(0, w - n) for w, n in zip(window, size, strict=True)]
    padded = pad(image, [m for m in reversed([(m // 2, m - m // 2) for m in missing]) for m in m])
    sums = torch.zeros(classes, *padded.shape[1:])
    totals = torch.zeros(padded.shape[1:])
    importance = window_weights(window, weights)
    for place in sliding_windows(padded.shape[1:], window, stride, slowest_axis=axis):
        part = padded[(slice(None), *place)]
        if skip is not None and skip(part):
            continue
        sums[(slice(None), *place)] += forward(part[None])[0].float() * importance
        totals[place] += importance
    merged = sums / totals
    merged[:, totals == 0] = torch.tensor(BACKGROUND)[:, None]
    return merged[(slice(None), *(slice(m // 2, m // 2 + n) for m, n in zip(missing, size, strict=True)))]


AXES = st.lists(st.tuples(st.integers(1, 19), st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=3)


@settings(deadline=None, max_examples=150)
@given(AXES, st.sampled_from(['constant', 'gaussian']), st.integers(1, 5), st.booleans(), st.booleans(), st.data())
def test_bitwise_equal_to_the_full_buffer(axes, weights, batch_size, skips, small_parts, data):
    size, window, stride = zip(*((n, w, min(step, w)) for n, w, step in axes), strict=True)
    axis = data.draw(st.integers(0, len(size) - 1))
    image = torch.randn(2, *size, generator=torch.Generator().manual_seed(1))
    limit = data.draw(st.floats(0, 3))
    skip = (lambda part: bool(part.max() <= limit)) if skips else None
    # one window at a time: convolutions of several may differ in the last bit
    forward = network(len(size))

    def one_by_one(x):
        return torch.cat([forward(part[None]) for part in x])

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        if small_parts:
            patch.setattr(slab_merger, 'PART_BYTES', 64)
            patch.setattr(slab_merger, 'GROUP_BYTES', 100)
            patch.setattr(slab_merger, 'LAST_AXIS_ROWS', 2)
        merged = slide_windows(
            one_by_one,
            image,
            num_classes=3,
            window=window,
            stride=stride,
            weights=weights,
            batch_size=batch_size,
            skip=skip,
            background=BACKGROUND,
            axis=axis,
        )
        expected = full_buffer(forward, image, window, stride=stride, weights=weights, axis=axis, skip=skip)
    assert torch.equal(merged, expected)


@pytest.mark.parametrize('rank', [2, 3])
@pytest.mark.parametrize('overlap', [0, 0.25, 0.5, 0.8])
@torch.no_grad()
def test_larger_images_bitwise(rank, overlap):
    size, window = ((131, 97), (32, 48)) if rank == 2 else ((47, 61, 37), (16, 20, 12))
    image, forward = torch.randn(2, *size), network(rank)
    stride = overlap_stride(window, overlap)
    labels = slide_windows(forward, image, num_classes=3, window=window, overlap=overlap, decide=argmax_labels)
    expected = full_buffer(forward, image, window, stride=stride, weights='gaussian', axis=slab_axis(size, window))
    assert torch.equal(labels.long(), expected.argmax(0, keepdim=True))


@pytest.mark.parametrize('weights', ['constant', 'gaussian'])
@pytest.mark.parametrize('batch_size', [1, 3])
@torch.no_grad()
def test_agrees_with_monai(weights, batch_size):
    inferers = pytest.importorskip('monai.inferers')
    image, forward = torch.randn(2, 40, 33, 9), network(3)
    ours = slide_windows(forward, image, num_classes=3, window=(16, 16, 12), weights=weights, batch_size=batch_size)
    importance = window_weights((16, 16, 12), weights)  # MONAI's own Gaussian is cut off at 0.001
    theirs = inferers.sliding_window_inference(
        image[None], (16, 16, 12), batch_size, forward, overlap=0.5, roi_weight_map=importance
    )
    torch.testing.assert_close(ours, theirs[0], rtol=1e-5, atol=1e-5)


def numbered(outputs):
    """A network whose n-th window gets the n-th of ``outputs`` everywhere."""
    numbers = iter(outputs)
    return lambda x: torch.stack([torch.full((1, *x.shape[2:]), float(next(numbers))) for _ in x])


def test_overlap_is_the_mean():
    merged = slide_windows(
        numbered([1, 3]), torch.zeros(1, 4), num_classes=1, window=(3,), stride=(1,), weights='constant'
    )
    assert merged.tolist() == [[1, 2, 2, 3]]


def test_gaussian_trusts_the_centre():
    (merged,) = slide_windows(numbered([0, 1]), torch.zeros(1, 12), num_classes=1, window=(8,), stride=(4,))
    assert (merged.diff() >= 0).all()
    assert merged[4] < 0.01
    assert merged[7] > 0.99


@pytest.mark.parametrize('weights', ['constant', 'gaussian'])
@pytest.mark.parametrize('size', [(13, 17), (5, 6), (3, 17), (1, 1), (7, 11, 5)])
def test_consistent_windows_merge_to_the_whole(weights, size):
    whole = torch.randn(3, *size)
    merged = slide_windows(
        lambda x: x, whole, num_classes=3, window=(5, 6, 4)[: len(size)], weights=weights, batch_size=4
    )
    torch.testing.assert_close(merged, whole)


def test_windows_are_whole_where_the_image_is_small():
    seen = []

    def forward(x):
        seen.append(x.clone())
        return x.zero_()  # networks may write to their input

    slide_windows(forward, torch.ones(1, 5, 9), num_classes=1, window=(8, 4), overlap=0.5, pad_value=-7)
    assert len(seen) == 4
    for batch in seen:
        assert batch.shape == (1, 1, 8, 4)
        assert (batch[0, 0, 1:6] == 1).all()
        assert (batch[0, 0, [0, 6, 7]] == -7).all()


@pytest.mark.parametrize('batch_size', [1, 2, 3, 7, 100])
def test_batches(batch_size):
    image, sizes = torch.randn(1, 11, 13), []

    def forward(x):
        sizes.append(len(x))
        return x * 2

    merged = slide_windows(forward, image, num_classes=1, window=(4, 5), stride=(4, 4), batch_size=batch_size)
    torch.testing.assert_close(merged, image * 2)
    assert sum(sizes) == 3 * 3
    assert all(size == min(batch_size, 9) for size in sizes[:-1])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize('weights', ['constant', 'gaussian'])
def test_other_precisions_are_summed_in_float32(dtype, weights):
    image = torch.randn(2, 30, 20)
    arguments = dict(num_classes=2, window=(8, 8), overlap=0.75, weights=weights)
    merged = slide_windows(lambda x: x.to(dtype), image, **arguments)
    assert merged.dtype == torch.float32
    torch.testing.assert_close(
        merged, slide_windows(lambda x: x.to(dtype).float(), image, **arguments), rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(merged, image.to(dtype).float(), rtol=1e-5, atol=1e-6)


def test_views_of_every_kind():
    image = torch.randn(13, 2, 17, 3)[::2].permute(1, 3, 0, 2)[:, :, :, 1:]
    image.requires_grad_()
    merged = slide_windows(lambda x: x, image, num_classes=2, window=(2, 4, 5))
    torch.testing.assert_close(merged, image.detach())
    assert not merged.requires_grad


def test_decisions_keep_their_type_and_channels():
    image = torch.randn(4, 20, 11)
    arguments = dict(num_classes=4, window=(6, 6), weights='constant', overlap=0)
    masks = slide_windows(lambda x: x, image, decide=lambda s: (s.sigmoid_() > 0.5)[1:], **arguments)
    assert masks.dtype == torch.bool
    assert torch.equal(masks, (image > 0)[1:])


def test_air_is_not_seen_and_becomes_background():
    image = torch.zeros(1, 40, 6)
    image[:, 17:19] = 5
    seen = []

    def forward(x):
        seen.extend(x)
        return torch.cat((-x, x), 1)

    labels = slide_windows(
        forward,
        image,
        num_classes=2,
        window=(4, 4),
        batch_size=3,
        decide=argmax_labels,
        skip=lambda part: bool(part.max() <= 0),
        background=(1, 0),
    )
    assert all(part.max() > 0 for part in seen)
    assert torch.equal(labels[0] == 1, image[0] > 0)


def test_an_image_of_air():
    def forward(x):
        raise AssertionError('no window is to be seen')

    merged = slide_windows(
        forward, torch.zeros(1, 9, 5), num_classes=3, window=(4, 4), skip=lambda part: True, background=BACKGROUND
    )
    assert torch.equal(merged, torch.tensor(BACKGROUND)[:, None, None].expand(3, 9, 5))


def test_skipped_windows_leave_the_mean_alone():
    outputs = iter([1.0, 5.0])
    skips = iter([False, True, False])
    merged = slide_windows(
        lambda x: torch.full_like(x, next(outputs)),
        torch.zeros(1, 8),
        num_classes=1,
        window=(4,),
        stride=(2,),
        weights='constant',
        skip=lambda part: next(skips),
        background=(-30,),
    )
    assert merged.tolist() == [[1, 1, 1, 1, 5, 5, 5, 5]]


def test_progress_counts_to_the_end():
    calls = []
    slide_windows(
        lambda x: x,
        torch.zeros(1, 10),
        num_classes=1,
        window=(4,),
        stride=(2,),
        batch_size=3,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(3, 4), (4, 4)]


def test_rows_come_in_order_and_once():
    seen = []
    slide_windows(
        lambda x: x,
        torch.arange(23.0).reshape(1, 23, 1, 1),
        num_classes=1,
        window=(7, 1, 1),
        decide=lambda scores: seen.extend(scores.flatten().tolist()) or scores,
    )
    assert [round(value) for value in seen] == list(range(23))


@pytest.mark.parametrize(
    ('size', 'window', 'axis'),
    [((512, 512, 300), (96, 96, 96), 0), ((64, 64, 300), (64, 64, 64), 2), ((5, 9), (8, 8), 1), ((3, 3), (8, 9), 0)],
)
def test_the_slab_lies_along_the_axis_with_the_least_memory(size, window, axis):
    assert slab_axis(size, window) == axis


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(window=(4,)), 'another rank'),
        (dict(window=(4, 0)), 'no points'),
        (dict(image=torch.zeros(1, 0, 5)), 'no points'),
        (dict(batch_size=0), 'batch_size=0'),
        (dict(num_classes=0), 'num_classes=0'),
        (dict(num_classes=2), r'scores of shape \(1, 2, 4, 4\).*got \(1, 1, 4, 4\)'),
        (dict(forward=lambda x: x[..., 1:]), r'got \(1, 1, 4, 3\)'),
        (dict(weights='hann'), "weights='hann'"),
        (dict(overlap=1), 'overlap must be'),
        (dict(stride=(2, 9)), 'stride'),
        (dict(skip=bool), 'skip needs background'),
        (dict(skip=bool, background=(1, 0)), 'background has 2 scores for 1 classes'),
        (dict(decide=lambda scores: scores.argmax(0)), 'decide must keep'),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    arguments = dict(forward=lambda x: x, image=torch.zeros(1, 9, 8), num_classes=1, window=(4, 4)) | change
    with pytest.raises(ValueError, match=message):
        slide_windows(arguments.pop('forward'), arguments.pop('image'), **arguments)
