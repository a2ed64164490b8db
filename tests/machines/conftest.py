"""A PostgreSQL server for all tests of this folder, each of them with a database of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from support.postgres import PostgresServer, open_server

_numbers = count()


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with open_server() as started:
        yield started


@pytest.fixture
def url(server: PostgresServer) -> str:
    """The address of an empty database."""
    return server.make_database(f"test{next(_numbers)}")


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may kill."""
    with open_server() as started:
        yield started
