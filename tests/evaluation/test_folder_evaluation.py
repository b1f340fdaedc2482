import re

import numpy as np
import pytest

from mmseg_medical.evaluation.cases import evaluate_case
from mmseg_medical.evaluation.folder_evaluation import FolderOptions, evaluate_folders
from mmseg_medical.evaluation.options import EvaluationOptions, classes_and_regions
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.evaluation.table_files import write_table

EVALUATION = EvaluationOptions(3, classes_and_regions(3, ('a', 'b'), {'both': (1, 2)}))


@pytest.fixture
def folders(tmp_path):
    generator = np.random.default_rng(0)
    for name in ('pred', 'target'):
        (tmp_path / name).mkdir()
        for case in ('c1', 'c2', 'c10'):
            np.save(tmp_path / name / f'{case}.npy', generator.integers(0, 3, (5, 6, 7), np.uint8))
    return tmp_path


def evaluate(folders, **options):
    options = FolderOptions(EVALUATION, progress=False, **options)
    return evaluate_folders(folders / 'pred', folders / 'target', options)


@pytest.mark.parametrize('jobs', [1, 2])
def test_every_case_is_measured(folders, jobs):
    table, failures = evaluate(folders, jobs=jobs, spacing_mm=(1, 1, 2))
    assert failures == []
    assert table.case_ids == ('c1', 'c2', 'c10')
    maps = [np.load(folders / name / 'c10.npy') for name in ('pred', 'target')]
    alone = CaseTable.from_cases([evaluate_case('c10', *maps, EVALUATION, (1, 1, 2))], EVALUATION)
    np.testing.assert_array_equal(table.values[2], alone.values[0])
    assert table.metrics == alone.metrics


def test_a_broken_file_does_not_lose_the_rest(folders, tmp_path):
    (folders / 'pred' / 'c2.npy').write_bytes(b'nonsense')
    np.save(folders / 'pred' / 'c10.npy', np.full((5, 6, 7), 3, np.uint8))
    table, failures = evaluate(folders)
    assert table.case_ids == ('c1',)
    assert [failure.case_id for failure in failures] == ['c2', 'c10']
    assert 'c2.npy' in failures[0].error
    assert 'pred holds labels outside 0..2: 3 (210 px)' in failures[1].error
    files = write_table(table, tmp_path / 'out', {f.case_id: f.error for f in failures}, {'pred': 'here'})
    assert [file.name for file in files] == ['metrics.json', 'cases.csv']
    text = files[0].read_text()
    assert list(CaseTable.load(files[0]).case_ids) == ['c1']
    assert '"c10": ' in text
    assert text.startswith('{\n  "format": "mmseg_medical.cases/1",\n  "version"')
    assert '"pred": "here"' in text


def test_nothing_to_evaluate(folders):
    for case in ('c1', 'c2', 'c10'):
        (folders / 'pred' / f'{case}.npy').write_bytes(b'nonsense')
    with pytest.raises(ValueError, match=re.escape('none of the 3 cases of ') + '(?s:.*)c1: .*c1.npy'):
        evaluate(folders)


@pytest.mark.realdata
def test_real_hippocampi(realdata, tmp_path):
    nibabel = pytest.importorskip('nibabel')
    labels = sorted((realdata / 'Task04_Hippocampus' / 'labelsTr').glob('hippocampus_*.nii.gz'))[:3]
    (tmp_path / 'pred').mkdir()
    (tmp_path / 'target').mkdir()
    for path in labels:
        (tmp_path / 'target' / path.name).symlink_to(path)
        image = nibabel.load(path)
        shifted = np.roll(np.asarray(image.dataobj), 1, axis=1).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(shifted, image.affine), tmp_path / 'pred' / path.name)
    table, failures = evaluate(tmp_path)
    assert failures == []
    assert len(table.case_ids) == 3
    for name in ('a', 'b', 'both'):  # moved by one voxel of 1 mm
        assert (table.column(name, 'hd') == 1).all()
        assert (table.column(name, 'nsd@1mm') == 1).all()
        np.testing.assert_array_equal(table.column(name, 'relative_volume_error'), 0)
        assert (table.column(name, 'dice') < 1).all()
