"""What a client asks about the server itself, OpenTelemetry, and downloads."""

from __future__ import annotations

from ._router import Answer, Call, route
from ._state import TENANT, Json, RefusedError, State


def server_info(options: Json) -> Json:
    """The answer of `GET /info`: it decides by which way a client sends."""
    multipart = bool(options["multipart"])
    return {
        "version": options["version"],
        "instance_flags": {
            "zstd_compression_enabled": multipart and options["compression"],
            "dataset_examples_multipart_enabled": multipart,
            "examples_multipart_enabled": multipart,
            "ch_query_enabled": not options["smithdb"],
            "sdb_query_enabled": options["smithdb"],
        },
        "batch_ingest_config": {
            "use_multipart_endpoint": multipart,
            "scale_up_qsize_trigger": 1000,
            "scale_up_nthreads_limit": 16,
            "scale_down_nempty_trigger": 4,
            "size_limit": 100,
            "size_limit_bytes": 20_971_520,
        },
    }


@route("GET", "/info")
def info(state: State, call: Call) -> Answer:
    """Version and flags; older servers and some proxies have no such endpoint."""
    if not call.options["info"]:
        raise RefusedError(404, "Not Found")
    return Answer(server_info(call.options))


@route("GET", "/settings")
def settings(state: State, call: Call) -> Answer:
    """The one workspace."""
    created = "2025-01-01T00:00:00+00:00"
    return Answer({"id": TENANT, "display_name": "local", "created_at": created})


@route("POST", "/otel/v1/traces")
def otel(state: State, call: Call) -> Answer:
    """Spans of OpenTelemetry: kept as they came, not made into runs."""
    state.otel.append((call.headers, call.body))
    return Answer(b"", content_type="application/x-protobuf")


@route("GET", "/files/{id}/{name}")
def download(state: State, call: Call, id: str, name: str) -> Answer:
    """An attachment of a run or of an example."""
    entry = state.entries.get(id)
    files = (entry.files if entry else None) or state.example_files.get(id, {})
    if name not in files:
        raise RefusedError(404, f"no file {name!r}")
    content_type, data = files[name]
    return Answer(data, content_type=content_type)
