"""Datasets, their examples, and the comparison of experiments."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

from ._multipart import read_parts
from ._router import Answer, Call, route
from ._state import TENANT, Json, RefusedError, State, now
from ._view import file_link


@route("POST", "/datasets")
def create(state: State, call: Call) -> Answer:
    """A dataset; 409 when its name is taken."""
    body = {k: v for k, v in call.fields().items() if v is not None}
    if any(d["name"] == body["name"] for d in state.datasets.values()):
        raise RefusedError(409, f"Dataset {body['name']!r} exists already")
    body.setdefault("id", str(uuid.uuid4()))
    state.datasets[str(body["id"])] = {"created_at": now(), "modified_at": now(), **body}
    return Answer(_shown(state, state.datasets[str(body["id"])]))


@route("GET", "/datasets")
def listed(state: State, call: Call) -> Answer:
    """Datasets by id and name."""
    found = list(state.datasets.values())
    for field in ("id", "name", "data_type"):
        if field in call.query:
            found = [d for d in found if str(d.get(field)) in call.query[field]]
    found = [d for d in found if call.one("name_contains") in d["name"]]
    metadata = json.loads(call.one("metadata", "{}"))
    shown = [d for d in (_shown(state, d) for d in found) if _has(d, metadata)]
    return Answer(call.page(shown))


@route("GET", "/datasets/{id}")
def read(state: State, call: Call, id: str) -> Answer:
    """One dataset."""
    return Answer(_shown(state, state.dataset(id)))


@route("DELETE", "/datasets/{id}")
def delete(state: State, call: Call, id: str) -> Answer:
    """Forget a dataset and its examples."""
    del state.datasets[state.dataset(id)["id"]]
    state.examples = {k: e for k, e in state.examples.items() if e["dataset_id"] != id}
    return Answer({"message": "Dataset deleted"})


@route("PUT", "/datasets/{id}/tags")
def tag(state: State, call: Call, id: str) -> Answer:
    """Name a version of a dataset."""
    state.dataset(id).setdefault("_tags", {})[call.fields()["tag"]] = call.fields()["as_of"]
    return Answer({"message": "Tag updated"})


@route("GET", "/datasets/{id}/versions")
def versions(state: State, call: Call, id: str) -> Answer:
    """There is one version, the latest, and the tagged ones."""
    return Answer(call.page(_versions(state.dataset(id))))


@route("GET", "/datasets/{id}/version")
def version(state: State, call: Call, id: str) -> Answer:
    """The version of a tag, or the latest."""
    found = _versions(state.dataset(id))
    return Answer(next((v for v in found if call.one("tag", "latest") in v["tags"]), found[0]))


def _versions(dataset: Json) -> list[Json]:
    tagged = [{"as_of": at, "tags": [name]} for name, at in dataset.get("_tags", {}).items()]
    return [{"as_of": dataset["modified_at"], "tags": ["latest"]}, *tagged]


def _shown(state: State, dataset: Json) -> Json:
    counts = {
        "example_count": sum(e["dataset_id"] == dataset["id"] for e in state.examples.values()),
        "session_count": sum(
            p.get("reference_dataset_id") == dataset["id"] for p in state.projects.values()
        ),
    }
    metadata = dataset.get("metadata") or (dataset.get("extra") or {}).get("metadata")
    own = {k: v for k, v in dataset.items() if not k.startswith("_")}
    return {**own, **counts, "metadata": metadata}


@route("POST", "/platform/datasets/{id}/examples")
def upload(state: State, call: Call, id: str) -> Answer:
    """Examples with their attachments; a known id is a conflict."""
    sent = _read_examples(call)
    for example_id in sent:
        if example_id in state.examples:
            raise RefusedError(409, f"Example {example_id} exists already")
    return _store_all(state, id, sent)


@route("PATCH", "/platform/datasets/{id}/examples")
def change(state: State, call: Call, id: str) -> Answer:
    """Changes of examples, with their attachments."""
    sent = _read_examples(call)
    for example_id in sent:
        _example(state, example_id)
    return _store_all(state, id, sent)


def _read_examples(call: Call) -> dict[str, Json]:
    """What a multipart body says, by example; attachments under `_files`."""
    sent: dict[str, Json] = {}
    for part in read_parts(call.body, call.headers.get("content-type", "")):
        example_id, *field = part.name.split(".", 1)
        example = sent.setdefault(example_id, {"_files": {}})
        if not field:
            example.update(json.loads(part.data))
        elif field[0].startswith("attachment."):
            file = (part.content_type, part.data)
            example["_files"][field[0].removeprefix("attachment.")] = file
        else:
            example[field[0]] = json.loads(part.data)
    return sent


def _store_all(state: State, dataset_id: str, sent: dict[str, Json]) -> Answer:
    for example_id, fields in sent.items():
        _store(state, dataset_id, example_id, fields)
    return Answer({"count": len(sent), "example_ids": list(sent), "as_of": now()})


def _store(state: State, dataset_id: str, example_id: str, fields: Json) -> Json:
    """Make or change an example; its split lies in its metadata, as LangSmith keeps it."""
    dataset = state.dataset(dataset_id)
    files = fields.pop("_files", {})
    operations = fields.pop("attachments_operations", None)
    metadata, split = fields.pop("metadata", None), fields.pop("split", None)
    known = state.examples.get(example_id)
    example = known or {"id": example_id, "created_at": now(), "inputs": {}, "outputs": None}
    example.update({k: v for k, v in fields.items() if v is not None})
    old = example.get("metadata") or {}
    splits = [split] if isinstance(split, str) else split or old.get("dataset_split") or ["base"]
    kept = old if metadata is None else metadata
    example["metadata"] = {**kept, "dataset_split": splits}
    # a change of an example is a new version of its dataset
    example["modified_at"] = dataset["modified_at"] = now()
    example["dataset_id"] = dataset_id
    state.examples[example_id] = example
    had = state.example_files.get(example_id, {})
    state.example_files[example_id] = {**_kept_files(had, operations), **files}
    return example


def _kept_files(had: dict[str, Any], operations: Json | None) -> dict[str, Any]:
    if operations is None:
        return had
    renamed, retained = operations.get("rename") or {}, operations.get("retain") or []
    named = {name: renamed.get(name, name) for name in [*renamed, *retained]}
    return {named[name]: file for name, file in had.items() if name in named}


@route("POST", "/examples")
def create_example(state: State, call: Call) -> Answer:
    """One example, for servers without the multipart endpoint."""
    return Answer(_create(state, call, call.fields()))


@route("POST", "/examples/bulk")
def create_examples(state: State, call: Call) -> Answer:
    """Many examples, for servers without the multipart endpoint."""
    return Answer([_create(state, call, body) for body in call.json()])


def _create(state: State, call: Call, body: Json) -> Json:
    example_id = str(body.get("id") or uuid.uuid4())
    if example_id in state.examples:
        raise RefusedError(409, f"Example {example_id} exists already")
    fields = {**body, "id": example_id}
    return _example_view(state, call, _store(state, str(body["dataset_id"]), example_id, fields))


@route("PATCH", "/examples/{id}")
def update_example(state: State, call: Call, id: str) -> Answer:
    """Change an example."""
    dataset_id, fields = _example(state, id)["dataset_id"], call.fields()
    fields.pop("dataset_id", None)
    return Answer(_example_view(state, call, _store(state, dataset_id, id, fields)))


@route("GET", "/examples")
def examples(state: State, call: Call) -> Answer:
    """Examples by dataset, id, split and metadata, in the order in which they were made."""
    found = list(state.examples.values())
    if "dataset" in call.query:
        found = [e for e in found if e["dataset_id"] in call.query["dataset"]]
    if "id" in call.query:
        found = [e for e in found if e["id"] in call.query["id"]]
    if "splits" in call.query:
        wanted = set(call.query["splits"])
        found = [e for e in found if wanted & set(e["metadata"]["dataset_split"])]
    if call.one("filter"):
        raise RefusedError(400, "this server knows no filter of examples", problem=True)
    metadata = json.loads(call.one("metadata", "{}"))
    shown = [_example_view(state, call, e) for e in found if _has(e, metadata)]
    return Answer(call.page(shown))


@route("GET", "/examples/{id}")
def read_example(state: State, call: Call, id: str) -> Answer:
    """One example."""
    return Answer(_example_view(state, call, _example(state, id)))


@route("DELETE", "/examples/{id}")
def delete_example(state: State, call: Call, id: str) -> Answer:
    """Forget an example."""
    del state.examples[_example(state, id)["id"]]
    return Answer({"message": "Example deleted"})


def _example(state: State, example_id: str) -> Json:
    if example_id not in state.examples:
        raise RefusedError(404, f"Example {example_id} not found")
    return state.examples[example_id]


def _example_view(state: State, call: Call, example: Json) -> Json:
    files = state.example_files.get(example["id"], {})
    links = {
        f"attachment.{name}": {**file_link(call.base, example["id"], name), "mime_type": kind}
        for name, (kind, _) in files.items()
    }
    return {**example, "attachment_urls": links}


def _has(thing: Json, metadata: Json) -> bool:
    own = thing.get("metadata") or {}
    return all(own.get(key) == value for key, value in metadata.items())


@route("POST", "/datasets/comparative")
def compare(state: State, call: Call) -> Answer:
    """A comparison of experiments that ran on one dataset."""
    body = call.fields()
    named: Iterable[Any] = body.get("experiment_ids") or []
    experiments = [state.project(str(experiment_id)) for experiment_id in named]
    dataset_id = body.get("reference_dataset_id") or experiments[0]["reference_dataset_id"]
    made = {"id": str(uuid.uuid4()), "created_at": now()}
    return Answer(
        {
            **made,
            **{k: v for k, v in body.items() if v is not None},
            "tenant_id": TENANT,
            "modified_at": now(),
            "reference_dataset_id": dataset_id,
            "experiments_info": [{"id": p["id"], "name": p["name"]} for p in experiments],
        }
    )
