"""What a checkpoint keeps: merging is a reducer, and an acknowledged run survives `kill -9`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins.host import merge_durable


def test_plain_keys_are_replaced_and_none_deletes() -> None:
    assert merge_durable({"run": {"id": 1}, "x": 1}, {"x": 2}) == {"run": {"id": 1}, "x": 2}
    assert merge_durable({"x": 1}, {"x": None}) == {}
    assert merge_durable(None, None) == {}
    assert merge_durable({"x": 1}, {"*": None, "y": 2}) == {"y": 2}


def test_counts_add_up() -> None:
    kept = merge_durable({"t:a": {"executions": 2, "passes": 1}}, {"t:a": {"executions": 1}})
    assert kept == {"t:a": {"executions": 3, "passes": 1}}


def test_a_pass_forgets_only_the_rejections_that_it_answers() -> None:
    kept = {"e:w": [2, "why", ["w"]]}
    assert merge_durable(kept, {"e:w": [2]}) == {}
    assert merge_durable(kept, {"e:w": [1]}) == kept
    assert merge_durable(kept, {"e:w": [3, "more", ["w"]]}) == {"e:w": [3, "more", ["w"]]}
    assert merge_durable({}, {"e:w": [0]}) == {}


def test_nothing_given_is_changed() -> None:
    kept: dict[str, Any] = {"t:a": {"executions": 1}, "e:w": [1, "x", ["w"]]}
    new: dict[str, Any] = {"t:a": {"executions": 1}, "e:w": [1]}
    merge_durable(kept, new)
    assert kept == {"t:a": {"executions": 1}, "e:w": [1, "x", ["w"]]}
    assert new == {"t:a": {"executions": 1}, "e:w": [1]}


steps = st.sampled_from(["a", "b", "c"])
parts = st.dictionaries(
    steps.map(lambda s: f"t:{s}"),
    st.builds(lambda n, m: {"executions": n, "passes": m}, st.integers(1, 5), st.integers(1, 5)),
    max_size=3,
)


@given(parts, parts, parts)
def test_counts_merge_in_any_order_and_grouping(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    left = merge_durable(merge_durable(one, two), three)
    assert left == merge_durable(one, merge_durable(two, three))
    assert left == merge_durable(merge_durable(three, one), two)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_an_acknowledged_run_survives_kill_9(tmp_path: Path) -> None:
    """The process says that it is acknowledged, is killed, and the run is in the store."""
    code = """
        import os, signal, sys
        from coord_plugins import flush, run_context, track
        with run_context(task="t"), track("p", goal=lambda o: o == 1, store=sys.argv[1]) as run:
            run.output = 1
        assert flush(10)
        print(run.run_id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    store = f"sqlite:///{tmp_path / 'outcomes.db'}"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), store],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    from coord_plugins import iter_runs

    found = [(r.run_id, r.task, r.outcome) for r in iter_runs(store=store)]
    assert found == [(done.stdout.strip(), "t", "success.first_pass")]
