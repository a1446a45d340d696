"""How an executable begins and ends: quiet from the first moment on, also while PyTorch is imported, and quick."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from superslam_ros import cores


def start(module: str) -> NoReturn:
    """Import a module of this package, which takes seconds, run its ``main`` and exit with what that returns.

    SIGINT and SIGTERM end the process at once, with status 0, until ``main`` sets up its own handling: an exception
    raised amid imports would come out as a traceback, or as an error of the library that was being imported. After
    ``main``, the interpreter is not taken apart: with PyTorch in it, that takes seconds on a machine that is busy.

    PyTorch gets half of the cores, where ``OMP_NUM_THREADS`` does not say how many: the others are for the stage
    beside it, and for what else a robot does.
    """
    if not cores.told():
        os.environ[cores.THREADS] = str(max(1, cores.available() // 2))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    status = import_module(module).main()
    atexit._run_exitfuncs()
    with suppress(OSError):     # nobody reads them any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
