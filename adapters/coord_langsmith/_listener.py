"""`LangSmith`: the listener that puts a run's outcome on the root of its trace."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from langsmith import Client, get_tracing_context, tracing_context
from langsmith.utils import get_tracer_project, tracing_is_enabled

from coord_plugins import (
    Event,
    OutcomeRecorded,
    PolicyError,
    Run,
    RunFinished,
    RunPaused,
    RunRecord,
)

from ._clients import Clients
from ._disk import open_spool
from ._feedback import PREFIX, SUB, Reference
from ._outbox import Outbox
from ._send import FLUSH_SECONDS, Sender
from ._trace import OwnTrace
from ._trace_host import HostTrace

log = logging.getLogger("coord_plugins.langsmith")
KEY = "outcome"
"""The outcome's feedback key, as a rule."""
KEPT = 10_000
"""Runs and traces that are remembered, for labels that come later and for one outcome a trace."""
_alive: WeakValueDictionary[int, LangSmith] = WeakValueDictionary()


class LangSmith:
    """Traces runs in LangSmith, each as one root with its end-to-end outcome as feedback.

    Give it to `attach(listeners=[LangSmith()])`, `track` or `configure`, on any host. It does
    nothing while LangSmith's tracing is off.
    """

    run_events_only = True
    wants_record = True

    def __init__(
        self,
        project: str | None = None,
        client: Client | None = None,
        *,
        key: str = KEY,
        payloads: bool = True,
        extend_retention: bool = False,
        spool: str | os.PathLike[str] | None = None,
    ) -> None:
        """Prepare it; nothing is sent yet.

        Args:
            project: Where roots of ours go; default: where LangSmith's own tracing sends. Traces
                that LangGraph or you begin stay in theirs.
            client: Sends; default: the one that LangSmith's own tracing uses.
            key: The outcome's feedback key.
            payloads: Whether runs of ours carry inputs and outputs, as LangSmith's own tracing
                does. The client's `hide_inputs`, `hide_outputs` and `anonymizer` apply.
            extend_retention: Whether the feedback moves each trace to LangSmith's longer retention,
                which costs more; LangSmith's own default is that it does.
            spool: The directory where outcomes wait that could not be sent; default
                `.coord/langsmith`.

        Raises:
            PolicyError: The client sends OpenTelemetry spans only, whose ids are not those of the
                runs, so that an outcome would find no root.
        """
        if not key or key.endswith(SUB):
            raise PolicyError(f"LangSmith: key={key!r}; give it a name that does not end in {SUB}")
        self.project = project
        self.key = key
        self.payloads = payloads
        self.clients = Clients(client)
        self._lock = threading.Lock()
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._records: OrderedDict[str, RunRecord] = OrderedDict()
        self._late: OrderedDict[str, Callable[[], Any]] = OrderedDict()
        # a run may have several listeners, each with a key of its own
        self._prefix = PREFIX if key == KEY else f"{PREFIX}{key}."
        self.traced = self.sampled_out = self.unknown = 0
        self._sender = Sender(
            self.clients.for_feedback, self.clients.sending, extend_retention=extend_retention
        )
        self._outbox = Outbox(self._send, open_spool(None if spool is None else Path(spool)))
        _alive[id(self)] = self
        self._settings = project, id(client), key, payloads, extend_retention, self.waiting_in

    def __repr__(self) -> str:
        return f"LangSmith(project={self.project!r}, key={self.key!r})"

    def __eq__(self, other: object) -> bool:
        """Two with the same settings are one: `configure` and `attach` may both have it."""
        return isinstance(other, LangSmith) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(self._settings)

    # ------------------------------------------------------------------ where a run happens

    @property
    def client(self) -> Client:
        """LangSmith's client.

        Raises:
            PolicyError: It sends OpenTelemetry spans only.
            UnsupportedHostError: It has changed a part that is relied on.
        """
        return self.clients.tracing

    def trace(self, run: Run) -> OwnTrace | HostTrace | None:
        """A run begins here; None where LangSmith's tracing is off.

        Args:
            run: The run.
        """
        enabled = tracing_is_enabled() is True
        if enabled and not (self.clients.is_usable() and self.clients.is_here()):
            return None
        if run.coord.host.traces_itself:
            return HostTrace(self, run, enabled=enabled)
        if not enabled:
            return None
        return OwnTrace(self, run, is_sent=self.clients.sending() is not None)

    def project_here(self) -> str | None:
        """The project that this listener, or the tracing context, names."""
        named = get_tracing_context()["project_name"]
        return self.project or named

    def default_project(self) -> str:
        """The environment's project."""
        return get_tracer_project() or "default"

    def claim(self, trace_id: str, run: Run) -> str:
        """The key of a run's outcome: the first run of a trace has the trace's own.

        Args:
            trace_id: The trace.
            run: A run inside another one never speaks for the trace.
        """
        if run.parent is not None:
            return self.key + SUB
        with self._lock:
            owner = self._owners.setdefault(trace_id, run.run_id)
            while len(self._owners) > KEPT:
                self._owners.popitem(last=False)
        return self.key if owner == run.run_id else self.key + SUB

    def kept(self, reference: Reference) -> dict[str, Any]:
        """A reference as the run's record keeps it, under names of this listener's own.

        Args:
            reference: Where the run stands.
        """
        found = reference.to_metadata()
        return {self._prefix + k.removeprefix(PREFIX): v for k, v in found.items()}

    def later(self, run_id: str, update: Callable[[], Any]) -> None:
        """Add something to a run once LangSmith has it.

        Args:
            run_id: The run of ours.
            update: Tells LangSmith's client.
        """
        with self._lock:
            self._late[run_id] = update
            while len(self._late) > KEPT:
                self._late.popitem(last=False)

    @contextmanager
    def tracing(self, on: bool) -> Iterator[None]:
        """Inside, LangSmith's tracing is on or off, whatever the environment says.

        Args:
            on: Whether it is on.
        """
        with tracing_context(enabled=on, project_name=self.project, client=self.clients.given):
            yield

    # ------------------------------------------------------------------ on the worker

    def on_event(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, RunPaused) and event.record.run_id in self._late:
            self.client.flush(FLUSH_SECONDS)
            self._update(event.record.run_id)
        record = self._told(event)
        if record is not None:
            self._remember(record)
            self._outbox.put(record)

    def spool(self, events: list[Event]) -> None:
        """Keep on disk what these events tell LangSmith; the core calls it."""
        records = [self._told(event) for event in events]
        self._outbox.keep([record for record in records if record is not None])

    def _told(self, event: Event) -> RunRecord | None:
        """The record that LangSmith is to be told of; None: nothing."""
        if isinstance(event, RunFinished):
            return self._finished(self._read(event.record))
        return self._labelled(event) if isinstance(event, OutcomeRecorded) else None

    def _read(self, record: RunRecord) -> RunRecord:
        """A record with the reference that this listener has kept in it, and no other's."""
        if self._prefix == PREFIX:
            return record
        others = {k: v for k, v in record.metadata.items() if not k.startswith(PREFIX)}
        own = {
            PREFIX + k.removeprefix(self._prefix): v
            for k, v in record.metadata.items()
            if k.startswith(self._prefix)
        }
        return replace(record, metadata={**others, **own})

    def _send(self, record: RunRecord, *, since: float, again: bool, restore: bool) -> None:
        restored = self._sender.send(record, since=since, again=again, restore=restore)
        self._update(record.run_id, is_of_use=not restored)

    def _update(self, run_id: str, *, is_of_use: bool = True) -> None:
        """Say what waited for the run to be there, unless it is only a stand-in of ours."""
        with self._lock:
            update = self._late.pop(run_id, None)
        if update is not None and is_of_use:
            update()

    def _finished(self, record: RunRecord) -> RunRecord | None:
        reference = Reference.of(record)
        if reference is not None:
            self.traced += 1
            self.sampled_out += not reference.sampled
        if reference is None or not reference.sampled:
            self._update(record.run_id, is_of_use=False)
            return None
        return record

    def _labelled(self, event: OutcomeRecorded) -> RunRecord | None:
        """A label came later: correct the feedback of the run that it is about."""
        record, foreign = self._records.get(event.run_id), False
        if record is None and event.record is not None:
            record, foreign = self._read(event.record), True
        if foreign and any(event.run_id in other._records for other in list(_alive.values())):
            return None  # another listener of this process has traced it, with a client of its own
        if record is None:
            self.unknown += 1
            log.warning(
                "the label of run %s is not in LangSmith: neither this process nor its store "
                "knows the run",
                event.run_id,
            )
            return None
        reference = Reference.of(record)
        if reference is None or not reference.sampled:
            return None
        return replace(
            record,
            passed=event.passed,
            # where labels of steps say more, the record of the run's end has it
            lost_at=None if event.passed else record.lost_at or "goal",
            source=event.source,
            explanation=event.explanation,
            goal_error=event.goal_error,
            metadata={
                **record.metadata,
                f"{PREFIX}corrected": True,
                **({f"{PREFIX}foreign": True} if foreign else {}),
            },
        )

    def _remember(self, record: RunRecord) -> None:
        with self._lock:
            self._records[record.run_id] = record
            self._records.move_to_end(record.run_id)
            while len(self._records) > KEPT:
                self._records.popitem(last=False)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every outcome is sent; whether all of them are in LangSmith.

        Args:
            timeout: Seconds.
        """
        return self._outbox.flush(timeout)

    @property
    def waiting_in(self) -> Path:
        """The directory where outcomes wait that could not be sent."""
        return self._outbox.spool.directory

    def replay(self) -> None:
        """Try now what waits on disk, whatever failed before."""
        self._outbox.replay()

    def rescue(self) -> None:
        """The process ends: what is under way goes to disk."""
        self._outbox.rescue()

    def after_fork(self) -> None:
        """Begin anew in a child process; the core calls it."""
        self._lock = threading.Lock()
        self._sender.after_fork()
        self._outbox.after_fork()
        self.traced = self.sampled_out = self.unknown = 0

    def close(self) -> None:
        """End its threads; what is under way goes to disk."""
        _alive.pop(id(self), None)
        self._outbox.close()

    def stats(self) -> dict[str, Any]:
        """Counts of this process: runs traced, of those sampled out, and of the delivery."""
        own = {n: getattr(self, n) for n in ("traced", "sampled_out", "unknown")}
        return {**own, **self._outbox.stats()}
