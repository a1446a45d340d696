import numpy as np
import pytest

from superslam_ros.evaluation import trajectory
from superslam_ros.geometry import pose

pytest.importorskip('evo')
SECOND = 10**9
START = 1_700_000_000_123_456_789


def helix(count=50):
    poses = []
    for t in np.linspace(0, 6, count):
        poses.append(pose.compose(pose.rotation_exp([0.1 * t, 0, t]), [np.cos(t), np.sin(t), 0.3 * t]))
    return START + np.arange(count) * SECOND // 10, np.array(poses)


def moved(poses, scale=1.0):
    poses = poses.copy()
    poses[:, :3, 3] *= scale
    return pose.compose(pose.rotation_exp([0.3, -2, 1]), [4, -5, 6]) @ poses


def test_tum_files_keep_nanoseconds_and_poses(tmp_path):
    stamps, poses = helix()
    trajectory.write_tum(tmp_path / 'a.tum', stamps, poses)
    again, read = trajectory.read_tum(tmp_path / 'a.tum')
    assert (again == stamps).all()
    np.testing.assert_allclose(read, poses, atol=1e-8)


@pytest.mark.parametrize('line', ['1 2 3', '1 0 0 0 0 0 0 x', '1 0 0 0 0 0 0 0', 'nan 0 0 0 0 0 0 1'])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / 'a.tum').write_text(f'# a comment\n1 0 0 0 0 0 0 1\n{line}\n')
    with pytest.raises(ValueError, match=r'a\.tum, line 3'):
        trajectory.read_tum(tmp_path / 'a.tum')
    (tmp_path / 'b.tum').write_text('# nothing\n')
    with pytest.raises(ValueError, match='no poses'):
        trajectory.read_tum(tmp_path / 'b.tum')


def test_stamps_in_nanoseconds_are_told(tmp_path):
    (tmp_path / 'a.tum').write_text('1403636579763555584 0 0 0 0 0 0 1\n')
    with pytest.raises(ValueError, match='nanoseconds'):
        trajectory.read_tum(tmp_path / 'a.tum')


def test_a_rigid_motion_is_no_error():
    stamps, poses = helix()
    error = trajectory.compare(stamps, moved(poses), stamps, poses)
    assert error.pairs == 50
    assert error.ate_rmse_m < 1e-9 and error.rpe_translation_m < 1e-9 and error.rpe_rotation_deg < 1e-5
    np.testing.assert_allclose(error.aligned, poses, atol=1e-9)
    assert trajectory.compare(stamps, moved(poses), stamps, poses, align='none').ate_rmse_m > 5
    assert abs(error.stamps_ns - stamps).max() <= 1


def test_scale_is_recovered_only_by_sim3():
    stamps, poses = helix()
    error = trajectory.compare(stamps, moved(poses, 0.25), stamps, poses, align='sim3')
    assert error.scale == pytest.approx(4) and error.ate_rmse_m < 1e-9
    assert trajectory.compare(stamps, moved(poses, 0.25), stamps, poses).ate_rmse_m > 0.5


def test_known_errors():
    stamps = np.arange(5) * SECOND
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = np.arange(5)
    wrong = poses.copy()
    wrong[1, 1, 3] = 0.3
    wrong[3:, :3, :3] = pose.rotation_exp([0, 0, np.radians(2)])
    error = trajectory.compare(stamps, wrong, stamps, poses, align='none')
    assert error.true_path_m == pytest.approx(4)
    assert error.ate_max_m == pytest.approx(0.3)
    assert error.ate_rmse_m == pytest.approx(0.3 / np.sqrt(5))
    assert error.percent == pytest.approx(100 * 0.3 / np.sqrt(5) / 4)
    assert error.rpe_rotation_deg == pytest.approx(2 / np.sqrt(4))


def test_stamps_are_associated():
    stamps, poses = helix()
    shuffled = np.random.default_rng(0).permutation(50)[:20]
    error = trajectory.compare((stamps + 5_000_000)[shuffled], poses[shuffled], stamps, poses, align='none')
    assert error.pairs == 20 and error.ate_rmse_m < 1e-9
    with pytest.raises(ValueError, match=r'within 0\.02 s'):
        trajectory.compare(stamps + 10**12, poses, stamps, poses)
    with pytest.raises(ValueError, match='nothing to compare'):
        trajectory.compare([], np.zeros((0, 4, 4)), stamps, poses)


@pytest.mark.parametrize('align', ['se3', 'sim3'])
@pytest.mark.parametrize('count', [1, 2, 10])
@pytest.mark.parametrize('step', [0.0, 0.5])
def test_rest_lines_and_few_poses_are_aligned_by_orientation(align, count, step):
    stamps = np.arange(count) * SECOND
    poses = np.tile(pose.compose(pose.rotation_exp([1, 2, 3]), [1, 1, 1]), (count, 1, 1))
    poses[:, 0, 3] += np.arange(count) * step
    error = trajectory.compare(stamps, moved(poses), stamps, poses, align=align)
    np.testing.assert_allclose(error.aligned, poses, atol=1e-9)
    assert error.scale == pytest.approx(1)
    assert (error.percent is None) == (count == 1 or step == 0)
    assert (error.rpe_translation_m is None) == (count == 1)


def test_drift_is_the_error_per_length_of_stretches():
    stamps, _ = helix()
    straight = np.array([pose.compose(np.eye(3), [0.1 * number, 0, 0]) for number in range(len(stamps))])
    longer = trajectory.compare(stamps, moved(straight, 1.02), stamps, straight, align='none')
    assert trajectory.drift(longer) == pytest.approx((2.0, 0.0), abs=1e-6)
    # A yaw that drifts by a degree per metre.
    turns = [pose.rotation_exp([0, 0, np.radians(T[0, 3])]) for T in straight]
    turned = np.array([pose.compose(R, T[:3, 3]) for R, T in zip(turns, straight)])
    error = trajectory.compare(stamps, turned, stamps, straight, align='none')
    assert trajectory.drift(error)[1] == pytest.approx(1.0)
    still = np.repeat(straight[:1], len(stamps), axis=0)
    assert trajectory.drift(trajectory.compare(stamps, still, stamps, still)) == (None, None)
