"""From a wish to a server that answers: a throw-away one, a lasting one, or one that runs already.

Whatever was begun is undone when a later step fails, or when the caller is done.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from infra.emulator.postgres import cluster, folders, psql, watchdog
from infra.emulator.postgres.begin import PATIENCE, begin
from infra.emulator.postgres.errors import QueryError, StartError, WrongPasswordError
from infra.emulator.postgres.guard import Guard
from infra.emulator.postgres.lock import FolderLock
from infra.emulator.postgres.site import Running, Site, Wish, lasting_site, temporary_site
from infra.emulator.postgres.sockets import Sockets, socket_name

POLL = 0.02


def launch(folder: Path | None, wish: Wish) -> Running:
    """Starts a server, or takes over or joins the one that runs from the folder.

    Raises StartError, and then leaves nothing running.
    """
    with ExitStack() as undo:
        running = _temporary(wish, undo) if folder is None else _lasting(folder, wish, undo)
        return Running(running.site, running.login, running.socket_directory, undo.pop_all())


def _temporary(wish: Wish, undo: ExitStack) -> Running:
    site = temporary_site()
    undo.callback(shutil.rmtree, site.folder, ignore_errors=True)
    site.renew_log()
    guard = _watched(site, undo)
    guard.remove_later(site.folder)
    return begin(site, wish, guard, undo)


def _lasting(folder: Path, wish: Wish, undo: ExitStack) -> Running:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder / "lock")
    undo.callback(lock.close)
    for _ in _tries(
        f"another process holds {folder} and no server answers there: end that process"
    ):
        if lock.acquire():
            break
        # Its watchdog lives, so somebody else is to stop it: join, and leave it running afterwards.
        if _ready(folder / "data") and (shared := _join(lasting_site(folder), wish, undo)):
            # It may be about to stop, its owner having died meanwhile.
            if lock.acquire():
                break
            if not _ready(folder / "data"):
                continue
            if not _as_wished(shared, wish):
                raise StartError(
                    f"{folder} is already served, on port {shared.login.port}, by another process"
                )
            return shared
    site = lasting_site(folder)
    for _ in _tries(f"the server that runs from {folder} neither answers nor ends: end it"):
        if watchdog.running(site.data) is None:
            break
        orphan = _join(site, wish, undo) if _ready(site.data) else None
        if orphan and _as_wished(orphan, wish):
            _watched(site, undo, lock).remove_later(*_leftovers(orphan))
            return orphan
        if orphan:
            leftovers = _leftovers(orphan)
            watchdog.stop(site.data, site.charge().pg_ctl)
            watchdog.remove(list(map(str, leftovers)))
    made_before = cluster.is_whole(site.data)
    site.renew_log()
    running = begin(site, wish, _watched(site, undo, lock), undo)
    if made_before:
        _log_in(site, running.login)
    return running


def _watched(site: Site, undo: ExitStack, lock: FolderLock | None = None) -> Guard:
    guard = Guard(site.charge(), lock.descriptor if lock else None)
    undo.callback(guard.close)
    if lock and sys.platform != "win32":
        # Now the watchdog alone holds it, so it is free when PostgreSQL has been stopped.
        lock.close()
    return guard


def _ready(data: Path) -> bool:
    found = watchdog.read_pid_file(data)
    return found is not None and found.status == "ready" and watchdog.running(data) is not None


def _join(site: Site, wish: Wish, undo: ExitStack) -> Running | None:
    """The server that runs from the folder, or None while it does not answer."""
    found = watchdog.read_pid_file(site.data)
    if found is None or not _log_in(site, wish.login(found.port)):
        return None
    real = Path(found.socket_directory) if found.socket_directory else None
    return Running(site, wish.login(found.port), real and (wish.socket_directory or real), undo)


def _log_in(site: Site, login: psql.Login) -> bool:
    """Whether the site's server answers; raises WrongPasswordError when it refuses us."""
    try:
        data = psql.ask(site.binaries, login, "SHOW data_directory")
    except QueryError as error:
        if psql.PASSWORD_REFUSED not in str(error):
            return False
        raise WrongPasswordError(
            f"{site.folder} was initialised with another user or password: pass those, "
            f"or delete {site.folder} to begin with an empty database (the data is in {site.data})"
        ) from error
    return Path(data).resolve() == site.data.resolve()


def _as_wished(running: Running, wish: Wish) -> bool:
    found = watchdog.read_pid_file(running.site.data)
    if found is None or wish.port not in (None, found.port):
        return False
    if wish.socket_directory is None or running.socket_directory is None:
        return True
    name = socket_name(found.port)
    try:
        return (wish.socket_directory / name).samefile(Path(found.socket_directory) / name)
    except OSError:
        return False


def _leftovers(orphan: Running) -> list[Path]:
    """The links to its socket, and the folder of it if that is one of ours."""
    found = watchdog.read_pid_file(orphan.site.data)
    if found is None or orphan.socket_directory is None:
        return []
    real = Path(found.socket_directory)
    links = Sockets(orphan.socket_directory, real).names(found.port)
    return [*links, *([real] if real.name.startswith(folders.PREFIX) else [])]


def _tries(otherwise: str) -> Iterator[None]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        yield
        time.sleep(POLL)
    raise StartError(otherwise)
