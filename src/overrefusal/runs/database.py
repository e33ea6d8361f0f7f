"""One connection to SQLite or PostgreSQL, and the little in which the two differ."""

from __future__ import annotations

import random
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.runs.schema import MIGRATIONS

Row = tuple[Any, ...]

_BUSY_TIMEOUT_S = 120.0
_FETCH_ROWS = 500
# Any number that no other program takes; PostgreSQL's advisory locks are named by numbers.
_MIGRATION_LOCK = 7_346_325_021


class Database:
    """SQL with ``?`` placeholders on either backend; safe to call from several threads.

    Rows come back as tuples. Text goes through ``pack`` and ``unpack`` at the store's edge.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        scheme, separator, _ = url.partition("://")
        if separator and scheme not in ("postgresql", "postgres"):
            raise OverrefusalError(
                f"--store {_shown(url)}: a store is a file's path or a postgresql:// URL"
            )
        if not separator and not create and not Path(url).exists():
            raise OverrefusalError(f"{url}: no store there yet; `overrefusal eval` makes one")
        self.url = url
        self._lock = threading.RLock()
        self._postgres = url.startswith(("postgresql://", "postgres://"))
        self._connection: Any = _postgres(url) if self._postgres else _sqlite(url)
        self._migrate()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement within the running or an own transaction."""
        with self.transaction() as cursor:
            cursor.execute(self._sql(sql), parameters)

    def execute_many(self, cursor: Any, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run one statement for each of ``rows``; returns how many rows it touched."""
        if not rows:
            return 0
        cursor.executemany(self._sql(sql), rows)
        return int(cursor.rowcount)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor whose work is committed together, or not at all."""
        with self._lock, _plain_errors(self.url):
            cursor = self._connection.cursor()
            if not self._postgres:
                # IMMEDIATE waits for the other writer here instead of failing in the middle.
                cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                self._connection.rollback()
                raise
            else:
                self._connection.commit()
            finally:
                cursor.close()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query whose answer is small."""
        with self._lock, _plain_errors(self.url):
            cursor = self._connection.cursor()
            try:
                cursor.execute(self._sql(sql), parameters)
                found: list[Row] = cursor.fetchall()
            finally:
                cursor.close()
                if self._postgres:
                    self._connection.commit()
            return found

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of a query one by one, from a connection of their own.

        What is read is one consistent state, and the store may be written meanwhile.
        """
        with _plain_errors(self.url):
            if self._postgres:
                connection = _postgres(self.url)
                cursor = connection.cursor(name="stream")
                cursor.itersize = _FETCH_ROWS
            else:
                connection = _sqlite(self.url)
                cursor = connection.cursor()
            try:
                cursor.execute(self._sql(sql), parameters)
                while rows := cursor.fetchmany(_FETCH_ROWS):
                    yield from rows
            finally:
                connection.close()

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._connection.close()

    def _sql(self, sql: str) -> str:
        return sql.replace("?", "%s") if self._postgres else sql

    def _migrate(self) -> None:
        with self.transaction() as cursor:
            if self._postgres:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            cursor.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")
            cursor.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version")
            version = int(cursor.fetchone()[0])
            if version > len(MIGRATIONS):
                raise OverrefusalError(
                    f"{_shown(self.url)}: the store was written by a newer overrefusal "
                    f"(schema {version}, this one knows {len(MIGRATIONS)}); upgrade overrefusal"
                )
            for number, statements in enumerate(MIGRATIONS[version:], version + 1):
                for statement in statements:
                    cursor.execute(statement)
                cursor.execute(self._sql("INSERT INTO schema_version VALUES (?)"), (number,))


def _sqlite(path: str) -> sqlite3.Connection:
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OverrefusalError(f"--store {path}: {folder}: {error.strerror}") from None
    with _plain_errors(path):
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        _write_ahead(connection)
        # WAL with NORMAL survives a killed process; only a power cut can take the last commits.
        connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which stays with the file, unless that is done.

    The switch needs the file for itself, and SQLite does not wait for that as it does elsewhere:
    where several open a new store at once it says "database is locked" at once.
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.005, 0.05))


def _postgres(url: str) -> Any:
    try:
        import psycopg
    except ImportError:
        raise OverrefusalError(
            "a PostgreSQL store needs psycopg; install it with: pip install 'overrefusal[postgres]'"
        ) from None
    with _plain_errors(url):
        return psycopg.connect(url)


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """What a database can complain of, as one line that names the store."""
    try:
        yield
    except OverrefusalError:
        raise
    except sqlite3.Error as error:
        raise OverrefusalError(f"{_shown(url)}: the store failed: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("psycopg"):
            first_line = str(error).strip().split("\n")[0]
            for secret in _secrets(url):
                # libpq repeats the part of an address that it cannot read.
                first_line = first_line.replace(secret, "***")
            raise OverrefusalError(f"{_shown(url)}: the store failed: {first_line}") from error
        raise


def _shown(url: str) -> str:
    """The URL without its password."""
    # A password may hold @, / and ? unescaped: the last @ is the one before the host.
    url = re.sub(r"://([^:/@?]*):.+@", r"://\1:***@", url)
    return re.sub(r"(?i)([?&]password=)[^&#]+", r"\1***", url)


def _secrets(url: str) -> list[str]:
    """The passwords in a store's address, whole and in the parts that it may be read as."""
    found = re.findall(r"://[^:/@?]*:(.+)@", url) + re.findall(r"(?i)[?&]password=([^&#]+)", url)
    parts = [part for secret in found for part in re.split(r"[/?@#:]", secret) if part]
    return sorted({*found, *parts}, key=len, reverse=True)


# A database's text can hold neither NUL nor a lone surrogate; both are written as this mark, a
# code point that Unicode reserves for internal use, and four hex digits; so is the mark itself.
_MARK = "\ufdd0"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff\ufdd0]")
_PACKED = re.compile("\ufdd0([0-9a-f]{4})")


def pack(text: str) -> str:
    """``text`` as a database can hold it; ``unpack`` gives back the very same text."""
    if _UNSTORABLE.search(text) is None:
        return text
    return _UNSTORABLE.sub(lambda match: f"{_MARK}{ord(match[0]):04x}", text)


def unpack(text: str) -> str:
    """The text that was packed."""
    if _MARK not in text:
        return text
    return _PACKED.sub(lambda match: chr(int(match[1], 16)), text)
