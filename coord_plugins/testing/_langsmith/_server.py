"""`LangSmithServer`: a strict local stand-in for the LangSmith API."""

from __future__ import annotations

import re
import sys
import uuid
from importlib import import_module
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from . import _routes_datasets, _routes_feedback, _routes_projects, _routes_runs, _routes_server
from ._faults import Fault, Faults
from ._http import Handler, Listener, Request
from ._router import Answer, Call, answer, plain_path
from ._rules import broken_at_the_end
from ._state import Json, RefusedError, State
from ._view import dotted, is_root, tree

# importing them is what registers their routes
ROUTES = (_routes_server, _routes_runs, _routes_feedback, _routes_projects, _routes_datasets)
API_KEY = "local-test-key"
_WITHOUT_KEY = re.compile(r"GET /info|GET /files/.*|(GET|POST) /feedback/tokens/.+")


class LangSmithServer:
    """A local server that real `langsmith` clients can be pointed at, made by `langsmith_server`.

    It keeps what it is sent, and notes each breach of the API's rules in `problems`. Statistics
    (`feedback_stats`, `error_rate`, ..) are this server's own aggregation in the API's shapes, not
    LangSmith's: they show what a client sent, not what the service would make of it.

    Attributes:
        url: `http://127.0.0.1:PORT`, the endpoint for a client.
        requests: Every `Request`, in order of arrival.
    """

    def __init__(
        self,
        *,
        port: int,
        options: Json,
        pending: bool,
        repeated_keys: bool,
        duplicate_feedback: Literal["update", "conflict"],
    ) -> None:
        self.requests: list[Request] = []
        self._options = options
        self._pending = pending
        self._repeated_keys = repeated_keys
        self._state = State(duplicate_feedback=duplicate_feedback)
        self._faults = Faults()
        self._clients: list[Any] = []
        self._listener: Listener | None = Listener(port, self._serve)
        self._port = int(self._listener.server_address[1])
        self.url = f"http://127.0.0.1:{self._port}"

    # what to point at it

    def environment(self, project: str = "default") -> dict[str, str]:
        """The variables with which a process traces to this server, into `project`."""
        return {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": self.url,
            "LANGSMITH_API_KEY": API_KEY,
            "LANGSMITH_PROJECT": project,
        }

    def client(self, **options: Any) -> Any:
        """A real `langsmith.Client` on this server; it is closed with the server.

        Args:
            **options: For `langsmith.Client`.
        """
        # by name: this package imports no framework
        client = import_module("langsmith").Client(
            **{"api_url": self.url, "api_key": API_KEY, **options}
        )
        self._clients.append(client)
        return client

    # what arrived

    @property
    def runs(self) -> list[Json]:
        """The runs in order of arrival, as they were sent.

        The parts of a run are merged; what a patch says wins where it is not null. The server adds
        `session_id`, the project's id, and `attachments` ({name: (content type, bytes)}).
        """
        with self._state.lock:
            return self._state.runs()

    def roots(self, project: str | None = None) -> list[Json]:
        """The runs without a parent, ended or not.

        Args:
            project: Only those of the project of this name.
        """
        with self._state.lock:
            found = self._state.project_named(project) if project is not None else None
            wanted = found["id"] if found else None
            roots = [run for run in self._state.runs() if is_root(run)]
            return [r for r in roots if project is None or (wanted and r["session_id"] == wanted)]

    def children(self, run_id: str | uuid.UUID) -> list[Json]:
        """The direct children of a run, in dotted order."""
        found = [run for run in self.runs if str(run.get("parent_run_id")) == str(run_id)]
        return sorted(found, key=dotted)

    @property
    def feedback(self) -> list[Json]:
        """The feedback records in order of arrival, without what was null."""
        with self._state.lock:
            return [dict(record) for record in self._state.feedback.values()]

    def feedback_on(self, run_id: str | uuid.UUID, key: str | None = None) -> list[Json]:
        """The feedback on one run, of one key or of all."""
        found = [f for f in self.feedback if str(f.get("run_id")) == str(run_id)]
        return [f for f in found if key is None or f["key"] == key]

    @property
    def projects(self) -> list[Json]:
        """The projects, without statistics."""
        with self._state.lock:
            return [dict(project) for project in self._state.projects.values()]

    @property
    def otel(self) -> list[tuple[dict[str, str], bytes]]:
        """Headers and body of each post of OpenTelemetry spans; they are not made into runs."""
        return list(self._state.otel)

    @property
    def duplicates(self) -> int:
        """How many posts were of a run that had been posted before."""
        with self._state.lock:
            return sum(max(0, entry.posts - 1) for entry in self._state.entries.values())

    @property
    def repeated_feedback(self) -> int:
        """How many feedback records had an id that was known already."""
        return self._state.repeated_feedback

    def tree(self, trace_id: str | uuid.UUID | None = None) -> str:
        """One trace, or all, as indented text: name [type] status #tags key=score(value).

        It holds no ids and no times, so that two runs of a program give the same text.
        """
        with self._state.lock:
            return tree(self._state, str(trace_id) if trace_id is not None else None)

    # what is wrong

    @property
    def problems(self) -> list[str]:
        """What broke a rule so far, one line each."""
        return list(self._state.problems)

    def check(self, *, pending: bool | None = None) -> None:
        """Everything is in: nothing may be wrong.

        Args:
            pending: Whether a run that never ended is a problem; by default as
                `langsmith_server` was told.

        Raises:
            AssertionError: With every problem, also those that only the end can tell.
        """
        with self._state.lock:
            late = broken_at_the_end(
                self._state,
                pending=self._pending if pending is None else pending,
                repeated_keys=self._repeated_keys,
            )
            found = [*self._state.problems, *late]
        if found:
            raise AssertionError("\n- ".join([f"{len(found)} problem(s) with LangSmith:", *found]))

    # how it fails

    def fail(
        self,
        kind: Literal["down", "hanging", "slow", "drop"] | int,
        *,
        path: str | None = None,
        times: int | None = None,
        seconds: float | None = None,
        headers: dict[str, str] | None = None,
        after: bool = False,
    ) -> None:
        """Misbehave until `recover`, or for some requests.

        Args:
            kind: `down`: connections are refused. `hanging`: no answer until `recover`, or for
                `seconds`, and then none. `slow`: the answer comes after `seconds`. `drop`: the
                connection ends without an answer. A number: this status.
            path: A regular expression that the path must contain; None is every path.
            times: For so many requests; None is all.
            seconds: For `slow` and `hanging`.
            headers: Of the answer, for a status: `{"Retry-After": "1"}`.
            after: The request has its effect, and only its answer is lost or an error: what makes
                a client send twice. By default it has none.

        Raises:
            ValueError: Arguments that do not fit each other.
        """
        pattern = re.compile(path) if path else None
        self._faults.add(Fault(kind, pattern, times, seconds, headers or {}, after))
        if kind == "down" and self._listener:
            self._listener.close()
            self._listener = None

    def recover(self) -> None:
        """Healthy again: no fault is in force, and the same port is listened on."""
        self._faults.clear()
        if self._listener is None:
            self._listener = Listener(self._port, self._serve)

    def close(self) -> None:
        """Close the clients that `client` made, which send what they have, and then the server."""
        if sys.is_finalizing():  # nobody closed it in time: no thread is left to wait for
            return
        self.recover()
        for client in self._clients:
            # its thread asks for /info when it begins, and would look for a server that is gone
            client.info  # noqa: B018 - a property that fetches
            client.close(timeout=5.0)
        self._stop()

    def _stop(self) -> None:
        if sys.is_finalizing():
            return
        self._faults.clear()
        if self._listener:
            self._listener.close()

    # how it serves

    def _serve(self, handler: Handler) -> None:
        request = _read(handler)
        with self._state.lock:
            self.requests.append(request)
        fault, over = self._faults.take(request.path)
        result = self._effect(request) if fault is None or fault.after else None
        if fault and fault.kind in ("slow", "hanging"):
            over.wait(fault.seconds)
        if fault and fault.kind in ("hanging", "drop"):
            handler.drop()
            return
        if fault and isinstance(fault.kind, int):
            result = Answer({"detail": "a fault that the test asked for"}, fault.kind)
        result = result or self._effect(request)
        request.status = result.status
        handler.send(result, fault.headers if fault else {})

    def _effect(self, request: Request) -> Answer:
        """Answer a request; its effect happens at once or not at all."""
        call = Call(
            request.method,
            request.path,
            request.query,
            request.headers,
            request.body,
            self.url,
            self._options,
        )
        with self._state.lock:
            try:
                asked = f"{request.method} {plain_path(request.path)}"
                if not request.headers.get("x-api-key") and not _WITHOUT_KEY.fullmatch(asked):
                    raise RefusedError(401, f"{asked}: no x-api-key header", problem=True)
                return answer(self._state, call)
            except RefusedError as refused:
                if refused.problem:
                    self._state.problems.append(refused.detail)
                return Answer({"detail": refused.detail}, refused.status)
            except (KeyError, TypeError, ValueError) as e:
                detail = f"{request.method} {request.path}: a body that cannot be read: {e!r}"
                self._state.problems.append(detail)
                return Answer({"detail": detail}, 422)


def _read(handler: Handler) -> Request:
    url = urlsplit(handler.path)
    headers = {name.lower(): value for name, value in handler.headers.items()}
    raw = handler.read_body()
    body = _decompress(raw) if headers.get("content-encoding") == "zstd" else raw
    query = parse_qs(url.query, keep_blank_values=True)
    return Request(handler.command, unquote(url.path), query, headers, body, len(raw))


def _decompress(raw: bytes) -> bytes:
    """The SDK compresses in one frame of unknown length."""
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    except zstandard.ZstdError:
        return raw  # the handler will not be able to read it either, and says so
