"""What a data set of volumes is like, what is wrong with it, and how a U-Net could be set up for it."""

from mmseg_medical.datasets.fingerprint.case import CaseRecord, Expected, measure_case
from mmseg_medical.datasets.fingerprint.measuring import measure_cases
from mmseg_medical.datasets.fingerprint.proposal import propose
from mmseg_medical.datasets.fingerprint.summary import summarise

__all__ = ['CaseRecord', 'Expected', 'measure_case', 'measure_cases', 'propose', 'summarise']
