"""Which names this machine goes by: a request for any other comes from a page that wants in.

A web page whose name's address is changed to 127.0.0.1 once it is loaded (DNS rebinding) asks with
the page's own name in `Host`. Names that nobody can register, and addresses, cannot be such.
"""

import ipaddress
import re

# RFC 6761 and RFC 9476 keep the first two out of the public DNS, ICANN the third.
_RESERVED = re.compile(r"(.+\.)?(localhost|test|internal)", re.IGNORECASE)
_PORT = re.compile(r":\d*$")


def is_local(host: str) -> bool:
    """Whether the value of a `Host` header is an address or a name that is never a web site's."""
    name = _PORT.sub("", host.strip()).rstrip(".")
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return _RESERVED.fullmatch(name) is not None
    return True
