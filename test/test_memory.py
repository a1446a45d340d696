"""What a process frees it uses again, where the C library is glibc."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from superslam_ros import memory
if sys.argv[1] == 'kept':
    memory.keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(4)]
work()
before = faults()
for _ in range(20):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc has mallopt')
def test_pages_are_used_again():
    kept, given_back = (int(subprocess.run(
        [sys.executable, '-c', COUNT, how], capture_output=True, text=True, check=True).stdout)
        for how in ('kept', 'given back'))
    assert kept < 1000
    assert kept < given_back / 5
