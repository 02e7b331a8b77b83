"""A process is there or it is not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from qrelkit.stores import living


def test_this_process_is_there():
    assert living.exists(os.getpid())
    assert living.alive_until(1_000.0, living.host(), os.getpid(), 1_044.9) == 1_045.0
    assert living.alive_until(1_000.0, living.host(), os.getpid(), 1_045.0) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be asked")
def test_an_ended_process_is_not_there_and_on_another_host_it_is_believed():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert not living.exists(process.pid)
    assert living.alive_until(1_000.0, living.host(), process.pid, 1_001.0) is None
    assert living.alive_until(1_000.0, "elsewhere", process.pid, 1_001.0) == 1_045.0


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only Linux shows it")
def test_a_process_that_nobody_waited_for_is_not_there():
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read() == b""  # it has ended
    while living.exists(process.pid):
        pass
    process.stdout.close()
    process.wait()


def test_the_host_tells_machines_and_boots_apart():
    assert living.host() == living.host() != ""
