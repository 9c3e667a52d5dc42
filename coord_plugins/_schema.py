"""`schema`: the output has a given shape; JSON text is parsed, and repaired where that is safe."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ._validators import Validator
from ._verdict import Parsed, Verdict

SHOWN_ERRORS = 8
"""How many of pydantic's errors the feedback names."""


def schema(
    model: Any,
    *,
    repair: bool = True,
    replace: bool = True,
    strict: bool | None = None,
    name: str | None = None,
    **settings: Any,
) -> Validator:
    """The output fits a pydantic model (or any type that pydantic can check).

    Text is read as JSON. Where it is no valid JSON, the optional package json-repair is asked,
    and its answer is taken only where the repair changed punctuation and nothing else: not one
    letter, digit or value may be lost or invented, and text that was cut off is rejected. The
    verdict of repaired text has the label "repaired".

    A rejection ends the edge's chain; a passing verdict hands the parsed value on.

    Args:
        model: A pydantic model, a TypedDict, a dataclass, or any annotation.
        repair: Whether to try a repair.
        replace: Whether the parsed value replaces the step's output; False: it only checks.
        strict: pydantic's strict mode.
        name: How verdicts name it; default "schema(Model)".
        **settings: The fields of `Validator`.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    # The type whose instances need no second look; pydantic made them.
    own = model if isinstance(model, type) and hasattr(model, "model_fields") else None

    def fits_schema(output: Any) -> Verdict | Parsed | bool:
        if type(output) is own:
            return True
        label = None
        try:
            if isinstance(output, (str, bytes)) and model is not str:
                value, label = _from_text(adapter, output, repair, strict)
            else:
                value = adapter.validator.validate_python(output, strict=strict)
        except ValidationError as error:
            return Verdict(passed=False, explanation=_explained(error))
        if label is None:
            return Parsed(value) if replace else True
        said = "the JSON was repaired"
        return Verdict(passed=True, label=label, explanation=said, value=value if replace else None)

    title = name or f"schema({getattr(model, '__name__', model)})"
    return Validator(fn=fits_schema, name=title, ends_chain=True, model=own, **settings)


def _from_text(
    adapter: TypeAdapter[Any], text: str | bytes, repair: bool, strict: bool | None
) -> tuple[Any, str | None]:
    try:
        return adapter.validate_json(text, strict=strict), None
    except ValidationError as error:
        unreadable = any(e["type"] == "json_invalid" for e in error.errors())
        if not (repair and unreadable):
            raise
        mended = repaired(text if isinstance(text, str) else text.decode("utf-8", "replace"))
        if mended is None:
            raise
        return adapter.validate_json(mended, strict=strict), "repaired"


def repaired(text: str) -> str | None:
    """Valid JSON for almost valid JSON text, or None where no safe repair is known.

    Safe means: the text outside a code fence or around the outermost brackets aside, the repair
    keeps every letter, digit, sign and unit in its order, closes nothing that was left open, and
    fills no gap where a value is missing.
    """
    body = _json_body(text)
    if body is None:
        return None
    try:
        json.loads(body)
        return body  # only the fence or the prose around it was wrong
    except ValueError:
        pass
    try:
        from json_repair import repair_json
    except ImportError:
        return None
    if _GAP.search(_STRING.sub('""', body)):
        return None
    # json-repair before 0.61 takes Python's None for a word and puts it in quotes
    body = _NONE.sub(lambda found: "null" if found[0] == "None" else found[0], body)
    mended = repair_json(body, ensure_ascii=False)
    if not isinstance(mended, str) or not mended or _substance(mended) != _substance(body):
        return None
    return None if _SWALLOWED.search(mended) else mended


def _json_body(text: str) -> str | None:
    """The outermost brackets of a reply, or None where they do not close."""
    start = min((i for i in (text.find("{"), text.find("[")) if i >= 0), default=-1)
    if start < 0:
        return None
    end = text.rfind("}" if text[start] == "{" else "]")
    body = text[start : end + 1]
    return body if end > start and _closes(body) else None


def _closes(body: str) -> bool:
    """Whether brackets outside double-quoted strings balance and close only at the end."""
    depth, quoted, escaped = 0, False, False
    for i, char in enumerate(body):
        if quoted:
            quoted = escaped or char != '"'
            escaped = not escaped and char == "\\"
            continue
        quoted = char == '"'
        depth += (char in "{[") - (char in "}]")
        if depth == 0 and i < len(body) - 1:
            return False
    return depth == 0 and not quoted


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=[{\[,:\s])\'(?:[^\'\\]|\\.)*\'(?=[}\],:\s])')
_NONE = re.compile(rf"{_STRING.pattern}|\bNone\b")
"""A string, or Python's None outside of strings."""
_GAP = re.compile(r"[,:\[{]\s*,|:\s*[}\]]|\.\.\.|…")
"""Outside strings: a place where a value is missing or was left out."""
_SWALLOWED = re.compile(r'\\"\s*[,:+]\s*\\"')
"""A string of the repair that took structure for text."""
_WORDS = {"none": "null"}
_PART = re.compile(r"""[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\w+|[^\s{}\[\]:,;='"`\\]""")


def _substance(text: str) -> list[str]:
    """The words, numbers, signs and units of a text, its comments included: what must stay."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)
    words = _PART.findall(re.sub(r"\\[nrt]", " ", text))
    return [_WORDS.get(w.lower(), w.lower() if w in ("True", "False") else w) for w in words]


def _explained(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False, include_context=False)[:SHOWN_ERRORS]:
        where = ".".join(str(p) for p in item["loc"]) or "the output"
        parts.append(f"{where}: {item['msg']}")
    more = error.error_count() - SHOWN_ERRORS
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")
