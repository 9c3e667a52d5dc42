"""Every test starts with a clean configuration and records into memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coord_plugins import _config, _stores


@pytest.fixture(autouse=True)
def clean_configuration(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the machine or of another test reaches this one."""
    for name in ("MODE", "STORE", "ENVIRONMENT", "RELEASE", "TAGS", "CAPTURE"):
        monkeypatch.delenv(f"COORD_{name}", raising=False)
    monkeypatch.setenv("COORD_STORE", "memory")
    _config.reset_configuration()
    _stores.forget_stores()
    yield
    _config.reset_configuration()
    _stores.forget_stores()
