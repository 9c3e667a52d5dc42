"""Every benchmark runs, with tiny counts: figures mean nothing here, and none is asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")


@pytest.mark.parametrize("name", ["success", "failure", "langgraph", "recording", "imports"])
def test_the_benchmark_runs(name: str) -> None:
    pytest.importorskip("stamina")
    pytest.importorskip("tenacity")
    command = [sys.executable, str(RUN), name, "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"== {name}" in done.stdout
    assert "target" in done.stdout
