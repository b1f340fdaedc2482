"""Preprocessed cases on disk, of which a patch is read without the rest: see docs/patch_store.md."""

from mmseg_medical.datasets.patch_store.build import build_store
from mmseg_medical.datasets.patch_store.case_file import CaseFile, DamagedCaseError, StoredArray
from mmseg_medical.datasets.patch_store.case_writer import Case, content_hash, write_case
from mmseg_medical.datasets.patch_store.store import PatchStore

__all__ = [
    'Case',
    'CaseFile',
    'DamagedCaseError',
    'PatchStore',
    'StoredArray',
    'build_store',
    'content_hash',
    'write_case',
]
