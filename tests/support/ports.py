"""Ports for servers that are stopped and started again on the same port."""

import random
import socket

# Below the range the kernel hands to outgoing connections (32768 and up on Linux, 49152 elsewhere): a client that
# reconnects to a stopped server from that range can be given the server's own port and talk to itself.
_LOWEST, _HIGHEST = 20_000, 32_000


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on and no outgoing connection will be given."""
    for _ in range(1_000):
        port = random.randint(_LOWEST, _HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST}")
