"""A run that is killed anywhere and started again makes what an undisturbed run makes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import TRUTH, make, recipe_of, tree

from retail_gym.data.lineage import check_runs
from retail_gym.data.verify import verify

ROOT = Path(__file__).parents[2]

#: Makes a dataset undisturbed and counts how often it touches the disk; then again and again, in
#: processes of its own that kill themselves, without a chance to clean up, at one of the touches:
#: in the middle of a write, before and after a rename, between deletions.
SCRIPT = """
import os, signal, sys, tempfile
from pathlib import Path
import numpy as np
sys.path.insert(0, {here!r})
from datasets import TRUTH, make, recipe_of

root, number, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
last, touches = 0, 0

def touch():
    global touches
    touches += 1
    if touches == last:
        os.kill(os.getpid(), signal.SIGKILL)

def touching(function):
    def call(*arguments, **keywords):
        touch()
        result = function(*arguments, **keywords)
        touch()
        return result
    return call

def file(*arguments, make_file=tempfile.NamedTemporaryFile, **keywords):
    handle = make_file(*arguments, **keywords)
    write = handle.write
    def halves(data):
        view = memoryview(data).cast("B")
        write(view[:len(view) // 2])
        handle.flush()
        touch()
        return len(view) // 2 + write(view[len(view) // 2:])
    handle.write = halves
    return handle

tempfile.NamedTemporaryFile = file
os.replace, os.unlink, os.rmdir = map(touching, (os.replace, os.unlink, os.rmdir))

def run(folder):
    process = os.fork()  # there are no threads here whose locks it could copy
    if not process:
        make(folder, recipe_of(truth=TRUTH))
        (root / "touches").write_text(str(touches))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

# Once for all: loading the compiled kernel. One process, no threads.
from retail_gym import Simulator, make_world
simulator = Simulator(make_world("tiny"), 0)
for _ in range(2):
    simulator.step(simulator.world.base_price)

assert run(root / "whole") == 0
n = int((root / "touches").read_text())
for last in 1 + np.random.default_rng(seed).choice(n, number, replace=False):
    assert run(root / "killed" / f"at touch {{last}} of {{n}}") == -signal.SIGKILL
"""


def check(root, number, seed):
    """Kill runs at random points, let them go on here; how many temporary files were left."""
    script = SCRIPT.format(here=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", script, str(root), str(number), str(seed)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int((root / "touches").read_text()) > 80
    whole, stale = tree(root / "whole"), 0
    killed = sorted((root / "killed").iterdir())
    assert len(killed) == number
    for folder in killed:
        stale += len(list(folder.rglob("*.tmp")))
        make(folder, recipe_of(truth=TRUTH))
        assert tree(folder) == whole, folder.name
        assert check_runs(folder) == []
        assert verify(folder) == []
    return stale


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_a_killed_run_goes_on(tmp_path):
    assert check(tmp_path, 4, seed=1) > 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills forked processes")
def test_a_run_killed_at_twenty_random_points_goes_on(tmp_path):
    assert check(tmp_path, 20, seed=20) > 5
