"""Asking LangSmith for a report: a client that does not wait for long, and errors in words."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from langsmith import Client, utils
from langsmith.schemas import TracerSessionResult
from urllib3 import Retry

from coord_plugins import CoordError

__all__ = ["LangSmithReadError", "asking", "default_project", "read_project"]

_CONNECT, _READ = 5_000, 30_000
"""Milliseconds that our own client waits for a connection, and then for each of three answers."""
_KEY = "set LANGSMITH_API_KEY to a key of the workspace that the project is in"


class LangSmithReadError(CoordError, RuntimeError):
    """A project could not be read; the message names the cause and the mend."""


def default_project() -> str | None:
    """The project that this environment's traces go to; None: the variable is not set."""
    named: str | None = utils.get_tracer_project(return_default_value=False)
    return named


@contextmanager
def asking(client: Client | None) -> Iterator[Client]:
    """The client, or one that is closed afterwards; what goes wrong meanwhile, in words.

    Raises:
        LangSmithReadError: What the client, the network or the server had to say.
    """
    asked = client
    try:
        asked = asked or _own_client()
        yield asked
    # requests' errors are OSErrors; an answer that is not LangSmith's is no JSON, or has no fields
    except (utils.LangSmithError, OSError, ValueError, TypeError) as error:
        raise LangSmithReadError(_in_words(error, asked)) from error
    finally:
        if asked is not None and asked is not client:
            asked.close()


def _own_client() -> Client:
    """A client that gives up at once: somebody is waiting for the report, and can ask again."""
    with warnings.catch_warnings():
        # they are about tracing, which this client does not do; a missing key is reported below
        warnings.simplefilter("ignore", utils.LangSmithWarning)
        return Client(
            retry_config=Retry(total=0, respect_retry_after_header=False),
            timeout_ms=(_CONNECT, _READ),
            auto_batch_tracing=False,
            tracing_mode="langsmith",
            info={},
        )


def read_project(client: Client, name: str, chosen_by: str) -> TracerSessionResult:
    """The project of this name.

    Args:
        client: Whom to ask.
        name: The project's.
        chosen_by: Where the name comes from, for the message; empty: it was asked for.

    Raises:
        LangSmithReadError: There is none.
    """
    try:
        found: TracerSessionResult = client.read_project(project_name=name)
    except utils.LangSmithNotFoundError as error:
        known = [p.name for p in client.list_projects(limit=100, reference_free=True) if p.name]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else _listed(known)
        where = f" ({chosen_by})" if chosen_by else ""
        raise LangSmithReadError(
            f"there is no project {name!r}{where} at {client.api_url}; {hint}"
        ) from error
    return found


def _listed(known: list[str]) -> str:
    if not known:
        return "it has no projects at all: a project begins with its first trace"
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return f"it has {', '.join(map(repr, sorted(known)[:5]))}{more}"


def _in_words(error: Exception, client: Client | None) -> str:
    """What was wrong and what to do, without the client's own text, which names the key."""
    if client is None:
        return f"no client for LangSmith: {error}"
    url = client.api_url
    if isinstance(error, utils.LangSmithUserError):  # the client knows the mend, as a workspace id
        return f"{url}: {_short(error)}"
    if isinstance(error, utils.LangSmithAuthError) or _status(error) in (401, 403):
        what = "refuses the API key" if client.api_key else "asks for an API key, and none is set"
        return f"{url} {what}; {_KEY}"
    if isinstance(error, (utils.LangSmithConnectionError, OSError)):
        key = "" if client.api_key else " (and no LANGSMITH_API_KEY is set)"
        return f"LangSmith at {url} does not answer{key}; check LANGSMITH_ENDPOINT and the network"
    if isinstance(error, utils.LangSmithNotFoundError):
        return f"{url} knows no such address; is LANGSMITH_ENDPOINT a LangSmith API?"
    if isinstance(error, utils.LangSmithRateLimitError):
        return f"{url} takes no more requests for now; try again in a minute"
    if isinstance(error, utils.LangSmithError):
        mend = "; try again, or take a shorter --since" if (_status(error) or 0) >= 500 else ""
        return f"{url} could not answer{mend} ({_short(error)})"
    named = type(error).__name__
    return f"the answer of {url} is not LangSmith's ({named}); check LANGSMITH_ENDPOINT"


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error of the client."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if response is not None:
            return int(response.status_code)
        cause = cause.__cause__ or cause.__context__
    return None


def _short(error: Exception) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= 200 else f"{line[:197]}..."
