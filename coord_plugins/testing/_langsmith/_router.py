"""From a request to the function that answers it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ._state import Json, RefusedError, State

Handler = Callable[..., "Answer"]
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []
_PREFIX = re.compile(r"^/api/v1(?=/)|^/v1(?=/platform/)|^/api(?=/v2/)")
_PARTS = {"id": r"[0-9a-fA-F-]{36}"}


@dataclass(frozen=True)
class Answer:
    """What is sent back: JSON, or bytes as they are."""

    content: Any = None
    status: int = 200
    content_type: str = "application/json"

    def body(self) -> bytes:
        """The bytes of the content."""
        if isinstance(self.content, bytes):
            return self.content
        return json.dumps(self.content, default=str).encode()


@dataclass(frozen=True)
class Call:
    """A request, as its handler sees it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    base: str
    """The server's URL."""
    options: Json = field(default_factory=dict)
    """What /info and the multipart endpoint were told to be."""

    def json(self) -> Any:
        """The body, read as JSON; an empty one is an empty object."""
        return json.loads(self.body or b"{}")

    def fields(self) -> Json:
        """The body, which must be an object."""
        read = self.json()
        if not isinstance(read, dict):
            raise RefusedError(422, "the body must be an object", problem=True)
        return read

    def one(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """A query parameter that is true or false."""
        return self.one(name).lower() == "true"

    def page(self, found: list[Any]) -> list[Any]:
        """The part of a list that `offset` and `limit` ask for."""
        start = int(self.one("offset", "0"))
        return found[start : start + int(self.one("limit", "100"))]


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register a handler; `{id}` takes a UUID, other names take one level of the path."""

    def register(handler: Handler) -> Handler:
        def group(found: re.Match[str]) -> str:
            name = found.group(1)
            return f"(?P<{name}>{_PARTS.get(name, '[^/]+')})"

        pattern = re.compile(re.sub(r"{(\w+)}", group, path))
        _ROUTES.append((method, pattern, handler))
        return handler

    return register


def plain_path(path: str) -> str:
    """The path without the prefixes that clients put before it.

    An endpoint may be given with `/api/v1`; the typed accessors always say `/api/v1` or `/api/v2`.
    """
    return _PREFIX.sub("", path)


def answer(state: State, call: Call) -> Answer:
    """Let a request have its effect.

    Raises:
        RefusedError: It has none; an unknown path is also a problem.
    """
    path = plain_path(call.path)
    for method, pattern, handler in _ROUTES:
        found = pattern.fullmatch(path)
        if found and method == call.method:
            return handler(state, call, **found.groupdict())
    raise RefusedError(404, f"unknown path: {call.method} {call.path}", problem=True)
