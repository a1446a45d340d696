"""One camera's poses: by pycolmap in another process, or, with the reason, by the odometry."""

import re
from dataclasses import replace

import numpy as np
import pytest

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.evaluation import trajectory
from superslam_ros.geometry.pose import inverse
from superslam_ros.improve import checks, colmap
from superslam_ros.improve.evidence import LOST
from superslam_ros.offline import evidence as reading
from superslam_ros.offline import monocular
from superslam_ros.offline.improve_recordings import Task, prepare
from superslam_ros.offline.judging import Watch
from superslam_ros.offline.work import Work
from superslam_ros.slam import ExtractorConfig, SlamConfig

CONFIG = SlamConfig(ExtractorConfig(max_keypoints=300))
LOST_FROM = 8


@pytest.fixture(scope='module')
def evidence(demo_bag, tmp_path_factory):
    """Give a walk through the rendered room by one camera, the odometry of which is lost after a while."""
    found = reading.gather(demo_bag.bag, tmp_path_factory.mktemp('mono') / 'evidence', CONFIG,
                           ReaderOptions(mode='mono'))
    assert found.source == 'one camera' and not found.metric
    segment = np.where(np.arange(len(found)) < LOST_FROM, 0, LOST)
    return replace(found, segment=segment, T_world_camera=np.tile(np.eye(4), (len(found), 1, 1)))


def placed(evidence, folder, watch=None):
    monocular.place(evidence, folder, watch or Watch())
    assert [path.name for path in folder.iterdir()] == ['poses.npz']
    return monocular.placed(evidence, folder)


@pytest.mark.skipif(not monocular.installed(), reason='pycolmap is not installed')
def test_pycolmap_places_what_the_odometry_has_lost_and_always_alike(evidence, demo_bag, tmp_path, capfd):
    told = []
    found, by = placed(evidence, tmp_path / 'a', Watch(lambda *what: told.append(what), lambda: told.append(1)))
    assert by == f'pycolmap {monocular.installed()}' and (found.segment == 0).all()
    _, true = trajectory.read_tum(demo_bag.truth)
    at, true = (np.array([(inverse(poses[0]) @ T)[:3, 3] for T in poses]) for poses in (found.T_world_camera, true))
    scale = (at * true).sum() / (at * at).sum()
    assert np.linalg.norm(scale * at - true, axis=1).max() < 0.02
    assert told == [('demo: one camera, by pycolmap', len(evidence)), *[1] * len(evidence)]
    placed(evidence, tmp_path / 'b')
    assert (tmp_path / 'a/poses.npz').read_bytes() == (tmp_path / 'b/poses.npz').read_bytes()
    assert capfd.readouterr() == ('', '')


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Give a function that puts a library of a text where pycolmap is looked for first."""
    def put(text):
        about = tmp_path / 'site/pycolmap-9.9.dist-info/METADATA'
        about.parent.mkdir(parents=True)
        about.write_text('Metadata-Version: 2.1\nName: pycolmap\nVersion: 9.9\n')
        (tmp_path / 'site/pycolmap.py').write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path / 'site'))
    return put


def refused(evidence, folder, caplog):
    """Return why the poses are the odometry's."""
    found, by = placed(evidence, folder)
    assert np.array_equal(found.segment, evidence.segment)
    assert np.array_equal(found.T_world_camera, evidence.T_world_camera)
    reason = re.fullmatch(r'odometry \((.*)\)', by)[1]
    assert f'demo: its poses are those of the odometry, {LOST_FROM} of {len(evidence)} frames: {reason}' in caplog.text
    return reason


@pytest.mark.parametrize(('text', 'reason'), [
    ('raise ImportError("libGL.so.1 is missing")', 'ImportError: libGL.so.1 is missing'),
    ('import os; os.write(2, b"@ 0x7f0c"); os.abort()', 'exit status -6'), ('version = 1', 'AttributeError: module')])
def test_where_pycolmap_fails_the_odometry_stands(evidence, tmp_path, library, caplog, text, reason):
    library(text)
    assert refused(evidence, tmp_path / 'poses', caplog).startswith(f'pycolmap 9.9 failed: {reason}')


def test_where_there_is_no_pycolmap_the_odometry_stands(evidence, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(monocular, 'installed', lambda: '')
    assert 'pip install pycolmap' in refused(evidence, tmp_path / 'poses', caplog)


def test_where_pycolmap_places_less_the_odometry_stands(evidence, tmp_path, monkeypatch, caplog):
    fewer = colmap.Placed(np.zeros((len(evidence), 4, 4)), np.where(np.arange(len(evidence)) < LOST_FROM - 1, 0, LOST))
    monkeypatch.setattr(monocular, 'installed', lambda: '9.9')
    monkeypatch.setattr(monocular, '_run', lambda *_: fewer)
    assert refused(evidence, tmp_path / 'poses', caplog) == 'pycolmap 9.9 places 7 of 20 frames, and the odometry 8'


def test_a_recording_of_one_camera_is_made_use_of(demo_bag, tmp_path, monkeypatch):
    pytest.importorskip('gtsam')
    for name in ('FEWEST_FRAMES', 'FEWEST_STABLE'):
        monkeypatch.setattr(checks, name, 10)
    task = Task(demo_bag.bag, 0, Work(tmp_path / 'work', {}), CONFIG, ReaderOptions(mode='mono'))
    made = prepare(task, None, Watch())
    about = made.about(np.ones(demo_bag.frames, bool), np.zeros(demo_bag.frames, bool))
    assert about['source'] == 'one camera' and about['lost'] <= 5 and about['stable'] > 50
    assert about['poses'] == (f'pycolmap {monocular.installed()}' if monocular.installed() else made.placed_by)
    assert np.array_equal(made.evidence.T_world_camera, monocular.placed(
        made.evidence, tmp_path / 'work/poses_0')[0].T_world_camera)
    # Of frames that no poses are known of, it is said which poses were looked for, and where.
    monkeypatch.setattr(checks, 'FEWEST_FRAMES', 21)
    with pytest.raises(checks.Refusal, match=r'of 21 that are needed: .* \(one camera; its poses are by '):
        prepare(task, None, Watch())
