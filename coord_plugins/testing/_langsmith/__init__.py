"""A local LangSmith server for tests; see `langsmith_server`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from ._http import Request
from ._server import LangSmithServer

__all__ = ["LangSmithServer", "Request", "langsmith_server"]


@contextmanager
def langsmith_server(
    *,
    port: int = 0,
    strict: bool = True,
    version: str = "0.18.0",
    multipart: bool | Literal["broken"] = True,
    compression: bool = True,
    smithdb: bool = False,
    info: bool = True,
    duplicate_feedback: Literal["update", "conflict"] = "update",
    allow_pending: bool = False,
    allow_repeated_keys: bool = False,
) -> Iterator[LangSmithServer]:
    """Run a local server for the real `langsmith.Client`, on the loopback interface.

    Args:
        port: 0 takes a free one.
        strict: At the end of a block that raised nothing, call `LangSmithServer.check`, after the
            clients made by `LangSmithServer.client` have sent what they have. Other clients must
            have been flushed.
        version: What /info says; below 0.8.10 feedback is sent one by one, by the caller.
        multipart: Whether there is the multipart endpoint, which feedback in the background needs.
            "broken": /info says so, and it answers 404.
        compression: Whether bodies may be compressed with zstd (needs the `zstandard` package).
        smithdb: Only the newer store: feedback needs a `session_id`, and runs are read by `/v2`.
        info: False: /info answers 404, which a client remembers for its whole life.
        duplicate_feedback: Feedback with a known id updates it, or is a 409 (in a batch: ignored).
        allow_pending: A run that never ended is no problem.
        allow_repeated_keys: Two feedback records with one key on one run are no problem.

    Yields:
        The server.

    Raises:
        AssertionError: Something broke a rule, and `strict`.
    """
    options = {
        "version": version,
        "multipart": multipart,
        "compression": compression,
        "smithdb": smithdb,
        "info": info,
    }
    server = LangSmithServer(
        port=port,
        options=options,
        pending=not allow_pending,
        repeated_keys=not allow_repeated_keys,
        duplicate_feedback=duplicate_feedback,
    )
    try:
        yield server
    finally:
        server.close()
    if strict:
        server.check()
