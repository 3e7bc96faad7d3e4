"""Begins a server that is not running yet: makes its data, finds it a port, waits for it to answer.

The watchdog does the starting and knows how to stop; here it is told what.
"""

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from infra.emulator.postgres import cluster, folders, sockets, watchdog
from infra.emulator.postgres.account import Account
from infra.emulator.postgres.errors import PortInUseError, StartError
from infra.emulator.postgres.guard import Guard
from infra.emulator.postgres.site import HOST, Running, Site, Wish
from infra.emulator.postgres.sockets import Sockets

# Seconds; recovery after a crash is what can take this long.
PATIENCE = 60.0
PORTS_TO_TRY = 5
LOG_LINES = 20
DEFAULTS = {"timezone": "UTC", "log_timezone": "UTC"}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def begin(site: Site, wish: Wish, guard: Guard, undo: ExitStack) -> Running:
    """Starts a site's server under a watchdog; raises StartError with the end of its log."""
    if not cluster.is_whole(site.data):
        _make(site, wish, guard)
    _forget_dead(site.data)
    listening = _listen(site.account, wish, guard)
    for _ in range(PORTS_TO_TRY):
        port = wish.port or free_port()
        if listening:
            guard.remove_later(*listening.link(port))
        outcome, log = _try(site, guard, _settings(wish, port, listening))
        if outcome == "ready":
            return Running(site, wish.login(port), listening.directory if listening else None, undo)
        if not _port_was_taken(log):
            break
        if wish.port:
            raise PortInUseError(
                f"port {port} of {HOST} is in use by another process: "
                f"end it or choose another port\n{_tail(log)}"
            )
    ended = (
        "ended while starting" if outcome == "ended" else f"did not answer within {PATIENCE:.0f} s"
    )
    raise StartError(f"PostgreSQL {ended} (data: {site.data}):\n{_tail(log)}")


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _make(site: Site, wish: Wish, guard: Guard) -> None:
    cluster.clear(site.place, site.data)
    with cluster.aside(site.place, site.account) as aside:
        guard.remove_later(aside)
        pwfile = aside / "password"
        for command in cluster.initdb(
            site.binaries, aside / "data", pwfile, wish.user, durable=wish.durable
        ):
            position = site.log.stat().st_size
            cluster.write_password(pwfile, wish.password, site.account)
            status = guard.run(command)
            pwfile.unlink()
            log = site.log_since(position)
            if status == 0:
                (aside / "data").rename(site.data)
                return
            if "invalid locale" not in log:
                break
        raise StartError(f"initdb failed with status {status} (data: {site.data}):\n{_tail(log)}")


def _forget_dead(data: Path) -> None:
    """Removes a postmaster.pid whose number another process has now, as in a restarted container.

    One whose process is simply gone stays: PostgreSQL handles that more carefully than we could.
    """
    found = watchdog.read_pid_file(data)
    if found and watchdog.is_listed(found.pid) and watchdog.running(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)


def _listen(account: Account, wish: Wish, guard: Guard) -> Sockets | None:
    if sys.platform == "win32":
        return None

    def spare() -> Path:
        path = folders.temporary(account, folders.LONGEST_BASE)
        guard.remove_later(path)
        path.chmod(0o700)
        account.own(path)
        return path

    if wish.socket_directory is None:
        directory = spare()
        return Sockets(directory, directory)
    return sockets.prepare(wish.socket_directory, account, spare)


def _settings(wish: Wish, port: int, listening: Sockets | None) -> dict[str, str]:
    return {
        **DEFAULTS,
        **({} if wish.durable else NOT_DURABLE),
        **wish.settings,
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": '"' + str(listening.real).replace('"', '""') + '"'
        if listening
        else "",
        "log_destination": "stderr",
        "logging_collector": "off",
    }


def _try(site: Site, guard: Guard, settings: dict[str, str]) -> tuple[str, str]:
    """Starts once; returns how it went and what was logged."""
    position = site.log.stat().st_size
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    if sys.platform == "win32":
        # PostgreSQL refuses an administrator there, and pg_ctl takes the rights away first.
        start = ["start", "-w", "-t", f"{PATIENCE:.0f}", "-D", str(site.data), "-l", str(site.log)]
        command = [
            str(site.binaries.program("pg_ctl")),
            *start,
            "-o",
            subprocess.list2cmdline(options),
        ]
        outcome = "ended" if guard.run(command) else "ready"
    else:
        command = [str(site.binaries.program("postgres")), "-D", str(site.data), *options]
        outcome = guard.serve(command, PATIENCE)
    return outcome, site.log_since(position)


def _port_was_taken(log: str) -> bool:
    return "could not bind" in log and ("in use" in log or "Only one usage" in log)


def _tail(log: str) -> str:
    return "\n".join(log.splitlines()[-LOG_LINES:])
