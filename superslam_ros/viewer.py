"""A run as it goes, in the rerun viewer (https://rerun.io), which is an optional extra: images, map, path and times."""

from __future__ import annotations

import uuid
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from superslam_ros.data import Motion, TrackingState
from superslam_ros.display import KEYFRAME_COLOUR, frustum
from superslam_ros.geometry.pose import quaternion

if TYPE_CHECKING:
    from superslam_ros.slam import MotionEstimator, Step

NATIVE, WEB = 'native', 'web'
"""Where it is shown: in a window, or in a browser."""
PART = 200
"""Poses of the path that are sent anew with each of them; those before stay as they are."""
SIGMAS = 3.0
LATEST = '0.24'
"""Of rerun-sdk; those before have other names for what is used here."""
TRACKED, SEEN, PATH = (45, 212, 191), (150, 160, 175), (96, 165, 250)
STATES = {TrackingState.INITIALIZING: (200, 200, 200), TrackingState.TRACKING: PATH, TrackingState.LOST: (240, 90, 77)}
SERIES = {'extract': (96, 165, 250), 'match': (45, 212, 191), 'motion': (240, 184, 46), 'keypoints': (150, 160, 175),
          'matches': (45, 212, 191), 'inliers': (129, 140, 248)}
_GREY = 'world/camera/image'


class Viewer:
    """Shows frames one after the other.

    :ivar address: where a browser finds it; empty where that is not how it is shown.
    """

    def __init__(self, where: str = '', save: Path | None = None, run_id: str = '') -> None:
        """Begin a recording of rerun.

        :param where: ``native``, ``web``, the address of a viewer that runs (``rerun+http://HOST:9876/proxy``), or
            empty for none.
        :param save: a .rrd file, in place of that or beside it.
        :param run_id: of the recording; by default a new one.
        :raises RuntimeError: when rerun is not installed, or too old, or a viewer cannot be started.
        :raises OSError: when the file cannot be written.
        """
        self._rerun = rerun = _imported()
        self._stream = rerun.RecordingStream('superslam', recording_id=run_id or str(uuid.uuid4()))
        self.address = ''
        self._path: list[np.ndarray] = []
        self._part = 0
        sinks: list[Any] = []
        if where == WEB and save is not None:
            raise RuntimeError('a viewer in the browser and a .rrd file at once are not to be had: give one of them; '
                               '`rerun FILE.rrd --web-viewer` shows the file in the browser afterwards')
        if save is not None:
            save.parent.mkdir(parents=True, exist_ok=True)
            save.open('wb').close()     # rerun would only log that it cannot write
            sinks.append(rerun.FileSink(str(save)))
        try:
            if where == NATIVE:
                rerun.spawn(connect=False)
                sinks.append(rerun.GrpcSink())
            elif where not in ('', WEB):
                sinks.append(rerun.GrpcSink(where))
            if where == WEB:
                server = self._stream.serve_grpc(default_blueprint=self._layout())
                rerun.serve_web_viewer(open_browser=False, connect_to=server)
                self.address = f'http://localhost:9090/?url={server}'
            else:
                self._stream.set_sinks(*sinks, default_blueprint=self._layout())
        except (RuntimeError, ValueError) as error:
            raise RuntimeError(f'viewer {where}: {" ".join(str(error).split())}') from error
        self._stream.log('world', rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        for name, colour in SERIES.items():
            kind = 'times' if name in ('extract', 'match', 'motion') else 'counts'
            self._stream.log(f'{kind}/{name}', rerun.SeriesLines(colors=[colour], names=[name]), static=True)

    def see(self, step: Step, estimator: MotionEstimator) -> None:
        """Show a frame that was processed, and the map as it is then."""
        rerun, stream, motion = self._rerun, self._stream, step.motion
        stream.set_time('time', timestamp=np.datetime64(motion.stamp_ns, 'ns'))
        self._image(step)
        self._pose(step, motion)
        counts = {'keypoints': len(step.features), 'matches': motion.matches, 'inliers': motion.inliers}
        for kind, figures in (('times', step.timings_ms), ('counts', counts)):
            for name, value in figures.items():
                stream.log(f'{kind}/{name}', rerun.Scalars(value))
        if motion.keyframe:
            self._map(estimator)

    def close(self) -> None:
        """Write what is not yet written."""
        self._stream.flush()
        self._stream.disconnect()

    def _image(self, step: Step) -> None:
        rerun, stream, matches = self._rerun, self._stream, step.temporal
        stream.log(_GREY, rerun.Image(step.frame.image, color_model='L').compress(jpeg_quality=75))
        colours = np.tile(np.array(SEEN, np.uint8), (len(step.features), 1))
        colours[matches.indices[:, 1]] = TRACKED
        stream.log(f'{_GREY}/keypoints', rerun.Points2D(
            step.features.keypoints + 0.5, colors=colours, radii=rerun.Radius.ui_points(2.0)))
        lines = np.stack([matches.keypoints0, matches.keypoints1], 1) + 0.5
        stream.log(f'{_GREY}/matches', rerun.LineStrips2D(
            lines, colors=[TRACKED], radii=rerun.Radius.ui_points(0.5)))

    def _pose(self, step: Step, motion: Motion) -> None:
        rerun, stream, T = self._rerun, self._stream, motion.T_odom_camera
        stream.log('world/camera', rerun.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))
        camera = step.frame.camera
        if camera is not None:
            stream.log(_GREY, rerun.Pinhole(image_from_camera=camera.K, width=camera.width, height=camera.height))
        values, axes = np.linalg.eigh(motion.covariance[:3, :3])
        axes[:, 2] *= np.sign(np.linalg.det(axes))
        stream.log('world/covariance', rerun.Ellipsoids3D(
            centers=[T[:3, 3]], half_sizes=[SIGMAS * np.sqrt(np.maximum(values, 0))],
            quaternions=[rerun.Quaternion(xyzw=quaternion(axes))], colors=[STATES[motion.state]]))
        self._path.append(T[:3, 3])
        stream.log(f'world/path/{self._part}', rerun.LineStrips3D([self._path], colors=[PATH]))
        if len(self._path) > PART:
            self._path, self._part = self._path[-1:], self._part + 1

    def _map(self, estimator: MotionEstimator) -> None:
        rerun, stream, local_map = self._rerun, self._stream, estimator.map
        points, born = local_map.landmarks.points, local_map.landmarks.born
        if len(points):
            age = np.clip((local_map.total - 1 - born) / max(1, local_map.size), 0, 1)[:, None]
            colours = (1 - age) * np.array([240, 90, 77]) + age * np.array([129, 140, 248])
            stream.log('world/landmarks', rerun.Points3D(points, colors=colours.astype(np.uint8),
                                                         radii=rerun.Radius.ui_points(1.5)))
            near = np.median(np.linalg.norm(points - local_map.keyframes[-1].T_odom_camera[:3, 3], axis=1))
            ends = np.concatenate([frustum(one, 0.05 * float(near)) for one in local_map.keyframes])
            stream.log('world/keyframes', rerun.LineStrips3D(ends, colors=[KEYFRAME_COLOUR]))

    def _layout(self) -> Any:
        views = import_module('rerun.blueprint')
        return views.Blueprint(
            views.Horizontal(
                views.Spatial3DView(origin='world', name='map and path'),
                views.Vertical(
                    views.Spatial2DView(origin=_GREY, name='keypoints and matches'),
                    views.TimeSeriesView(origin='times', name='milliseconds'),
                    views.TimeSeriesView(origin='counts', name='keypoints, matches, inliers'),
                    row_shares=[2, 1, 1]),
                column_shares=[3, 2]),
            collapse_panels=True)


def _imported() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise RuntimeError(f'the viewer is rerun: pip install "superslam_ros[viewer]" ({error})') from error
    if not hasattr(rerun, 'FileSink') or not hasattr(rerun, 'Scalars'):
        raise RuntimeError(f'the viewer needs rerun-sdk {LATEST} or later: pip install --upgrade rerun-sdk')
    return rerun
