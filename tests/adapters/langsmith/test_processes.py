"""Outcomes and the ends of processes: exit, kill, fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from coord_plugins.testing import LangSmithServer

PROGRAM = """
import logging, os, signal, sys
logging.basicConfig(level=logging.WARNING)
import langsmith
from coord_langsmith import LangSmith, bounded_client
from coord_plugins import flush, track

langsmith.configure(client=bounded_client())
listener = LangSmith(spool="spool")

def work(number):
    with track("p", goal=lambda n: n % 2 == 1, listeners=[listener], store="off") as run:
        run.output = number
"""


def run(
    body: str, server: LangSmithServer, folder: Path, *, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM) + textwrap.dedent(body)],
        env={**os.environ, **server.environment()},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def outcomes(server: LangSmithServer) -> list[float]:
    found = [f for f in server.feedback if f["key"] == "outcome"]
    assert {f["run_id"] for f in found} == {root["id"] for root in server.roots()}
    return sorted(f["score"] for f in found)


def waiting(folder: Path) -> int:
    files = (folder / "spool").glob("*.jsonl")
    return sum(len(f.read_text().splitlines()) for f in files)


def test_a_process_that_just_ends_has_delivered(server: LangSmithServer, tmp_path: Path) -> None:
    run("for n in range(20): work(n)", server, tmp_path)
    assert outcomes(server) == [0] * 10 + [1] * 10
    assert waiting(tmp_path) == 0


def test_what_could_not_be_sent_at_exit_is_sent_by_the_next_process(
    server: LangSmithServer, tmp_path: Path
) -> None:
    server.fail("down")
    done = run("for n in range(20): work(n)", server, tmp_path)
    assert "LangSmith takes no outcomes" in done.stderr
    assert waiting(tmp_path) == 20
    server.recover()
    run("work(1); assert flush(20), listener.stats()", server, tmp_path)
    assert outcomes(server) == [0] * 10 + [1] * 11
    assert waiting(tmp_path) == 0
    restored = [r for r in server.roots() if "coord:restored" in r["tags"]]
    assert len(restored) == 20


def test_what_was_flushed_survives_a_kill(server: LangSmithServer, tmp_path: Path) -> None:
    body = "work(1); assert flush(20); os.kill(os.getpid(), signal.SIGKILL)"
    run(body, server, tmp_path, code=-9)
    assert outcomes(server) == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_fork_sends_its_own_outcomes_and_not_its_parents(
    server: LangSmithServer, tmp_path: Path
) -> None:
    body = """
    work(1)
    assert flush(20)
    work(2)  # may still be on its way when the process forks
    child = os.fork()
    if child == 0:
        work(3)
        work(4)
        os._exit(0 if flush(20) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert flush(20)
    """
    done = run(body, server, tmp_path)
    assert outcomes(server) == [0, 0, 1, 1]
    by_tag = ["coord:restored" in (r.get("tags") or ()) for r in server.roots()]
    assert sorted(by_tag) == [False, False, True, True]
    assert done.stderr.count("made before this process was forked") == 1
    assert server.repeated_feedback == 0
