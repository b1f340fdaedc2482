import re
from html.parser import HTMLParser

import pytest
from case_tables import shifted, table, undefined

from mmseg_medical import __version__
from mmseg_medical.evaluation.compare import compare_tables
from mmseg_medical.visualization.comparison_report import render_comparison, write_comparison_report
from mmseg_medical.visualization.evaluation_report import failure_box, render_evaluation, write_evaluation_report

PNG = b'\x89PNG\r\n'


class _Page(HTMLParser):
    """Collects the cells of tables and fails on a wrong nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        assert self.open == []
        assert not re.search(r'(src|href)="(?!data:)', text)
        assert 'nan' not in re.sub(r'base64,[^"]*', '', text).lower().split()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ('meta', 'img'):
            self.open.append(tag)
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ('td', 'th'):
            self.tables[-1][-1][-1] += data


def test_evaluation():
    of = table(8, ('a', '<script>'))
    figures = {'box_dice': PNG, 'violin_hd95': PNG, 'bland_altman': PNG}
    text = render_evaluation(of, figures, {'p<1>': 'broken & lost'}, {'pred': '/x/<y>'})
    page = _Page(text)
    assert 'script' not in page.tags
    assert page.tags.count('img') == 3
    overview, first, _, cases = page.tables
    assert overview[0] == [
        'class', 'valid', 'missed', 'false alarms', 'rightly empty', 'dice ↑', 'hd95 mm ↓', 'nsd@1mm ↑'
    ]  # fmt: skip
    summary = of.summary()['a']
    assert overview[1][:5] == ['a', '5', '1', '1', '1']
    assert overview[1][5].startswith(f'{summary["dice"]["mean"]:.4g} [{summary["dice"]["ci_low"]:.4g}, ')
    assert overview[2][0] == '<script>'
    assert first[0] == ['metric', 'mean [95 % interval]', 'median', 'standard deviation', 'defined cases']
    assert [row[0] for row in first[1:]] == [
        'dice ↑', 'hd95 mm ↓', 'nsd@1mm ↑', 'volume_mm3 mm³', 'target_volume_mm3 mm³', 'relative_volume_error'
    ]  # fmt: skip
    assert first[1][2:] == [f'{summary["dice"]["median"]:.4g}', f'{summary["dice"]["std"]:.4g}', '7 of 8']
    assert cases == of.rows()
    assert 'a, all metrics: 5 valid, 1 missed, 1 false alarms, 1 rightly empty' in text
    assert '1 file could not be evaluated and is left out' in text
    for word in ('p&lt;1&gt;', 'broken &amp; lost', '/x/&lt;y&gt;', 'as documented', f'mmseg_medical {__version__}'):
        assert word in text
    assert '<b>2</b><span>missed</span>' in text
    assert 'dice, mean over 2 classes' in text


def test_evaluation_without_values():
    text = render_evaluation(undefined(undefined(table(5), 'a'), 'b'), {})
    page = _Page(text)
    assert page.tables[0][1][4:] == ['5', '-', '-', '-']
    assert 'mean over 0 of 2 classes' in text
    assert 'could not be evaluated' not in text
    assert 'img' not in page.tags
    assert '<span>dice</span>' in render_evaluation(table(1, ('a',)), {})


def test_failures():
    assert failure_box({}) == ''
    assert '2 files could not be evaluated and are left out' in failure_box({'x': 'y', 'z': 'w'})


def test_files_of_an_evaluation(tmp_path):
    (tmp_path / 'report.html').write_text('old')
    files = write_evaluation_report(table(3, ('a',)), tmp_path, {}, {'pred': 'here'})
    names = [str(file.relative_to(tmp_path)) for file in files]
    assert names[:3] == ['report.html', 'figures/box_dice.png', 'figures/violin_dice.png']
    assert names[-1] == 'figures/bland_altman.png'
    assert sorted(path for path in tmp_path.rglob('*') if path.is_file()) == sorted(files)
    page = _Page(files[0].read_text())
    assert page.tags.count('img') == len(files) - 1
    assert files[1].read_bytes().startswith(b'\x89PNG')


def test_comparison():
    of = table(8)
    comparison = compare_tables({'A<b>': of, 'B': shifted(of, -0.1), 'C': of}, seed=3)
    figures = {'box_dice': PNG, 'difference_dice_3_B_C': PNG, 'unknown': PNG}
    text = render_comparison(comparison, figures, {'B': {'p9': 'broken'}, 'C': {}}, {'target': 'there'})
    page = _Page(text)
    assert 'b' not in page.tags
    assert page.tags.count('img') == 2
    methods, pairs, ranks = page.tables[0], page.tables[7], page.tables[8]
    assert methods[1][:6] == ['a', 'A<b>', '5', '1', '1', '1']
    assert len(methods) == 1 + 2 * 3
    assert len(pairs) == len(ranks) + 2 * 3 * 2 == 1 + 2 * 3 * 3
    first = comparison.pairs['a']['dice'][0]
    assert pairs[1] == [
        'a', 'dice ↑', 'A<b> − B',
        f'+{first.mean_difference:.3g} [+{first.interval.low:.3g}, +{first.interval.high:.3g}]',
        f'{first.wilcoxon.p_value:.3f}', f'{first.wilcoxon_holm:.3f}', f'{first.permutation.p_value:.3f}',
        f'{first.permutation_holm:.3f}', 'A<b>', '7', '1',
    ]  # fmt: skip
    assert first.wilcoxon_holm > first.wilcoxon.p_value
    assert ranks[0] == ['class', 'metric', 'A<b>', 'B', 'C', 'cases', 'shared wins', 'left out']
    # five valid cases of B are third, in the other two all three are equal
    assert ranks[1] == ['a', 'dice ↑', '1.64 (0 won)', '2.71 (0 won)', '1.64 (0 won)', '7', '7', '1']
    assert 'B, p9' in text
    assert '3 pairs of methods of one class and one metric; there are 6 such families (2 classes x 3 metrics)' in text
    assert '<dt>seed</dt><dd>3</dd>' in text


def test_comparison_without_values(tmp_path):
    of = undefined(table(5, ('a',)), 'a')
    comparison = compare_tables({'x': of, 'y': of})
    page = _Page(render_comparison(comparison, {}))
    assert page.tables[3][1] == ['a', 'dice ↑', 'x − y', '-', '-', '-', '-', '-', '-', '0', '5']
    assert page.tables[4][1] == ['a', 'dice ↑', '-', '-', '0', '0', '5']
    files = write_comparison_report(comparison, tmp_path)
    assert [file.name for file in files][:3] == ['report.html', 'box_dice.png', 'difference_dice_1_x_y.png']
    assert all(file.exists() for file in files)


@pytest.mark.parametrize('metric', ['hd', 'assd'])
def test_metrics_beyond_the_headlines_open_on_a_click(metric):
    of = table(4)
    more = type(of)(of.case_ids, of.classes, ('dice', metric), of.values[..., :2], of.states, {})
    text = render_comparison(compare_tables({'x': more, 'y': more}), {})
    assert 'Differences of the other metrics' in text
    assert 'Ranks by the other metrics' in text
    assert f'{metric} mm ↓' in text
