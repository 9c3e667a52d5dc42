"""Read a multipart body whose parts may contain anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Part(NamedTuple):
    """One part of a multipart body."""

    name: str
    content_type: str
    data: bytes


def read_parts(body: bytes, content_type: str) -> Iterator[Part]:
    """The parts, in order.

    A part that states its length, in a header of its own or as a parameter of its content type,
    is taken by it: attachments may contain the boundary. Others end at the next boundary.

    Raises:
        ValueError: The body is not multipart, or is cut short.
    """
    boundary = _parameter(content_type, "boundary")
    if not boundary:
        raise ValueError(f"no boundary in content type {content_type!r}")
    line = b"--" + boundary.encode()
    at = body.index(line)
    while not body.startswith(b"--", at + len(line)):
        head_end = body.index(b"\r\n\r\n", at)
        head = _headers(body[at + len(line) + 2 : head_end])
        start = head_end + 4
        stated = head.get("content-length") or _parameter(head.get("content-type", ""), "length")
        end = start + int(stated) if stated else body.index(b"\r\n" + line, start)
        name = _parameter(head.get("content-disposition", ""), "name")
        if not name or end > len(body):
            raise ValueError("a part has no name, or is cut short")
        yield Part(name, head.get("content-type", "").split(";")[0], body[start:end])
        at = body.index(line, end)


def _headers(head: bytes) -> dict[str, str]:
    pairs = (row.split(":", 1) for row in head.decode().split("\r\n") if ":" in row)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _parameter(value: str, name: str) -> str | None:
    """A parameter of a header's value: `form-data; name="x"`."""
    found = re.search(rf';\s*{name}="?([^";]*)"?', value)
    return found.group(1) if found else None
