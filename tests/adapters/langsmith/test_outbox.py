"""The queue between runs and LangSmith: bounded, few tries, a spool, and nothing lost unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from coord_langsmith import _outbox, _queue
from coord_langsmith._disk import lost, open_spool
from coord_langsmith._errors import NotYetError, RefusedError, UnavailableError
from coord_langsmith._outbox import Outbox

from coord_plugins import RunRecord


def record(run_id: str, *, passed: bool = True) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        pipeline="p",
        status="finished",
        end="delivered",
        detail="first_pass",
        passed=passed,
    )


class Service:
    """Takes outcomes, or raises what it is told to raise, one word per call."""

    def __init__(self, *says: Exception | None) -> None:
        self.says = list(says)
        self.always: Exception | None = None
        self.calls: list[tuple[str, bool, bool]] = []
        self.taken: list[RunRecord] = []
        self.entered = threading.Semaphore(0)
        self.gate: threading.Event | None = None

    def __call__(self, one: RunRecord, *, since: float, again: bool, restore: bool) -> None:
        self.calls.append((one.run_id, again, restore))
        self.entered.release()
        if self.gate is not None:
            assert self.gate.wait(5)
        said = self.says.pop(0) if self.says else self.always
        if said is not None:
            raise said
        self.taken.append(one)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Outbox]]:
    monkeypatch.setattr(_outbox, "UNAVAILABLE_DELAYS", (0.0, 0.0))
    monkeypatch.setattr(_outbox, "NOT_YET_DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(_outbox, "COOLDOWN", (3600.0, 7200.0))
    monkeypatch.setattr(_queue, "BEHIND", 0.001)
    made: list[Outbox] = []

    def one(service: Any) -> Outbox:
        made.append(Outbox(service, open_spool(tmp_path / "spool")))
        return made[-1]

    yield one
    for box in made:
        box.close()


def counts(box: Outbox) -> dict[str, int]:
    return {k: v for k, v in box.stats().items() if v}


def test_an_outcome_is_sent_once(make: Any) -> None:
    service = Service()
    box = make(service)
    for n in range(20):
        box.put(record(str(n)))
    assert box.flush(5)
    assert sorted(service.calls) == sorted((str(n), False, False) for n in range(20))
    assert counts(box) == {"sent": 20}


def test_few_tries_then_disk_then_once_more_when_it_answers(make: Any) -> None:
    service = Service()
    service.always = UnavailableError("500")
    box = make(service)
    box.put(record("a"))
    assert not box.flush(5)
    assert service.calls == [("a", False, False), ("a", True, False), ("a", True, False)]
    assert counts(box) == {"spooled": 1, "waiting": 1}

    service.always = None
    box.put(record("b"))  # still closed: straight to disk, LangSmith is left alone
    assert len(service.calls) == 3
    assert counts(box) == {"spooled": 2, "waiting": 2}
    box.replay()
    assert box.flush(5)
    # from disk: it may have been taken before, and its root may be lost
    assert service.calls[3:] == [("a", True, True), ("b", True, True)]
    assert counts(box) == {"sent": 2, "spooled": 2}


def test_a_wrong_key_is_tried_once(make: Any) -> None:
    service = Service(UnavailableError("401", is_final=True))
    box = make(service)
    box.put(record("a"))
    assert not box.flush(5)
    assert len(service.calls) == 1
    assert counts(box) == {"spooled": 1, "waiting": 1}


def test_a_root_that_is_not_there_yet_is_waited_for_then_made_again(make: Any) -> None:
    service = Service(*[NotYetError("404")] * 3)
    box = make(service)
    box.put(record("a"))
    assert box.flush(5)
    assert [restore for _, _, restore in service.calls] == [False, False, False, True]
    assert counts(box) == {"sent": 1}


def test_what_is_refused_is_neither_kept_nor_tried_again(make: Any) -> None:
    service = Service(RefusedError("422"))
    box = make(service)
    box.put(record("a"))
    assert box.flush(5)
    assert len(service.calls) == 1
    assert counts(box) == {"refused": 1}
    assert lost(box.spool) == {"refused": 1, "dropped": 0}


def test_a_bug_in_sending_costs_no_outcome(make: Any) -> None:
    service = Service(KeyError("bug"))
    box = make(service)
    box.put(record("a"))
    assert not box.flush(5)
    assert counts(box) == {"spooled": 1, "waiting": 1}
    box.replay()
    assert box.flush(5)
    assert counts(box) == {"sent": 1, "spooled": 1}


def test_a_newer_word_on_a_run_replaces_one_that_waits_and_follows_one_that_is_sent(
    make: Any,
) -> None:
    service = Service()
    service.gate = threading.Event()
    box = make(service)
    box.put(record("a", passed=True))
    assert service.entered.acquire(timeout=5)  # the first is under way
    box.put(record("a", passed=False))
    box.put(record("a", passed=True))
    service.gate.set()
    assert box.flush(5)
    assert [r.passed for r in service.taken] == [True, True]
    assert counts(box) == {"sent": 2}


def test_the_queue_is_bounded_and_the_rest_waits_on_disk(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outbox, "LIMIT", 2)
    monkeypatch.setattr(_queue, "WORKERS", 1)
    service = Service()
    service.gate = threading.Event()
    box = make(service)
    box.put(record("0"))
    assert service.entered.acquire(timeout=5)
    for n in range(1, 6):
        box.put(record(str(n)))
    assert counts(box) == {"spooled": 3, "waiting": 3}
    service.gate.set()
    assert box.flush(5)
    assert {r.run_id for r in service.taken} == {str(n) for n in range(6)}
    assert counts(box) == {"sent": 6, "spooled": 3}


def test_a_disk_that_takes_nothing_is_counted(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    service.always = UnavailableError("down", is_final=True)
    box = make(service)

    def full(_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(box.spool, "write", full)
    box.put(record("a"))
    assert box.flush(5)
    assert counts(box) == {"dropped": 1}
    assert lost(box.spool) == {"refused": 0, "dropped": 1}


def test_what_is_under_way_at_the_end_goes_to_disk_and_another_process_sends_it(
    make: Any,
) -> None:
    service = Service()
    service.gate = threading.Event()
    box = make(service)
    for n in range(8):
        box.put(record(str(n)))
    assert service.entered.acquire(timeout=5)
    assert not box.flush(0.0)
    box.close()
    assert counts(box) == {"spooled": 8, "waiting": 8}
    service.gate.set()  # those that were being sent arrive after all

    later = Service()
    other = make(later)
    other.replay()
    assert other.flush(5)
    assert {r.run_id for r in later.taken} == {str(n) for n in range(8)}
    assert all(again for _, again, _ in later.calls)


def test_what_was_due_when_it_closed_is_sent_later(make: Any) -> None:
    """Outcomes that were queued before the failure of another one go to disk with it."""
    service = Service()
    service.gate = threading.Event()
    service.always = UnavailableError("down", is_final=True)
    box = make(service)
    for n in range(12):
        box.put(record(str(n)))
    assert service.entered.acquire(timeout=5)
    service.gate.set()
    assert not box.flush(5)
    assert box.spool.count() == 12
    service.always = None
    box.replay()
    assert box.flush(5)
    assert {r.run_id for r in service.taken} == {str(n) for n in range(12)}


def test_a_failed_replay_keeps_its_file_and_waits(make: Any) -> None:
    service = Service()
    service.always = UnavailableError("down", is_final=True)
    box = make(service)
    for n in range(3):
        box.put(record(str(n)))
    assert not box.flush(5)
    waiting = box.spool.count()
    assert waiting == 3
    tried = len(service.calls)
    box.replay()
    assert not box.flush(5)
    assert len(service.calls) == tried + 1  # the first failure ends it
    assert box.spool.count() == 3


def test_the_cooldown_doubles_up_to_its_most(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outbox, "COOLDOWN", (1000.0, 3000.0))
    now = [0.0]
    monkeypatch.setattr(_outbox.time, "monotonic", lambda: now[0])
    box = make(Service())
    waits = []
    for _ in range(4):
        box._close(UnavailableError("x"))
        waits.append(box._closed_until - now[0])
    assert waits == [1000.0, 2000.0, 3000.0, 3000.0]


def test_an_older_word_on_disk_yields_to_a_newer_one_under_way(make: Any) -> None:
    service = Service()
    service.gate = threading.Event()
    box = make(service)
    box.put(record("a", passed=False))
    assert service.entered.acquire(timeout=5)
    assert box._resend(record("a", passed=True))  # it need not be kept, and is not sent
    service.gate.set()
    assert box.flush(5)
    assert [r.passed for r in service.taken] == [False]


def test_where_no_thread_can_start_whoever_waits_does_the_work(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the interpreter ends, on Python 3.12 and later."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    service = Service(UnavailableError("once"))
    box = make(service)
    for n in range(3):
        box.put(record(str(n)))
    assert service.calls == []
    assert box.flush(5)
    assert {r.run_id for r in service.taken} == {"0", "1", "2"}
    assert counts(box) == {"sent": 3}


def test_asking_when_the_disk_is_due_takes_nothing(make: Any) -> None:
    """Whoever only looks how long to sleep must not leave the work to nobody."""
    service = Service()
    service.always = UnavailableError("down", is_final=True)
    box = make(service)
    box.put(record("a"))
    assert not box.flush(5)
    service.always = None
    with box._queue.ready:
        box._closed_until = 0.0
        assert [box._next_replay(), box._next_replay()] == [0.0, 0.0]
        assert not box._replaying
        box._queue.ready.notify_all()
    assert box.flush(5)
    assert [r.run_id for r in service.taken] == ["a"]
