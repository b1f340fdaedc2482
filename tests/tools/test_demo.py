from __future__ import annotations

import json

from command import run


def test_demo_leaves_what_it_announces(tmp_path):
    """A tenth of its iterations: everything but the quality, which a whole run shows."""
    done = run('demo.py', '--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=20')
    for word in ('hard exudates', 'microaneurysms', 'AUPR', 'by chance', 'training 20/20', 'report.html', 'Done in'):
        assert word in done.stdout
    metrics = json.loads((tmp_path / 'results' / 'metrics.json').read_text())
    assert metrics['metrics']['mAUPR'] > 0
    assert len(list((tmp_path / 'overlays').iterdir())) == 6
    assert len(list((tmp_path / 'results' / 'predictions').iterdir())) == 6
    assert (tmp_path / 'results' / 'curves' / 'training_loss.png').exists()
    assert '<html' in (tmp_path / 'results' / 'report.html').read_text()
