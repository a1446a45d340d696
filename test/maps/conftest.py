"""Make the worlds beside this file, and those of the odometry's tests, importable."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / 'slam')]
