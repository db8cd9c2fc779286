"""One database connection to the results store, and its errors in plain words."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc, pool

from lossnets.errors import ConfigError, MissingExtraError, StoreError
from lossnets.home import is_folder, is_there, user_path
from lossnets.runs import schema

BUSY_SECONDS = 30.0
"""How long a write waits for another process's write before it gives up."""

_MIGRATION_LOCK = 0x10557E75  # key of PostgreSQL's advisory lock while the tables are made


def store_url(where: str | Path) -> sa.URL:
    """URL of a store: a path becomes an SQLite file, a URL with ``://`` stays what it is.

    Raises:
        ConfigError: the URL is malformed or of a database that is not supported.

    >>> store_url("results.sqlite").drivername
    'sqlite+pysqlite'
    """
    text = str(where)
    if "://" not in text:
        return sa.URL.create("sqlite+pysqlite", database=str(user_path(text, "store").absolute()))
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigError(f"store {text!r} is not a database URL: {error}") from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"store must be a path, sqlite:///PATH or postgresql://USER@HOST/NAME; got a URL of {backend!r}"
        )
    if url.drivername == "sqlite":
        return url.set(drivername="sqlite+pysqlite")
    return url.set(drivername=_postgresql_driver()) if url.drivername == "postgresql" else url


def _postgresql_driver() -> str:
    for module, driver in (("psycopg", "postgresql+psycopg"), ("psycopg2", "postgresql+psycopg2")):
        if importlib.util.find_spec(module):
            return driver
    raise MissingExtraError(
        "a PostgreSQL store needs the package 'psycopg', which is not installed. "
        "Install it with: pip install 'lossnets[postgresql]'"
    )


class Database:
    """Engine with one way to read and one way to write; every failure is a StoreError.

    ``reading()`` and ``writing()`` are transactions: what is written becomes visible as a whole or
    not at all, and a writer of SQLite takes the write lock at the start, so that what it has read
    is still true when it writes.
    """

    def __init__(self, where: str | Path, *, create: bool = True, read_only: bool = False) -> None:
        self.url = store_url(where)
        self.name = self.url.render_as_string(hide_password=True)
        self.file = _sqlite_file(self.url)
        if self.file is not None:
            self.name = str(self.file)
            _check_file(self.file, create=create and not read_only)
            if read_only and not _may_write(self.file):
                self.url = _reading_url(self.file)
        self._lock = threading.RLock()  # an in-memory store has one connection for all threads
        self.in_memory = self.url.get_backend_name() == "sqlite" and self.file is None
        with self._translated():
            self.engine = _make_engine(self.url, in_memory=self.in_memory)
        if read_only:
            with self.reading() as connection:
                schema.check(connection, self.name)
            return
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            schema.prepare(connection, self.name)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with self._lock, self._translated(), self.engine.connect() as plain:
            connection = plain.execution_options(lossnets_begin="BEGIN")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; rolled back when the block raises."""
        with self._lock, self._translated(), self.engine.connect() as plain:
            connection = plain.execution_options(lossnets_begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Give the connections back; an in-memory store is gone then."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise  # a lost race, which the caller knows how to take
        except exc.DBAPIError as error:
            raise StoreError(explain(str(error.orig), self.name)) from error
        except (exc.SQLAlchemyError, OSError) as error:
            raise StoreError(explain(str(error), self.name)) from error


_EXPLANATIONS = (
    ("No space left", "the disk of the database server is full. Free some space and start the command again"),
    ("is full", "the disk is full. Free some space and start the command again"),
    (
        "is locked",
        f"another process has been writing for more than {BUSY_SECONDS:.0f} s. Start again when it has "
        "finished; a store on a network drive should be PostgreSQL (--store postgresql://...)",
    ),
    ("not a database", "the file is not an SQLite database. Give another path for the results store"),
    (
        "no such table",
        "the file was deleted or replaced by another program. Start the command again to make a new one",
    ),
    ("malformed", "the database is damaged. Restore it from a copy, or give another path"),
    ("readonly", "the file or its folder cannot be written. Change the permissions or give another path"),
    ("unable to open", "the file cannot be opened. Check that its folder exists and can be written"),
    ("disk I/O error", "the disk reports an error. Check the drive, then start the command again"),
    ("connection", "the database server does not answer. Check the URL and that the server runs"),
)


def explain(message: str, name: str) -> str:
    """One sentence on what went wrong with the store ``name``, and the way out.

    >>> explain("database or disk is full", "results.sqlite").split(". ")[0]
    'cannot use the results store results.sqlite: the disk is full'
    """
    first = message.strip().splitlines()[0] if message.strip() else "no reason given"
    hint = next((text for key, text in _EXPLANATIONS if key in message), "")
    told = f"{hint}." if hint else "check the store's address."
    return (
        f"cannot use the results store {name}: {told} Runs that were finished are kept. (Reported: {first})"
    )


def _sqlite_file(url: sa.URL) -> Path | None:
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _may_write(file: Path) -> bool:
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def _reading_url(file: Path) -> sa.URL:
    """URL of a file that must not or cannot be written.

    Reading a file in WAL mode needs two files beside it, which cannot be made in such a place. They
    are there while somebody writes; where they are not, nobody does, and SQLite may take the file as
    it is.
    """
    writing = file.with_name(f"{file.name}-shm").exists()
    query = {"mode": "ro", "uri": "true"} | ({} if writing else {"immutable": "1"})
    return sa.URL.create("sqlite+pysqlite", database=f"file:{quote(str(file))}", query=query)


def _check_file(path: Path, *, create: bool) -> None:
    if is_folder(path):
        raise StoreError(f"results store must be a file; {path} is a folder. Try {path / 'results.sqlite'}")
    if is_there(path):
        return
    if not create:
        raise StoreError(
            f"there is no results store at {path}. Make one with: lossnets sweep PLAN.yaml --store {path}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make the folder of the results store {path}: {error.strerror}. Give another path."
        ) from error


def _make_engine(url: sa.URL, *, in_memory: bool) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    reading = "mode" in url.query
    engine = sa.create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
        poolclass=pool.StaticPool if in_memory else pool.NullPool,
    )
    if not reading:
        sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(raw: Any, _record: object) -> None:
    raw.isolation_level = None  # the driver would otherwise begin, too late and without the lock
    cursor = raw.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = FULL")  # a finished run survives a power cut
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    begin = connection.get_execution_options().get("lossnets_begin", "BEGIN")
    connection.exec_driver_sql(begin)
