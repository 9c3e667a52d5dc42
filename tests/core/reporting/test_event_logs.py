"""Whatever crashed, timed out, was cancelled, resumed or came late: reports add up.

`python tests/benchmarks/run.py identities` does the same for a million logs.
"""

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins._reporting._report import report

_PATH = Path(__file__).parents[2] / "benchmarks" / "event_logs.py"
_SPEC = importlib.util.spec_from_file_location("coord_event_logs", _PATH)
logs = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = logs
_SPEC.loader.exec_module(logs)


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_reports_of_random_event_logs_add_up(rng, runs):
    store = logs.check_logs(logs.shuffled(rng, runs), runs, batch=7)
    records = list(store.iter_records())
    nested = report(store).groups
    logs.check(report(records), len(records))
    started = {g.pipeline: g.started for g in nested if g.started}
    assert {g.pipeline: g.started for g in report(records).groups} == started
    store._engine.dispose()


@pytest.mark.parametrize("seed", range(2))
def test_two_thousand_logs_at_once(seed):
    store = logs.check_logs(logs.shuffled(random.Random(seed), 2_000), 2_000)
    whole = report(store)
    seen = {name for group in whole.groups for name, n in group.outcomes.items() if n}
    assert len(seen) >= 18  # nearly every outcome occurs
    assert all(group.trials is not None and group.true_rate is not None for group in whole.groups)
    store._engine.dispose()


def test_the_order_of_arrival_does_not_matter_but_for_equal_times():
    found = []
    for order in range(3):
        rng = random.Random(7)
        events = [e for i in range(300) for e in logs.run_log(rng, f"r{i}")]
        queues: dict[str, list] = {}
        for event in events:
            queues.setdefault(event.record.run_id, []).append(event)
        names = list(queues)
        random.Random(order).shuffle(names)
        mixed = [event for name in names for event in queues[name]]
        store = logs.check_logs(mixed, 300, batch=11)
        found.append([{g.pipeline: dict(g.outcomes)} for g in report(store).groups])
        store._engine.dispose()
    assert found[0] == found[1] == found[2]
