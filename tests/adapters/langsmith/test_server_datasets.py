"""Datasets and examples through the real client, with and without the multipart endpoint."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from langsmith import schemas
from langsmith import utils as ls_utils

from coord_plugins.testing import LangSmithServer, langsmith_server

from .projects import REFERENCE


def test_datasets(server: LangSmithServer) -> None:
    client = server.client()
    assert not client.has_dataset(dataset_name="d")
    made = client.create_dataset("d", description="x", metadata={"a": 1})
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.create_dataset("d")
    assert client.has_dataset(dataset_name="d")
    read = client.read_dataset(dataset_id=made.id)
    assert (read.name, read.example_count, read.session_count) == ("d", 0, 0)
    client.create_dataset("e")
    assert [d.name for d in client.list_datasets()] == ["d", "e"]
    assert [d.name for d in client.list_datasets(dataset_name_contains="e")] == ["e"]
    assert [d.name for d in client.list_datasets(dataset_ids=[made.id])] == ["d"]
    assert [d.name for d in client.list_datasets(metadata={"a": 1})] == ["d"]
    client.delete_dataset(dataset_name="e")
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_dataset(dataset_name="e")
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_dataset(dataset_id=uuid.uuid4())


@pytest.mark.parametrize("multipart", [True, False])
def test_examples(multipart: bool) -> None:
    with langsmith_server(multipart=multipart) as server:
        client = server.client()
        dataset = client.create_dataset("d")
        made: Any = client.create_examples(
            dataset_id=dataset.id,
            examples=[
                {"inputs": {"q": 1}, REFERENCE: {"a": 1}, "split": "test"},
                {"inputs": {"q": 2}, "metadata": {"hard": True}},
            ],
        )
        assert made["count"] == 2
        one = client.create_example({"q": 3}, dataset_name="d", **{REFERENCE: {"a": 3}})
        assert (one.inputs, one.outputs, one.dataset_id) == ({"q": 3}, {"a": 3}, dataset.id)

        def asked(**options: Any) -> list[int]:
            found = client.list_examples(dataset_id=dataset.id, **options)
            return [(e.inputs or {})["q"] for e in found]

        assert asked() == [1, 2, 3]
        assert asked(splits=["test"]) == [1]
        assert asked(metadata={"hard": True}) == [2]
        assert asked(limit=1, offset=1) == [2]
        assert [e.id for e in client.list_examples(example_ids=[one.id])] == [one.id]
        client.update_example(one.id, outputs={"a": 4}, metadata={"m": 1}, split=["x"])
        read = client.read_example(one.id)
        assert (read.inputs, read.outputs) == ({"q": 3}, {"a": 4})
        assert read.metadata == {"m": 1, "dataset_split": ["x"]}
        assert client.read_dataset(dataset_name="d").example_count == 3
        with pytest.raises(ls_utils.LangSmithConflictError):
            client.create_example({"q": 3}, dataset_id=dataset.id, example_id=one.id)
        client.delete_example(one.id)
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.read_example(one.id)


def test_attachments_of_examples(server: LangSmithServer) -> None:
    client = server.client()
    dataset = client.create_dataset("d")
    data = b"--boundary\r\n\x00"
    files: Any = {"pic": ("image/png", data), "old": ("text/plain", b"x")}
    one = client.create_example({"q": 1}, dataset_id=dataset.id, attachments=files)
    [read] = client.list_examples(dataset_id=dataset.id, include_attachments=True)
    assert read.attachments is not None
    assert read.attachments["pic"]["reader"].read() == data
    assert read.attachments["pic"]["mime_type"] == "image/png"
    keep = schemas.AttachmentsOperations(rename={"pic": "photo"}, retain=[])
    client.update_example(one.id, attachments_operations=keep)
    [read] = client.list_examples(dataset_id=dataset.id, include_attachments=True)
    assert list(read.attachments or {}) == ["photo"]
    answer = client.request_with_retries("GET", f"/examples/{one.id}").json()
    assert list(answer["attachment_urls"]) == ["attachment.photo"]
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.request_with_retries("GET", f"/files/{one.id}/pic")


def test_versions(server: LangSmithServer) -> None:
    client = server.client()
    dataset = client.create_dataset("d")
    client.create_example({"q": 1}, dataset_id=dataset.id)
    at = client.read_dataset(dataset_name="d").modified_at
    assert at is not None
    client.update_dataset_tag(dataset_name="d", as_of=at, tag="prod")
    assert [v.tags for v in client.list_dataset_versions(dataset_id=dataset.id)] == [
        ["latest"],
        ["prod"],
    ]
    assert client.read_dataset_version(dataset_id=dataset.id, tag="prod").as_of == at
    assert client.read_dataset_version(
        dataset_id=dataset.id, as_of=dt.datetime.now(dt.timezone.utc)
    ).tags == ["latest"]


def test_comparison(server: LangSmithServer) -> None:
    client = server.client()
    dataset = client.create_dataset("d")
    pair = [client.create_project(n, reference_dataset_id=dataset.id).id for n in ("a", "b")]
    made = client.create_comparative_experiment("a against b", pair)
    assert (made.name, made.reference_dataset_id) == ("a against b", dataset.id)
    assert [p["name"] for p in made.experiments_info or []] == ["a", "b"]


def test_a_filter_of_examples_is_not_guessed() -> None:
    with langsmith_server(strict=False) as server:
        client = server.client()
        with pytest.raises(ls_utils.LangSmithError, match="400"):
            list(client.list_examples(filter='exists(metadata, "x")'))
        assert server.problems == ["this server knows no filter of examples"]
