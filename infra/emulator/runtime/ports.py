"""Free ports of 127.0.0.1, outside the range the system gives to outgoing connections.

So a port that is kept for a service is not taken by a passing client in the meantime.
"""

import random
import socket

HOST = "127.0.0.1"
SERVICES = range(20000, 28000)
INSTANCES = range(28000, 32768)


def is_free(port: int) -> bool:
    """Whether we could listen there."""
    with socket.socket() as probe:
        # As servers do: what lingers of closed connections is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def pick(ports: range, taken: set[int]) -> int:
    """A free port at random. Raises OSError when there is none."""
    candidates = [port for port in ports if port not in taken]
    random.shuffle(candidates)
    for port in candidates:
        if is_free(port):
            return port
    raise OSError(f"no port of {ports.start} to {ports.stop - 1} is free")
