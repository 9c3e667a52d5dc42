"""`coord doctor`: what is installed, what is configured, and whether the store works."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import typer

from coord_plugins.errors import CoordError

from ._common import JsonOption, StoreOption, print_json, print_rich
from ._listeners import installed

_HOSTS = {
    "langgraph": "langgraph",
    "autogen": "autogen-agentchat",
    "crewai": "crewai",
    "langsmith": "langsmith",
}
"""Extras and the distributions of their hosts."""
_OTHERS = ("SQLAlchemy", "psycopg", "pyarrow", "typer", "rich")
_CREWAI = {
    "telemetry": {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true"},
    "tracing": {"CREWAI_TRACING_ENABLED": "false", "CREWAI_TESTING": "true"},
}
"""What CrewAI sends to its maker, and the variables of which one switches each off."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor_command)


def doctor_command(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Versions, configuration and where each value came from, and the state of the store."""
    found = examine(store)
    if as_json:
        print_json(found)
    else:
        print_rich(_rendered(found))
    if found["store"]["error"] and store is not None:
        raise typer.Exit(2)


def examine(store: str | None) -> dict[str, Any]:
    """Everything that the doctor looks at, as plain values."""
    return {
        "python": platform.python_version(),
        "coord_plugins": _own_version(),
        "hosts": _hosts(),
        "libraries": {name: _version(name) for name in _OTHERS},
        "configuration": _configuration(),
        "store": _store(store),
        "telemetry": _telemetry(),
        "hidden_retries": _hidden_retries(),
        "traces": {name: kind.describe() for name, kind in installed().items()},
    }


def _own_version() -> str:
    from coord_plugins import __version__

    return __version__


def _version(name: str) -> str | None:
    if not name:
        return None
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _hosts() -> list[dict[str, Any]]:
    """Each host's version and the range that this version of the library asks for."""
    try:
        required = metadata.requires("coord-plugins") or []
    except metadata.PackageNotFoundError:
        required = []
    hosts = []
    for extra, name in _HOSTS.items():
        asked = [r for r in required if r.split(";")[0].strip().lower().startswith(name)]
        tested = asked[0].split(";")[0].strip()[len(name) :].strip(" ()") if asked else None
        version = _version(name)
        hosts.append({"host": extra, "package": name, "version": version, "tested": tested})
    return hosts


def _configuration() -> list[dict[str, str]]:
    try:
        from coord_plugins._config import explain
    except ImportError:
        return []
    return [{"name": n, "value": v, "source": s} for n, v, s in explain()]


def _store(spec: str | None) -> dict[str, Any]:
    from coord_plugins._reporting._report import reading

    try:
        with reading(spec) as opened:
            return {**opened.describe(), "openable": True, "error": None}
    except CoordError as error:
        return {"openable": False, "error": str(error)}


def _telemetry() -> list[dict[str, Any]]:
    """Hosts that report to their makers; this library never does, and never switches it on."""
    if _version("crewai") is None:
        return []
    found = []
    for kind, switches in _CREWAI.items():
        off = [name for name, value in switches.items() if _is_set(name, value)]
        mend = " or ".join(f"{name}={value}" for name, value in switches.items())
        found.append(
            {"host": "crewai", "kind": kind, "on": not off, "switched_off_by": off, "mend": mend}
        )
    return found


def _hidden_retries() -> list[dict[str, Any]]:
    """What the adapters know of SDKs that repeat failed calls by themselves, unseen."""
    found: list[dict[str, Any]] = []
    for entry in metadata.entry_points(group="coord_plugins.doctor"):
        if _version(_HOSTS.get(entry.name, "")) is not None:
            found += entry.load()()
    return found


def _is_set(name: str, value: str) -> bool:
    said = os.environ.get(name, "").lower()
    return said in {"true": ("1", "true"), "false": ("0", "false")}[value]


def _rendered(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style="dim")
    table.add_row("python", found["python"], "")
    table.add_row("coord-plugins", found["coord_plugins"], "")
    for host in found["hosts"]:
        tested = f"tested: {host['tested']}" if host["tested"] else ""
        table.add_row(host["package"], host["version"] or "not installed", tested)
    for name, version in found["libraries"].items():
        table.add_row(name, version or "not installed", "")
    settings = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    for row in found["configuration"]:
        settings.add_row(row["name"], row["value"], Text(row["source"], style="dim"))
    store = found["store"]
    kept = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    for name, value in store.items():
        if name != "error" or value:
            kept.add_row(name, f"{value:,}" if type(value) is int else str(value))
    parts: list[Any] = [Text("Versions", style="cyan"), table]
    parts += [Text("\nConfiguration", style="cyan"), settings, Text("\nStore", style="cyan"), kept]
    for name, about in found["traces"].items():
        rows = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
        for key, value in about.items():
            rows.add_row(key, f"{value:,}" if type(value) is int else str(value))
        parts += [Text(f"\nTraces in {name}", style="cyan"), rows]
    for host in found["telemetry"]:
        by = " and ".join(host["switched_off_by"])
        state = f"on; {host['mend']} switches it off" if host["on"] else f"off ({by})"
        said = f"{host['host']}'s own {host['kind']} is {state}"
        parts.append(Text(f"\n{said}" if host is found["telemetry"][0] else said, "yellow"))
    for hidden in found["hidden_retries"]:
        said = (
            f"\n{hidden['host']}'s clients of the {hidden['sdk']} SDK repeat a failed call "
            f"{hidden['by_default']} times by themselves, and no event tells. Steps under a Retry "
            f"have that off; elsewhere {hidden['mend']} switches it off"
        )
        parts.append(Text(said, "yellow"))
    return Group(*parts)
