"""Tracing: runs come in by four ways, and are read by two."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ._filter import compile_filter
from ._multipart import read_parts
from ._router import Answer, Call, route
from ._rules import broken_at_arrival
from ._state import Entry, Json, Operation, RefusedError, State, moment
from ._stats import run_stats
from ._view import is_root, run_v1, run_v2

Arrival = tuple[Operation, Json]
OPERATIONS: dict[str, Operation] = {"post": "post", "patch": "patch"}
ACCEPTED = Answer({"message": "Runs batch ingested"}, 202)


@route("POST", "/runs/multipart")
def multipart(state: State, call: Call) -> Answer:
    """Runs, feedback and attachments, in the order of the parts."""
    if call.options["multipart"] is not True:
        raise RefusedError(404, "this server has no multipart endpoint")
    runs: dict[tuple[Operation, str], Json] = {}
    feedback: list[Json] = []
    files: list[tuple[str, str, tuple[str, bytes]]] = []
    for part in read_parts(call.body, call.headers.get("content-type", "")):
        kind, owner, *field = part.name.split(".", 2)
        if kind == "feedback":
            feedback.append(json.loads(part.data))
        elif kind == "attachment":
            files.append((owner, field[0], (part.content_type, part.data)))
        elif kind in OPERATIONS:
            run = runs.setdefault((OPERATIONS[kind], owner), {"id": owner})
            run.update({field[0]: json.loads(part.data)} if field else json.loads(part.data))
        else:
            raise RefusedError(422, f"unknown part {part.name}", problem=True)
    _ingest(state, [(operation, run) for (operation, _), run in runs.items()])
    for owner, name, file in files:
        if owner not in state.entries:
            raise RefusedError(422, f"attachment {name!r} of the unknown run {owner}", problem=True)
        state.entries[owner].files[name] = file
    for record in feedback:
        _take_feedback(state, record)
    return ACCEPTED


def _take_feedback(state: State, record: Json) -> None:
    try:
        state.store_feedback(record)
    except RefusedError as refused:
        # the rest of the batch is in: a conflict is not the batch's
        if refused.status != 409:
            raise


@route("POST", "/runs/batch")
def batch(state: State, call: Call) -> Answer:
    """Runs as JSON, for servers without the multipart endpoint."""
    body = call.fields()
    arrivals: list[Arrival] = [("post", run) for run in body.get("post") or []]
    arrivals += [("patch", run) for run in body.get("patch") or []]
    _ingest(state, arrivals)
    return ACCEPTED


def _ingest(state: State, arrivals: list[Arrival]) -> None:
    """All or nothing: the API refuses a batch for one bad run."""
    for operation, run in arrivals:
        broken = broken_at_arrival(run, is_post=operation == "post")
        if broken:
            raise RefusedError(400, broken, problem=True)
    for operation, run in arrivals:
        state.store_run(operation, run)


@route("POST", "/runs")
def post_run(state: State, call: Call) -> Answer:
    """One run; it need not say where in its trace it stands."""
    run = call.fields()
    if not run.get("trace_id") or not run.get("dotted_order"):
        run = {**run, **_place(state, run)}
    _ingest(state, [("post", run)])
    return Answer({"message": "Run created"}, 202)


def _place(state: State, run: Json) -> Json:
    """The trace_id and the dotted_order that follow from the parent and the start."""
    began = moment(run["start_time"]).strftime("%Y%m%dT%H%M%S%fZ")
    level, parent_id = f"{began}{run['id']}", run.get("parent_run_id")
    if not parent_id:
        return {"trace_id": run["id"], "dotted_order": level}
    if str(parent_id) not in state.entries:
        raise RefusedError(404, f"parent run {parent_id} not found")
    parent = state.entries[str(parent_id)].merged()
    dotted = f"{parent['dotted_order']}.{level}"
    return {"trace_id": parent["trace_id"], "dotted_order": dotted}


@route("PATCH", "/runs/{id}")
def patch_run(state: State, call: Call, id: str) -> Answer:
    """Changes of one run. One that was never posted is a problem at the end, not here."""
    run = {**call.fields(), "id": id}
    if run.get("trace_id") and run.get("dotted_order"):
        _ingest(state, [("patch", run)])
    else:
        state.store_run("patch", run)
    return Answer({"message": "Run updated"}, 200)


@route("GET", "/runs/{id}")
def get_run(state: State, call: Call, id: str) -> Answer:
    """One run."""
    return Answer(run_v1(state, _entry(state, id), call.base))


def _entry(state: State, run_id: str) -> Entry:
    if run_id not in state.entries:
        raise RefusedError(404, f"Run {run_id} not found")
    return state.entries[run_id]


@route("POST", "/runs/query")
def query(state: State, call: Call) -> Answer:
    """Runs that match, the latest first."""
    body = call.fields()
    found = _latest_first(_select(state, body))
    rows = [run_v1(state, entry, call.base) for entry in found]
    return Answer({"runs": rows[: body.get("limit") or None], "cursors": {"next": None}})


@route("POST", "/runs/stats")
def stats(state: State, call: Call) -> Answer:
    """Numbers over the runs that match."""
    return Answer(run_stats(state, [entry.merged() for entry in _select(state, call.fields())]))


@route("POST", "/v2/runs/query")
def query_v2(state: State, call: Call) -> Answer:
    """Runs that match, a page at a time; the cursor is the place where the next page begins."""
    body = call.fields()
    # the newer names for the same conditions
    renamed = {"project_ids": "session", "ids": "id", "trace_id": "trace", "has_error": "error"}
    renamed |= {"reference_examples": "reference_example", "min_start_time": "start_time"}
    wanted = {renamed.get(key, key): value for key, value in body.items()}
    wanted["run_type"] = str(body["run_type"]).lower() if body.get("run_type") else None
    wanted["before"] = body.get("max_start_time")
    found = _latest_first(_select(state, wanted))
    start, size = int(body.get("cursor") or 0), int(body.get("page_size") or 100)
    rows = found[start : start + size]
    return Answer(
        {
            "items": [run_v2(state, e, call.base, body.get("selects") or ()) for e in rows],
            "next_cursor": str(start + size) if start + size < len(found) else None,
        }
    )


@route("GET", "/v2/runs/{id}")
def get_run_v2(state: State, call: Call, id: str) -> Answer:
    """One run of a project; the fields that are asked for."""
    entry = _entry(state, id)
    if entry.project != call.one("project_id"):
        raise RefusedError(404, f"Run {id} not found in this project")
    selects = call.query.get("selects", call.query.get("selects[]", []))
    return Answer(run_v2(state, entry, call.base, selects))


@route("GET", "/v2/runs/{id}/url")
def run_url(state: State, call: Call, id: str) -> Answer:
    """Where a run can be seen; here there is nothing to see."""
    return Answer({"url": f"{call.base}{run_v1(state, _entry(state, id), call.base)['app_path']}"})


def _latest_first(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda e: str(e.merged().get("start_time") or ""), reverse=True)


def _select(state: State, wanted: Json) -> list[Entry]:
    """The runs that match every condition of a query; one that is not known is refused."""
    given = {k: v for k, v in wanted.items() if v is not None}
    for unknown in ("query", "trace_filter", "tree_filter", "sem_filter", "ai_search"):
        if unknown in given:
            raise RefusedError(400, f"this server does not know {unknown!r}", problem=True)
    test = compile_filter(given["filter"]) if given.get("filter") else None
    found = [e for e in state.entries.values() if _matches(e.merged(), given)]
    return [e for e in found if not test or test(e.merged(), list(state.feedback_on(e.id)))]


def _matches(run: Json, given: Json) -> bool:
    lists = {"session": "session_id", "id": "id", "reference_example": "reference_example_id"}
    single = {"trace": "trace_id", "parent_run": "parent_run_id", "run_type": "run_type"}
    began = run.get("start_time")
    return (
        all(_one_of(run.get(field), given[k]) for k, field in lists.items() if k in given)
        and all(str(run.get(f)) == str(given[k]) for k, f in single.items() if k in given)
        and ("is_root" not in given or is_root(run) == given["is_root"])
        and ("error" not in given or bool(run.get("error")) == given["error"])
        and _in_time(began, given.get("start_time"), given.get("before"))
    )


def _one_of(value: Any, allowed: Iterable[Any]) -> bool:
    return str(value) in {str(item) for item in allowed}


def _in_time(began: str | None, earliest: str | None, before: str | None) -> bool:
    if began is None:
        return True
    at = moment(began)
    return (not earliest or at >= moment(earliest)) and (not before or at <= moment(before))
