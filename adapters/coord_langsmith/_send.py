"""One outcome through LangSmith's own client; its errors as ours."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

import requests
from langsmith import Client
from langsmith.utils import (
    LangSmithAPIError,
    LangSmithAuthError,
    LangSmithConflictError,
    LangSmithConnectionError,
    LangSmithError,
    LangSmithNotFoundError,
    LangSmithRateLimitError,
    LangSmithRequestTimeout,
)

from coord_plugins import RunRecord

from ._errors import NotYetError, RefusedError, UnavailableError
from ._feedback import Feedback, Reference, feedback_of, source_info

_LOG = logging.getLogger("langsmith.client")
_AWAY = (
    LangSmithAPIError,
    LangSmithConnectionError,
    LangSmithRateLimitError,
    LangSmithRequestTimeout,
    requests.exceptions.RequestException,
)
RESTORED = ("run_id", "pipeline", "policy_id", "outcome")
"""What a run that is made again says of itself."""
UNKNOWN = "LangSmith does not know its trace; is this the workspace where it was traced?"
RESTORED_TAG = "coord:restored"
"""Marks a run that was made again because it was lost on its way."""
FLUSH_SECONDS = 5.0
"""How long a worker waits for LangSmith's client to send the runs that feedback is about."""


class Sender:
    """Sends outcomes; remembers the ids of the projects."""

    def __init__(
        self,
        client: Callable[[], Client],
        tracing: Callable[[], Client | None],
        *,
        extend_retention: bool,
    ) -> None:
        """Prepare it; both are asked in the worker's thread.

        Args:
            client: The client that sends feedback.
            tracing: The client that sends the runs; None where it cannot work (after a fork).
            extend_retention: Whether feedback moves a trace to the longer (and dearer) retention.
        """
        self._client = client
        self._tracing = tracing
        self._extend = extend_retention
        self._projects: dict[str, Any] = {}
        self._flushing = threading.Lock()
        self._flushed = 0.0

    def after_fork(self) -> None:
        """Begin anew in a child process."""
        self._flushing = threading.Lock()

    def send(self, record: RunRecord, *, since: float, again: bool, restore: bool) -> bool:
        """Deliver one run's feedback; whether its root had to be made again.

        Args:
            record: The run.
            since: When it ended or later, monotonic seconds: its runs were given to the client.
            again: Whether an earlier try may have been taken: then what is there is corrected.
            restore: Whether to make the root again where LangSmith does not have it.

        Raises:
            NotYetError: The root or its project is not there yet.
            UnavailableError: LangSmith cannot take it now.
            RefusedError: It never will.
        """
        reference = Reference.of(record)
        if reference is None:
            return False
        restored = False
        tracing: Client | None = self._tracing()
        restore = restore or tracing is None
        if tracing is not None:
            self._flush(tracing, since)
        client = self._client()
        for feedback in feedback_of(record, reference):
            try:
                self._deliver(client, feedback, record, reference, again=again)
            except NotYetError:
                if not restore:
                    raise
                if reference.foreign:
                    raise RefusedError(UNKNOWN) from None
                self._restore(client, record, reference)
                restore, restored = False, True
                self._deliver(client, feedback, record, reference, again=again)
        return restored

    def _flush(self, tracing: Client, since: float) -> None:
        """Send the runs first; one flush serves all outcomes that were waiting when it began."""
        with self._flushing:
            if self._flushed > since:
                return
            began = time.monotonic()
            # at the interpreter's end its pool takes nothing more, and has sent what it had
            with _translated(), suppress(RuntimeError):
                tracing.flush(FLUSH_SECONDS)
            self._flushed = began

    def _deliver(
        self, client: Client, said: Feedback, record: RunRecord, where: Reference, *, again: bool
    ) -> None:
        """Send one feedback; one that is there already is left, or corrected by a later label."""
        with _translated():
            if (again or where.corrected) and _is_there(client, said):
                if where.corrected:
                    _correct(client, said)
                return
            try:
                client.create_feedback(
                    # without trace_id the client sends it at once and says how that went
                    run_id=where.target,
                    key=said.key,
                    score=said.score,
                    value=said.value,
                    comment=said.comment,
                    feedback_id=said.id,
                    session_id=self._project(client, where.project),
                    start_time=_time(where.start),
                    source_info=source_info(record),
                    extend_trace_retention=self._extend,
                    stop_after_attempt=1,
                )
            except LangSmithConflictError:
                _correct(client, said)

    def _project(self, client: Client, name: str) -> Any:
        if name not in self._projects:
            self._projects[name] = client.read_project(project_name=name).id
        return self._projects[name]

    def _restore(self, client: Client, record: RunRecord, where: Reference) -> None:
        """Make a root again that was lost on its way, as far as its record knows it."""
        start = _time(where.start) or datetime.fromtimestamp(record.started_at, timezone.utc)
        order = _order(start, where.trace_id)
        self._create(client, record, where, id=where.trace_id, dotted_order=order, start_time=start)
        if where.target != where.trace_id:  # a run inside a trace of the user's
            began = max(start, datetime.fromtimestamp(record.started_at, timezone.utc))
            self._create(
                client,
                record,
                where,
                id=where.target,
                parent_run_id=where.trace_id,
                dotted_order=f"{order}.{_order(began, where.target)}",
                start_time=began,
            )

    def _create(self, client: Client, record: RunRecord, where: Reference, **run: Any) -> None:
        with _translated(), suppress(LangSmithConflictError):  # it is there after all
            client.create_run(
                where.name,
                {},
                "chain",
                project_name=where.project,
                trace_id=where.trace_id,
                end_time=datetime.fromtimestamp(record.finished_at or 0, timezone.utc),
                # this client does not hide what the other hides: nothing of the user's own
                error=None if record.error is None else record.error.partition(":")[0],
                tags=[*record.tags, RESTORED_TAG],
                extra={"metadata": {f"coord.{n}": getattr(record, n) for n in RESTORED}},
                **run,
            )


def _is_there(client: Client, said: Feedback) -> bool:
    try:
        client.read_feedback(said.id)
    except LangSmithNotFoundError:
        return False
    return True


def _correct(client: Client, said: Feedback) -> None:
    client.update_feedback(said.id, score=said.score, value=said.value, comment=said.comment)


def _order(start: datetime, run_id: str) -> str:
    """A run's part of LangSmith's dotted order."""
    return f"{start:%Y%m%dT%H%M%S%f}Z{run_id}"


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


class _NotFromHere(logging.Filter):
    """Drops what this thread logs."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._here


@contextmanager
def _translated() -> Iterator[None]:
    """LangSmith's errors as those that say what to do next.

    Its client writes each with its traceback to the log, also what is no more than "not yet".
    """
    quiet = _NotFromHere()
    _LOG.addFilter(quiet)
    try:
        yield
    except LangSmithNotFoundError as error:
        raise NotYetError(str(error)) from error
    except LangSmithAuthError as error:
        raise UnavailableError(str(error), is_final=True) from error
    except requests.exceptions.Timeout as error:
        # the next call would hang as long
        raise UnavailableError(f"{type(error).__name__}: {error}", is_final=True) from error
    except _AWAY as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error
    except (LangSmithError, ValueError) as error:
        raise RefusedError(f"{type(error).__name__}: {error}") from error
    finally:
        _LOG.removeFilter(quiet)
