"""Projects, which the API calls sessions."""

from __future__ import annotations

import json

from ._router import Answer, Call, route
from ._state import Json, RefusedError, State
from ._stats import project_stats


@route("POST", "/sessions")
def create(state: State, call: Call) -> Answer:
    """A project; 409 when its name is taken and it is not an upsert."""
    body = call.fields()
    known = state.project_named(body["name"])
    if known is None:
        kept = {"id", "description", "extra", "reference_dataset_id", "start_time"}
        given = {k: v for k, v in body.items() if k in kept and v is not None}
        return Answer(state.make_project(body["name"], **given))
    if not call.flag("upsert"):
        raise RefusedError(409, f"Project {body['name']!r} exists already")
    return Answer(_change(known, body))


@route("GET", "/sessions")
def listed(state: State, call: Call) -> Answer:
    """Projects that match; none when there is none."""
    return Answer([_shown(state, call, p) for p in call.page(_found(state, call))])


@route("GET", "/v2/sessions")
def listed_v2(state: State, call: Call) -> Answer:
    """Projects that match, a page at a time."""
    found = _found(state, call)
    start, size = int(call.one("cursor", "0")), int(call.one("page_size", "100"))
    items = [_v2(_shown(state, call, p)) for p in found[start : start + size]]
    more = str(start + size) if start + size < len(found) else None
    return Answer({"items": items, "next_cursor": more})


@route("GET", "/sessions/{id}")
def read(state: State, call: Call, id: str) -> Answer:
    """One project."""
    return Answer(_shown(state, call, state.project(id)))


@route("GET", "/v2/sessions/{id}")
def read_v2(state: State, call: Call, id: str) -> Answer:
    """One project, with its kind."""
    return Answer(_v2(_shown(state, call, state.project(id))))


@route("PATCH", "/sessions/{id}")
@route("PATCH", "/v2/sessions/{id}")
def update(state: State, call: Call, id: str) -> Answer:
    """Change a project: what is not null."""
    return Answer(_v2(_change(state.project(id), call.fields())))


@route("DELETE", "/sessions/{id}")
def delete(state: State, call: Call, id: str) -> Answer:
    """Forget a project, its runs and their feedback."""
    del state.projects[state.project(id)["id"]]
    gone = {run_id for run_id, entry in state.entries.items() if entry.project == id}
    state.entries = {k: e for k, e in state.entries.items() if k not in gone}
    state.feedback = {k: f for k, f in state.feedback.items() if f.get("run_id") not in gone}
    return Answer({"message": "Session deleted"}, 202)


@route("GET", "/sessions/resolutions")
def resolve(state: State, call: Call) -> Answer:
    """The project that an address names."""
    kind, named = call.one("kind").upper(), call.one("id")
    if kind == "AGENT":
        wanted = f"lrn:agents/{named}/environments/{call.one('environment').lower()}"
        found = [p for p in state.projects.values() if p.get("address") == wanted]
    elif kind == "EXPERIMENT":
        found = [p for p in state.projects.values() if p["id"] == named]
    else:
        found = [p for p in state.projects.values() if p["name"] == "evaluators"]
    if not found:
        raise RefusedError(404, "This address names no project")
    return Answer({"session_id": found[0]["id"]})


def _found(state: State, call: Call) -> list[Json]:
    found = list(state.projects.values())
    for name, field in (("id", "id"), ("name", "name"), ("reference_dataset", "")):
        if name in call.query:
            field_ = field or "reference_dataset_id"
            found = [p for p in found if str(p.get(field_)) in call.query[name]]
    if "reference_dataset_id" in call.query:
        wanted = call.query["reference_dataset_id"]
        found = [p for p in found if str(p.get("reference_dataset_id")) in wanted]
    if call.flag("reference_free"):
        found = [p for p in found if not p.get("reference_dataset_id")]
    metadata = json.loads(call.one("metadata", "{}"))
    return [p for p in found if call.one("name_contains") in p["name"] and _has(p, metadata)]


def _has(project: Json, metadata: Json) -> bool:
    own = (project.get("extra") or {}).get("metadata") or {}
    return all(own.get(key) == value for key, value in metadata.items())


def _shown(state: State, call: Call, project: Json) -> Json:
    """The statistics come only when they are asked for."""
    return {**project, **(project_stats(state, project) if call.flag("include_stats") else {})}


def _v2(project: Json) -> Json:
    kind = "EXPERIMENT" if project.get("reference_dataset_id") else "PROJECT"
    return {**project, "type": "AGENT" if project.get("address") else kind}


def _change(project: Json, body: Json) -> Json:
    allowed = ("name", "description", "extra", "end_time", "reference_dataset_id")
    given = {k: body[k] for k in allowed if body.get(k) is not None}
    if "extra" in given:
        given["extra"] = {**(project.get("extra") or {}), **given["extra"]}
    project.update(given)
    return project
