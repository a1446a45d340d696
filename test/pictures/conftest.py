"""Make the worlds of the tests of maps and of the odometry importable."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / room) for room in ('maps', 'slam')]
