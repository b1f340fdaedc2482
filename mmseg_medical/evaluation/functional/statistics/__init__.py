"""Statistics of per-case values: summaries with intervals, paired tests, ranks. NumPy and SciPy only."""

from mmseg_medical.evaluation.functional.statistics.bootstrap import Interval, bootstrap_interval
from mmseg_medical.evaluation.functional.statistics.comparison import PairComparison, compare_methods
from mmseg_medical.evaluation.functional.statistics.describe import Description, describe
from mmseg_medical.evaluation.functional.statistics.holm import holm
from mmseg_medical.evaluation.functional.statistics.paired import TestResult, paired_permutation, paired_wilcoxon
from mmseg_medical.evaluation.functional.statistics.ranks import RankTable, rank_table
from mmseg_medical.evaluation.functional.statistics.runs import RunComparison, RunSpread, compare_runs

__all__ = [
    'Description',
    'Interval',
    'PairComparison',
    'RankTable',
    'RunComparison',
    'RunSpread',
    'TestResult',
    'bootstrap_interval',
    'compare_methods',
    'compare_runs',
    'describe',
    'holm',
    'paired_permutation',
    'paired_wilcoxon',
    'rank_table',
]
