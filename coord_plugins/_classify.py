"""The error table: which errors a repeat can mend.

- transient, the same call may succeed later: timeouts, connections, 408, 409, 425, 429, 5xx,
  overload.
- invalid, the model answered, but not in the asked form: JSONDecodeError, pydantic's
  ValidationError, parser errors, `InvalidOutputError`.
- fatal, the same call fails again: 400, 401, 403, 404, 422, `insufficient_quota`, programming
  errors.

No client library is imported: errors are read by the attributes that HTTP clients share and
by the names in their class hierarchy.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Literal

from .errors import InvalidOutputError

ErrorKind = Literal["transient", "invalid", "fatal"]

TRANSIENT_STATUS = frozenset({408, 409, 425, 429, *range(500, 600)})
"""HTTP status codes after which the same call may succeed."""

_NEVER = frozenset({501, 505})  # "not implemented" stays so
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "exceeded your current quota")
_OVERLOAD_CODES = frozenset(
    {
        "throttling",
        "throttlingexception",
        "throttled",
        "toomanyrequestsexception",
        "requestlimitexceeded",
        "slowdown",
        "serviceunavailable",
        "serviceunavailableexception",
        "modelnotreadyexception",
        "modeltimeoutexception",
        "internalserverexception",
        "provisionedthroughputexceededexception",
        "requesttimeout",
        "overloaded_error",
        "rate_limit_error",
        "server_error",
    }
)
_TRANSIENT_NAMES = frozenset(
    {
        # requests, urllib3, httpx, aiohttp: raised without any HTTP status
        "ConnectionError",
        "Timeout",
        "TimeoutException",
        "NetworkError",
        "RemoteProtocolError",
        "ChunkedEncodingError",
        "ClientConnectionError",
        "ServerDisconnectedError",
        # openai, anthropic
        "APIConnectionError",
        "APITimeoutError",
        # botocore
        "HTTPClientError",
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        # google-api-core
        "RetryError",
        "ServerError",
        "TooManyRequests",
        "DeadlineExceeded",
        "ServiceUnavailable",
        "Aborted",
        # LangGraph's node timeout is no TimeoutError
        "NodeTimeoutError",
    }
)
_INVALID_NAMES = frozenset({"ValidationError", "OutputParserException", "JSONDecodeError"})
_INVALID_MODULES = ("pydantic", "pydantic_core", "langchain_core", "json", "jsonschema")
_NETWORK_MODULES = frozenset(
    {"requests", "urllib3", "httpx", "httpcore", "aiohttp", "openai", "anthropic", "botocore"}
    | {"google", "grpc", "langgraph", "httpx2", "httpcore2"}
)


def classify(error: BaseException) -> ErrorKind:
    """Say whether repeating the same call can mend `error`.

    Args:
        error: What a step raised.

    Returns:
        "transient", "invalid" or "fatal"; see the table in this module's docstring.
    """
    if _is_invalid_output(error):
        return "invalid"
    status = http_status(error)
    if status is not None:
        if status not in TRANSIENT_STATUS or status in _NEVER or _out_of_quota(error):
            return "transient" if _error_code(error) in _OVERLOAD_CODES else "fatal"
        return "transient"
    if _error_code(error) in _OVERLOAD_CODES:
        return "transient"
    # an OSError that is no connection error (a missing file, a full disk) is fatal
    if isinstance(error, (TimeoutError, ConnectionError)) or _is_asyncio_timeout(error):
        return "transient"
    return "transient" if _named_transient(error) else "fatal"


def is_control_flow(error: BaseException) -> bool:
    """Whether `error` is no error but a host's own signal, such as an interrupt of LangGraph.

    An attached host declares its own; this is for decorated functions, which run inside hosts
    that they know nothing of.
    """
    return any(
        c.__name__ == "GraphBubbleUp" and c.__module__.startswith("langgraph.")
        for c in type(error).__mro__
    )


def http_status(error: BaseException) -> int | None:
    """The HTTP status that an error of any common client carries, if any."""
    response = getattr(error, "response", None)
    found: list[Any] = [getattr(error, "status_code", None), getattr(response, "status_code", None)]
    if isinstance(response, Mapping):  # botocore.exceptions.ClientError
        found.append(_get(response, "ResponseMetadata", "HTTPStatusCode"))
    found += [getattr(error, "code", None), getattr(error, "status", None)]
    for status in found:
        value = getattr(status, "value", status)  # http.HTTPStatus, grpc-like enums
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
            return value
    return None


def retry_after(error: BaseException, now: float | None = None) -> float | None:
    """Seconds that the server asks to wait (`Retry-After`, `retry-after-ms`), if it does.

    Args:
        error: What a step raised.
        now: Unix seconds against which a date is read; default the wall clock.
    """
    response = getattr(error, "response", None)
    headers = getattr(error, "headers", None) or getattr(response, "headers", None)
    if isinstance(response, Mapping):
        headers = _get(response, "ResponseMetadata", "HTTPHeaders")
    if headers is None or not hasattr(headers, "get"):
        return None
    try:
        milliseconds = headers.get("retry-after-ms")
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        said = headers.get("retry-after") or headers.get("Retry-After")
        return None if said is None else _seconds(str(said), time.time() if now is None else now)
    except (TypeError, ValueError):  # a malformed header is no request to wait
        return None


def _seconds(said: str, now: float) -> float:
    try:
        return max(0.0, float(said))
    except ValueError:
        from email.utils import parsedate_to_datetime  # a tenth of the package's import time

        return max(0.0, parsedate_to_datetime(said).timestamp() - now)


def _is_invalid_output(error: BaseException) -> bool:
    if isinstance(error, (json.JSONDecodeError, InvalidOutputError)):
        return True
    return any(
        c.__name__ in _INVALID_NAMES and c.__module__.split(".")[0] in _INVALID_MODULES
        for c in type(error).__mro__
    )


def _is_asyncio_timeout(error: BaseException) -> bool:
    import asyncio

    return isinstance(error, asyncio.TimeoutError)  # an own class before Python 3.11


def _named_transient(error: BaseException) -> bool:
    return any(
        c.__name__ in _TRANSIENT_NAMES and c.__module__.split(".")[0] in _NETWORK_MODULES
        for c in type(error).__mro__
    )


def _error_code(error: BaseException) -> str:
    """A provider's own code in lower case: botocore's Error.Code, a body's error.type."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        code = _get(response, "Error", "Code")
        if code is not None:
            return str(code).lower()
    code = getattr(error, "type", None) or getattr(error, "code", None)
    if not isinstance(code, str):
        body = getattr(error, "body", None)
        code = _get(body, "error", "type") if isinstance(body, Mapping) else None
    return code.lower() if isinstance(code, str) else ""


def _out_of_quota(error: BaseException) -> bool:
    code = getattr(error, "code", None)
    text = f"{code or ''} {error}".lower()
    return any(word in text for word in _QUOTA)


def _get(mapping: Mapping[str, Any], *path: str) -> Any:
    found: Any = mapping
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
