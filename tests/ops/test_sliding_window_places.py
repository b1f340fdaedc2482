"""Windows that know where they lie, and scores on a finer grid than the image."""

import pytest
import torch
from torch import Tensor

from mmseg_medical.ops import argmax_labels, slide_windows


@pytest.mark.parametrize('size', [(11, 7), (3, 5, 1), (1, 13), (4, 9)])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_windows_are_told_where_they_begin(size, batch_size):
    """The image holds the flat index of each point, so that a window shows where it is."""
    image = torch.arange(float(torch.Size(size).numel())).reshape(1, *size)
    window = (4, 6, 2)[: len(size)]
    seen = []

    def forward(windows: Tensor, starts: list[tuple[int, ...]]) -> Tensor:
        assert len(starts) == len(windows) <= batch_size
        for values, start in zip(windows[:, 0], starts, strict=True):
            inside = tuple(
                slice(max(0, -s), max(0, -s) + min(w, n)) for s, w, n in zip(start, window, size, strict=True)
            )
            place = tuple(slice(max(0, s), max(0, s) + min(w, n)) for s, w, n in zip(start, window, size, strict=True))
            assert torch.equal(values[inside], image[(0, *place)])
            assert (values == -1).sum() == values.numel() - values[inside].numel()
            seen.append(start)
        return windows

    out = slide_windows(
        forward, image, num_classes=1, window=window, batch_size=batch_size, places=True, pad_value=-1.0
    )
    torch.testing.assert_close(out, image)
    assert len(set(seen)) == len(seen)


def enlarged(x: Tensor, scale: tuple[int, ...]) -> Tensor:
    for axis, s in enumerate(scale, 2):
        x = x.repeat_interleave(s, axis)
    return x


@pytest.mark.parametrize('scale', [(2, 2), (1, 3)])
@pytest.mark.parametrize('size', [(11, 7), (3, 5), (1, 13), (6, 4)])
def test_scores_may_be_finer_than_the_image(size, scale):
    image = torch.randn(2, *size)
    expected = enlarged(image[None], scale)[0]
    options = dict(num_classes=2, window=(4, 6), scale=scale)
    torch.testing.assert_close(slide_windows(lambda x: enlarged(x, scale), image, **options), expected)
    labels = slide_windows(lambda x: enlarged(x, scale), image, decide=argmax_labels, **options)
    assert torch.equal(labels, argmax_labels(expected))


def test_air_of_a_finer_grid():
    image = torch.zeros(1, 12, 4)
    image[:, :4] = 1
    out = slide_windows(
        lambda x: enlarged(x, (2, 2)),
        image,
        num_classes=1,
        window=(4, 4),
        overlap=0.0,
        scale=(2, 2),
        skip=lambda part: not part.any(),
        background=[-7.0],
    )
    assert (out[:, :8] == 1).all()
    assert (out[:, 8:] == -7).all()


@pytest.mark.parametrize('scale', [(2,), (2, 0), (1.5, 1)])
def test_a_scale_is_a_whole_number_for_each_axis(scale):
    with pytest.raises(ValueError, match='scale must be a whole number from 1 on for each of 2 axes'):
        slide_windows(lambda x: x, torch.zeros(1, 4, 4), num_classes=1, window=(2, 2), scale=scale)


def test_scores_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r'shape \(1, 1, 4, 4\) for these windows, got \(1, 1, 2, 2\)'):
        slide_windows(lambda x: x, torch.zeros(1, 4, 4), num_classes=1, window=(2, 2), scale=(2, 2))
