import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.functional import PrecisionRecallHistogram, confusion_counts
from mmseg_medical.evaluation.summary import ImageCounts, SegSummary, summarize
from mmseg_medical.visualization import Example, Report, render_report, select_examples

CLASSES = ('background', 'EX', 'SE')
PNG = b'\x89PNG\r\n'


def summary() -> SegSummary:
    rng = np.random.default_rng(0)
    cases = []
    for name in ('b<i>', 'a_10', 'a_9'):
        target, pred = rng.integers(0, 2, (2, 50))
        cases.append(ImageCounts(name, f'{name}.jpg', confusion_counts(pred, target, 3)))
    histogram = PrecisionRecallHistogram(1)
    histogram.update(torch.tensor([[0.9, 0.1]]), torch.tensor([[1, 0]]))
    return summarize(cases, CLASSES, 0, {'EX': histogram.compute(0)})


class _Balanced(HTMLParser):
    """Collects tags and fails on a wrong nesting."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(page: str) -> _Balanced:
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_page_is_whole_self_contained_and_escaped() -> None:
    page = render_report(
        Report(
            title='<script>alert(1)</script>',
            subtitle='IDRiD & DDR',
            summary=summary(),
            facts={'checkpoint': '/x/"best".pth'},
            config="model = dict(type='HACDRNet')  # </pre><script>",
            colors={'EX': (255, 0, 0)},
            curves={'Precision and recall': PNG},
            examples=[Example('Best', 'b<i>', b'\xff\xd8jpeg')],
        )
    )
    parsed = parse(page)
    tags = [tag for tag, _ in parsed.seen]
    assert 'script' not in tags
    assert 'i' in tags  # swatches
    assert 'link' not in tags
    sources = [attributes['src'] for tag, attributes in parsed.seen if tag == 'img']
    assert [source.split(';')[0] for source in sources] == ['data:image/jpeg', 'data:image/png']
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert 'url(' not in page
    assert '&lt;script&gt;' in page
    assert 'b&lt;i&gt;' in page
    assert 'prefers-color-scheme: dark' in page
    for text in (
        'mAUPR',
        'What the numbers mean',
        'IDRiD &amp; DDR',
        'HACDRNet',
        'false alarms',
        'Ranked by the mean Dice',
    ):
        assert text in page
    assert 'nan' not in re.sub(r'base64,[^"]*', '', page).lower().split()


def test_page_without_our_metric() -> None:
    page = render_report(Report(title='t', metrics={'mDice': 12.5, 'note': 'text'}))
    parse(page)
    assert '12.5000' in page
    assert 'Ranked' not in page


@pytest.mark.parametrize(
    ('scores', 'expected'),
    [
        ([], {}),
        ([np.nan], {}),
        ([5.0], {'Only image': 0}),
        ([5.0, np.nan, 7.0], {'Best': 2, 'Worst': 0}),
        ([5.0, 6.0, 7.0, 1.0], {'Best': 2, 'Median': 1, 'Worst': 3}),
        ([1.0, 2.0, 3.0, 4.0, 5.0], {'Best': 4, 'Median': 2, 'Worst': 0}),
        ([3.0, 3.0, 3.0], {'Best': 0, 'Median': 1, 'Worst': 2}),
    ],
)
def test_best_median_and_worst(scores: list[float], expected: dict[str, int]) -> None:
    assert select_examples(np.array(scores)) == expected
