"""``superslam improve``: SuperPoint weights that are better on recordings, or the reason why there are none."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import options, progress

DESCRIPTION = """Improve SuperPoint on recordings of your robot. Odometry runs over them, the points that it finds tell
which keypoints are stable and which are not, and SuperPoint is trained on that (Self-Improving Visual Odometry, arXiv
1812.03245). A part of the recordings is held out. The new weights are accepted if they find poses there that those
before do not, and are no worse where those are good, and in general; else they are refused, with the reason. Recordings
need a calibrated camera, best with depth or of a stereo pair; for one camera alone, install pycolmap."""
EPILOG = """Exit status: 0 if the weights are accepted (superpoint.safetensors in --out), 1 if they are refused
(report.json says why), 2 on an error, 130 after Ctrl-C; the same command goes on where it was. The patent application
US 2024/0231102 describes training of this kind; open weights and open code grant no licence to it."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        'improve', help='train SuperPoint further on recordings, with a verdict', description=DESCRIPTION,
        epilog=EPILOG)
    parser.add_argument('bags', type=Path, nargs='+', metavar='BAG',
                        help=f'minutes of the places where the robot is to work: {options.INPUT}; but no camera')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR',
                        help='folder for weights and report; one of the same command is gone on with')
    parser.add_argument('--photos', type=Path, nargs='+', default=[], metavar='DIR',
                        help='photographs of other places, so that nothing is forgotten; a tenth is held out to judge '
                             'by; without, painted and rendered pictures take their place')
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='SuperPoint to begin with; default: the shipped one')
    parser.add_argument('--ground-truth', type=Path, nargs='+', default=[], metavar='FILE.tum',
                        help='true poses of the optical frame to judge by, one file for each bag (seconds x y z qx qy '
                             'qz qw); default: those of the recording\'s own structure')
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--steps', type=int, default=0, metavar='N',
                        help='steps of training; the same steps give the same weights')
    length.add_argument('--budget', type=float, default=0.0, metavar='S', help='seconds of training (default 3600)')
    parser.add_argument('--with-superglue', action='store_true',
                        help='train SuperGlue further on the new descriptors, too, if they are accepted')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--seed', type=int, default=0, help='of the training (default 0)')
    options.add_camera(parser)
    options.add_fleet(parser, remembers=False)
    parser.set_defaults(handler=improve)


def improve(arguments: argparse.Namespace) -> int:
    """Improve weights; return 0 if there are better ones, 1 if not.

    :raises ValueError: for options that make no sense.
    """
    from superslam_ros.offline import improve as improving
    from superslam_ros.offline.judging import Watch

    for name in ('steps', 'budget', 'seed'):
        if getattr(arguments, name) < 0:
            raise ValueError(f'--{name} {getattr(arguments, name)}: must be 0 or more')
    chosen = improving.ImproveOptions(
        reader=options.reader_options(arguments), weights=arguments.weights, ground_truth=arguments.ground_truth,
        photographs=arguments.photos, steps=arguments.steps, budget_s=arguments.budget, seed=arguments.seed,
        device=arguments.device, with_superglue=arguments.with_superglue, jobs=arguments.jobs, ray=arguments.ray,
        command=arguments.command_line)
    with progress.Stages() as bars:
        report = improving.improve(arguments.bags, arguments.out, chosen, Watch(bars.start, bars.step, bars.tell))
    for one in report.get('left_out', []):
        print(f'{one["bag"]}: left out: {one["reason"]}')
    print(f'{"accepted" if report["accepted"] else "refused"}: {report["reason"]}')
    if 'superglue' in report:
        print(f'SuperGlue: {report["superglue"]["advice"]}: {report["superglue"]["reason"]}')
    print(f'  {arguments.out / "report.html"}')
    if report['accepted']:
        print(f'  {arguments.out / improving.ACCEPTED}')
    return int(not report['accepted'])
