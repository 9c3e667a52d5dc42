"""What several test modules of the core need."""

import os
import uuid

import pytest
import sqlalchemy as sa

from coord_plugins._store import Store

POSTGRES = os.environ.get("COORD_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1:5432/test")


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def store(request, tmp_path):
    """An empty store of each kind."""
    if request.param == "postgres":
        yield from _postgres()
        return
    opened = Store("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db")
    yield opened
    opened._engine.dispose()


def _postgres():
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    engine = sa.create_engine(POSTGRES, connect_args={"connect_timeout": 2})
    schema = f"coord_{uuid.uuid4().hex[:12]}"
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    except sa.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL server at {POSTGRES}: {error.orig}")
    url = sa.make_url(POSTGRES).update_query_dict({"options": f"-csearch_path={schema}"})
    opened = Store(url.render_as_string(hide_password=False))
    yield opened
    opened.close()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()
