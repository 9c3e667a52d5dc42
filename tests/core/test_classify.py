"""The error table on the real exception classes of the clients that people use."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pydantic
import pytest

anthropic = pytest.importorskip("anthropic")
botocore = pytest.importorskip("botocore")
httpx = pytest.importorskip("httpx")
openai = pytest.importorskip("openai")
requests = pytest.importorskip("requests")
google = pytest.importorskip("google.api_core.exceptions")
pytest.importorskip("botocore.exceptions")

from coord_plugins import CircuitOpenError, classify
from coord_plugins._classify import TRANSIENT_STATUS, http_status, retry_after

T, INVALID, F = "transient", "invalid", "fatal"
request = httpx.Request("POST", "https://api.example/v1")


def of_requests(status: int) -> Exception:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def of_httpx(status: int) -> Exception:
    return httpx.HTTPStatusError(
        "x", request=request, response=httpx.Response(status, request=request)
    )


def of_openai(status: int, body: Any = None, **headers: str) -> Exception:
    kinds = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    response = httpx.Response(status, request=request, headers=headers)
    return kinds.get(status, openai.InternalServerError)("x", response=response, body=body)


def of_anthropic(status: int, kind: str = "api_error") -> Exception:
    response = httpx.Response(status, request=request)
    body = {"type": "error", "error": {"type": kind, "message": "x"}}
    kinds = {400: anthropic.BadRequestError, 401: anthropic.AuthenticationError}
    found = kinds.get(status, anthropic.APIStatusError)
    return found("x", response=response, body=body)


def of_botocore(code: str, status: int) -> Exception:
    said: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(said, "InvokeModel")


def validation_error() -> Exception:
    try:
        pydantic.TypeAdapter(int).validate_python("x")
    except pydantic.ValidationError as error:
        return error
    raise AssertionError


STATUSES = [
    (400, F),
    (401, F),
    (403, F),
    (404, F),
    (408, T),
    (409, T),
    (422, F),
    (425, T),
    (429, T),
    (500, T),
    (501, F),
    (502, T),
    (503, T),
    (504, T),
    (505, F),
    (529, T),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("make", [of_requests, of_httpx, of_openai, of_anthropic])
def test_by_status(make: Any, status: int, kind: str) -> None:
    assert http_status(make(status)) == status
    assert classify(make(status)) == kind


NAMED: list[tuple[Any, str]] = [
    (requests.ConnectionError(), T),
    (requests.Timeout(), T),
    (requests.ConnectTimeout(), T),
    (requests.ReadTimeout(), T),
    (requests.exceptions.ChunkedEncodingError(), T),
    (requests.exceptions.InvalidURL(), F),
    (requests.exceptions.MissingSchema(), F),
    (httpx.ConnectError("x"), T),
    (httpx.ReadError("x"), T),
    (httpx.ConnectTimeout("x"), T),
    (httpx.ReadTimeout("x"), T),
    (httpx.PoolTimeout("x"), T),
    (httpx.RemoteProtocolError("x"), T),
    (httpx.LocalProtocolError("x"), F),
    (httpx.InvalidURL("x"), F),
    (httpx.UnsupportedProtocol("x"), F),
    (openai.APIConnectionError(request=request), T),
    (openai.APITimeoutError(request=request), T),
    (openai.OpenAIError("no key"), F),
    (of_openai(429, {"code": "insufficient_quota", "message": "x"}), F),
    (of_openai(429, {"code": "rate_limit_exceeded"}), T),
    (anthropic.APIConnectionError(request=request), T),
    (anthropic.APITimeoutError(request=request), T),
    (of_anthropic(529, "overloaded_error"), T),
    (of_anthropic(200, "overloaded_error"), T),  # told inside a stream that began with 200
    (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), T),
    (botocore.exceptions.ConnectTimeoutError(endpoint_url="x"), T),
    (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), T),
    (botocore.exceptions.ConnectionClosedError(endpoint_url="x"), T),
    (botocore.exceptions.NoCredentialsError(), F),
    (botocore.exceptions.ParamValidationError(report="x"), F),
    (of_botocore("ThrottlingException", 429), T),
    (of_botocore("ThrottlingException", 400), T),
    (of_botocore("ServiceUnavailableException", 503), T),
    (of_botocore("ModelTimeoutException", 408), T),
    (of_botocore("ValidationException", 400), F),
    (of_botocore("AccessDeniedException", 403), F),
    (google.TooManyRequests("x"), T),
    (google.ResourceExhausted("x"), T),
    (google.ServiceUnavailable("x"), T),
    (google.DeadlineExceeded("x"), T),
    (google.InternalServerError("x"), T),
    (google.Aborted("x"), T),
    (google.RetryError("x", cause=None), T),
    (google.InvalidArgument("x"), F),
    (google.PermissionDenied("x"), F),
    (google.NotFound("x"), F),
    (google.Unauthenticated("x"), F),
    (asyncio.TimeoutError(), T),
    (TimeoutError(), T),
    (ConnectionResetError(), T),
    (BrokenPipeError(), T),
    (FileNotFoundError("x"), F),
    (PermissionError("x"), F),
    (OSError(28, "no space left on device"), F),
    (json.JSONDecodeError("x", "y", 0), INVALID),
    (validation_error(), INVALID),
    (ValueError("x"), F),
    (KeyError("x"), F),
    (TypeError("x"), F),
    (ZeroDivisionError(), F),
    (NotImplementedError(), F),
    (CircuitOpenError("writer", 3.0), F),
    (asyncio.CancelledError(), F),
]


@pytest.mark.parametrize(
    ("error", "kind"), NAMED, ids=[f"{type(e).__module__}.{type(e).__name__}-{k}" for e, k in NAMED]
)
def test_by_class(error: BaseException, kind: str) -> None:
    assert classify(error) == kind


def test_langchain_parsers() -> None:
    exceptions = pytest.importorskip("langchain_core.exceptions")
    assert classify(exceptions.OutputParserException("no JSON")) == INVALID


def test_a_class_of_the_same_name_elsewhere_is_not_taken() -> None:
    """A user's own `Timeout` or `ValidationError` says nothing about a network or a model."""
    for name in ("Timeout", "ValidationError", "ServerError"):
        assert classify(type(name, (Exception,), {})()) == F


def test_a_deadline_that_is_a_timeout_is_transient() -> None:
    assert classify(type("Mine", (TimeoutError,), {})()) == T


def test_the_table_is_public() -> None:
    assert {408, 409, 425, 429, 500, 599} <= TRANSIENT_STATUS
    assert not TRANSIENT_STATUS & {200, 400, 401, 403, 404, 422}


def test_retry_after_in_seconds_milliseconds_and_as_a_date() -> None:
    assert retry_after(of_openai(429, **{"retry-after": "7"})) == 7.0
    assert retry_after(of_openai(429, **{"Retry-After": "1.5"})) == 1.5
    assert retry_after(of_openai(429, **{"retry-after-ms": "250", "retry-after": "9"})) == 0.25
    date = of_openai(429, **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert retry_after(date, now=1445412480.0 - 30) == 30.0
    assert retry_after(date, now=1445412480.0 + 30) == 0.0
    assert retry_after(of_openai(429, **{"retry-after": "soon"})) is None
    assert retry_after(of_openai(429)) is None
    assert retry_after(TimeoutError()) is None
    said: Any = {"ResponseMetadata": {"HTTPHeaders": {"retry-after": "3"}}}
    assert retry_after(botocore.exceptions.ClientError(said, "x")) == 3.0
    response = requests.Response()
    response.headers["Retry-After"] = "4"
    assert retry_after(requests.HTTPError(response=response)) == 4.0


def test_a_number_that_is_no_status_is_not_taken_for_one() -> None:
    error = Exception()
    error.code = 7  # type: ignore[attr-defined]
    assert http_status(error) is None
    error.code = True  # type: ignore[attr-defined]
    assert http_status(error) is None
