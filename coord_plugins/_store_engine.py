"""Where a store's database is, and how it is opened. Imported only when a store opens."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from ._store_schema import VERSION, migrate, schema_version
from .errors import StoreError

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's transaction."""
_LOCK = 0x636F6F7264
"""The advisory lock under which PostgreSQL schemas are made."""


def url_of(spec: str | os.PathLike[str] | None) -> str:
    """The SQLAlchemy URL of a store setting."""
    from ._store import DEFAULT_PATH

    if spec == "memory":
        return "sqlite://"
    if isinstance(spec, str) and "://" in spec:
        scheme, _, rest = spec.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else spec
    path = Path(DEFAULT_PATH if spec is None else spec).expanduser().absolute()
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def make_directory(directory: Path) -> None:
    """Make the default directory, ignored by git.

    Raises:
        StoreError: It cannot be made.
    """
    try:
        directory.mkdir(exist_ok=True)
        ignore = directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot make {directory.absolute()}: {error.strerror}") from error


def open_engine(url: str) -> sa.Engine:
    """An engine for a URL; nothing is connected yet.

    Raises:
        StoreError: No URL of SQLite or PostgreSQL, or its driver is missing.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise StoreError(
                f"the store {parsed.render_as_string()} is neither SQLite nor PostgreSQL; "
                "give sqlite:///PATH or postgresql://USER@HOST/DATABASE"
            )
        if parsed.get_backend_name() == "postgresql":
            return sa.create_engine(parsed, pool_pre_ping=True)
        arguments: dict[str, Any] = {"check_same_thread": False, "timeout": BUSY_SECONDS}
        pool: dict[str, Any] = {} if parsed.database else {"poolclass": StaticPool}
        engine = sa.create_engine(parsed, connect_args=arguments, **pool)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"the store {url!r} is no database URL and no path: {error}") from error
    except ImportError as error:
        raise StoreError(
            f"the store {parsed.render_as_string()} needs a driver: "
            "pip install 'coord-plugins[postgres]'"
        ) from error
    sa.event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where the store says so
    connection.execute("PRAGMA synchronous=NORMAL")


def prepare(engine: sa.Engine, shown_url: str, *, create: bool) -> None:
    """Make or upgrade the schema.

    Raises:
        StoreError: The database cannot be opened, or a newer version wrote it.
    """
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and not create and not Path(file).exists():
        raise StoreError(f"there is no store at {file}; record a run first, or name another store")
    try:
        with engine.connect() as connection:
            if not file and engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            elif schema_version(connection) != VERSION:
                if file:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            migrate(connection, shown_url)
            connection.commit()
    except (SQLAlchemyError, sqlite3.Error) as error:
        engine.dispose()
        cause = getattr(error, "orig", None) or error
        reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        raise StoreError(
            f"the store {shown_url} cannot be opened: {reason}{_hint(file)}"
        ) from error


def _hint(file: str | None) -> str:
    if file is None:
        return "; check host, database and user of the URL"
    directory = Path(file).parent
    if not directory.is_dir():
        return f"; make the directory {directory} first"
    if not os.access(directory, os.W_OK):
        return f"; the directory {directory} is not writable"
    return "; is it an SQLite file of coord-plugins?"


def shown(engine: sa.Engine) -> str:
    """A URL for messages, its password hidden; a plain path for SQLite."""
    if engine.dialect.name != "sqlite":
        return engine.url.render_as_string(hide_password=True)
    return engine.url.database or "memory"


def spool_directory(engine: sa.Engine) -> Path:
    """Where events wait that this database could not take."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        return Path(f"{engine.url.database}.spool")
    return Path(".coord") / "spool"
