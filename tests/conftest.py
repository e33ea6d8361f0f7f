"""Real parts for tests: a PostgreSQL cluster of their own where the machine has one."""

import os
import pwd
import shutil
import socket
import subprocess
import uuid
from pathlib import Path

import pytest

# In CI every part is there, so a skip would hide a missing test.
REQUIRE_ALL = os.environ.get("OVERREFUSAL_REQUIRE_ALL") == "1"


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _missing(what: str) -> None:
    if REQUIRE_ALL:
        pytest.fail(f"{what}, and OVERREFUSAL_REQUIRE_ALL forbids skipping", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """The URL prefix of a throw-away PostgreSQL server on loopback."""
    binaries = _postgres_binaries()
    if binaries is None:
        _missing("PostgreSQL's server programs are not installed")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    user = None
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            _missing("PostgreSQL cannot run as root and there is no user postgres")
    folder = Path("/tmp") / f"overrefusal-pg-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command):
        subprocess.run(command, check=True, capture_output=True, user=user, cwd="/tmp")

    data = folder / "data"
    run(binaries / "initdb", "-D", data, "-A", "trust", "-U", "tester", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    pg_ctl = binaries / "pg_ctl"
    run(pg_ctl, "-D", data, "-l", folder / "log", "-o", options, "-w", "start")
    try:
        yield f"postgresql://tester@127.0.0.1:{port}"
    finally:
        run(pg_ctl, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server):
    """The URL of an empty database."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres_server}/{name}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request, tmp_path):
    """The address of an empty store, on either backend."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    return request.getfixturevalue("postgres_url")
