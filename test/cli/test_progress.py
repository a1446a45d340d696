"""Bars of commands of several stages: what there is to see on a terminal, and without one."""

from __future__ import annotations

import io
import logging
import re

import pytest
from rich.console import Console

from superslam_ros.cli import progress


@pytest.fixture
def shown(monkeypatch):
    """Return a terminal that remembers what it has shown."""
    screen = io.StringIO()
    monkeypatch.setattr(progress, 'Console', lambda stderr: Console(file=screen, force_terminal=True, width=100))
    return lambda: re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', screen.getvalue())


def go_through(bars):
    bars.start('monday', 4)
    for _ in range(4):
        bars.step()
    bars.start('a length that is not known', None)
    bars.step()
    bars.tell('tuesday', 10, 40)
    bars.tell('wednesday', 3, None)
    bars.tell('tuesday', 40, 40)
    bars.start('measure before', 8)
    bars.step()
    bars.step()


def test_every_stage_has_a_bar_with_what_is_left(shown):
    with progress.Stages() as bars:
        go_through(bars)
    lines = [line.strip() for line in shown().splitlines()]
    for words in (r'monday .* 4/4 0:00:00', r'a length that is not known .* 1$', r'tuesday .* 40/40 .* 0:00:00',
                  r'wednesday .* 3\b', r'measure before .* 2/8 \S+$'):
        assert any(re.search(words, line) for line in lines), (words, lines)


def test_without_a_terminal_stages_are_in_the_log_alone(caplog, capfd):
    with caplog.at_level(logging.INFO), progress.Stages() as bars:
        go_through(bars)
    assert [record.getMessage() for record in caplog.records] == [
        'monday: 4 steps', 'a length that is not known', 'measure before: 8 steps']
    assert '━' not in ''.join(capfd.readouterr())      # no bars; tests before may have asked for the log
