"""A PostgreSQL server of one's own, in a temporary folder, that can be killed and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

PASSWORD = "never-to-be-read"
DATABASE = "studies"
PATIENCE_S = 60


class PostgresServer:
    """A server on this machine's own address, with a user and a password; started in its block.

    PostgreSQL refuses to run as root: then it runs as another user, to whom the folder belongs.

    Args:
        folder: an empty folder for its files, which other users may enter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _find_port()
        self._programs = _find_programs()
        self._user = _find_user()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return f"postgresql://placenorm:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [f"-p{self.port}", "-clisten_addresses=127.0.0.1", f"-k{self.folder}", "-cfsync=off"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", f"-D{self.folder / 'data'}", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as_user(),
            )
        deadline = time.monotonic() + PATIENCE_S
        while self._run("pg_isready", f"-p{self.port}", "-h127.0.0.1", check=False).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, without a word to those who are connected: all its processes."""
        assert self._process is not None
        children = _children_of(self._process.pid)
        for pid in (self._process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + PATIENCE_S
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """End it in good order, without waiting for those who are connected."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE_S)

    def query(self, sql: str, database: str = DATABASE) -> str:
        """Return what a statement gives, as ``psql`` prints it."""
        command = [self._programs / "psql", "-At", "-h127.0.0.1", f"-p{self.port}", "-Uplacenorm", f"-d{database}"]
        done = subprocess.run(
            [*command, f"-c{sql}"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PGPASSWORD": PASSWORD},
        )
        return done.stdout.strip()

    def make_database(self, name: str) -> str:
        """Make another database, and return its address."""
        self.query(f"CREATE DATABASE {name}", "postgres")
        return self.url.removesuffix(DATABASE) + name

    def __enter__(self) -> Self:
        if self._user is not None:
            os.chown(self.folder, self._user, pwd.getpwuid(self._user).pw_gid)
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = f"-D{self.folder / 'data'}"
        self._run("initdb", data, "-Uplacenorm", "-Ascram-sha-256", f"--pwfile={secret}", "-EUTF8", "--locale=C", "-N")
        self.start()
        self.query(f"CREATE DATABASE {DATABASE}", "postgres")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._programs / program, *arguments],
            check=check,
            capture_output=True,
            text=True,
            **self._as_user(),
        )

    def _as_user(self) -> dict[str, Any]:
        """What a program of the server is started with."""
        if self._user is None:
            return {"cwd": self.folder}
        group = pwd.getpwuid(self._user).pw_gid
        return {"cwd": self.folder, "user": self._user, "group": group, "extra_groups": []}


def _find_programs() -> Path:
    """Return the folder of PostgreSQL's programs: on the path, or the newest where Debian puts them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    assert debian, "PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql"
    return debian[-1].parent


def _find_user() -> int | None:
    """Return the user that the server runs as; None for the one who runs the tests."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return names.get("postgres", names["nobody"])


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children_of(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


@contextmanager
def open_server() -> Iterator[PostgresServer]:
    """A server that runs for the length of the block.

    Its folder is not pytest's: that takes other users' rights away whenever it starts.
    """
    folder = Path(tempfile.mkdtemp(prefix="placenorm-postgres-"))
    folder.chmod(0o755)
    try:
        with PostgresServer(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)
