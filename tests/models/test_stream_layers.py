"""What streams of a high-resolution network meet in: fusion, joint classification and sampling."""

import pytest
import torch
from hrnet_cases import WIDTHS, streams
from torch import nn
from torch.nn.functional import interpolate

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.aligned import concat_aligned, sample_aligned
from mmseg_medical.models.layers.stream_classifier import StreamClassifier
from mmseg_medical.models.layers.stream_fusion import StreamFusion

# --- fusion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('kind', 'finer_kernel'), [('hrnet', 1), ('swapped', 3)])
def test_fusion_against_its_definition(kind, finer_kernel):
    torch.manual_seed(0)
    fusion = StreamFusion((8, 16, 32), kind)
    x = streams(2, ((13, 9), (7, 5), (4, 3)), (8, 16, 32))
    for target, row, out in zip(x, fusion.paths, fusion([t.clone() for t in x]), strict=True):
        terms = [
            interpolate(path(t), target.shape[2:], mode='bilinear', align_corners=True)
            for path, t in zip(row, x, strict=True)
        ]
        torch.testing.assert_close(out, sum(terms).relu())
    assert isinstance(fusion.paths[1][1], nn.Identity)
    down, up = (fusion.paths[2][0].conv, fusion.paths[0][2].conv)[:: 1 if kind == 'hrnet' else -1]
    assert (down.kernel_size, down.stride) == ((3, 3), (4, 4))
    assert (up.kernel_size, up.stride) == ((1, 1), (1, 1))
    assert fusion.paths[0][1].conv.kernel_size == (finer_kernel, finer_kernel)


def test_fusion_leaves_its_inputs():
    x = streams(1, ((5, 4), (3, 2)), (8, 16))
    before = [t.clone() for t in x]
    StreamFusion((8, 16))(x)
    torch.testing.assert_close(x, before)


def test_arguments_of_the_fusion():
    with pytest.raises(ConfigError, match='Did you mean hrnet'):
        StreamFusion((8, 16), 'hrnets')
    with pytest.raises(ConfigError, match='at least two'):
        StreamFusion((8,))


# --- aggregation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('sizes', [((11, 7), (6, 4), (3, 2), (2, 1)), ((1, 1),) * 4, ((5, 1), (3, 1), (2, 1), (1, 1))])
def test_streams_are_classified_as_if_they_were_joined(sizes):
    torch.manual_seed(0)
    x = streams(2, sizes)
    classifier = StreamClassifier(sum(WIDTHS), 4)
    joined = nn.functional.conv2d(concat_aligned(x), classifier.weight, classifier.bias)
    torch.testing.assert_close(classifier(x), joined, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(classifier([concat_aligned(x)]), joined)


@pytest.mark.parametrize('size', [(11, 7), (20, 20), (1, 3), (3, 1), (1, 1), (4, 3)])
def test_sampling_is_that_of_the_joined_map(size):
    x = [t.double() for t in streams(2)]
    index = torch.arange(size[0] * size[1]).flip(0).expand(2, -1)
    whole = interpolate(concat_aligned(x), size, mode='bilinear', align_corners=True).flatten(2).flip(2)
    torch.testing.assert_close(sample_aligned(x, index, size), whole)


def test_sampling_in_half_precision_stays_on_the_pixel():
    x = torch.arange(600.0).remainder(7).reshape(1, 1, 1, 600).bfloat16()
    index = torch.arange(600)[None]
    assert torch.equal(sample_aligned([x], index, (1, 600)), x[:, :, 0])
