"""Every test starts with a clean configuration and records into memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

# CrewAI reads these while it is imported: no telemetry, no question about tracing, and nothing
# written outside of a temporary folder.
_crewai = tempfile.TemporaryDirectory(prefix="coord-crewai-", ignore_cleanup_errors=True)
os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_TRACING_ENABLED="false",
    CREWAI_TESTING="true",
    CREWAI_DISABLE_VERSION_CHECK="true",
    CREWAI_STORAGE_DIR=_crewai.name,
    XDG_DATA_HOME=_crewai.name,
)

from coord_plugins import _config, _retry, _stores


@pytest.fixture(autouse=True)
def clean_configuration(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the machine or of another test reaches this one."""
    for name in ("MODE", "STORE", "ENVIRONMENT", "RELEASE", "TAGS", "CAPTURE"):
        monkeypatch.delenv(f"COORD_{name}", raising=False)
    monkeypatch.setenv("COORD_STORE", "memory")
    _config.reset_configuration()
    _stores.forget_stores()
    _retry.forget_circuits()
    yield
    _config.reset_configuration()
    _stores.forget_stores()
