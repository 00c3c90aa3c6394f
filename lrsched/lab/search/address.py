"""The address of a storage, of which no password is ever printed.

A password may stand anywhere in an address, and a driver may repeat the address in its own
words. So nothing is hidden there: what is printed is picked out, and is all of our own making.
"""

import re

__all__ = ["is_database", "shown", "why"]

_DATABASE = re.compile(
    r"(?P<scheme>[\w+.-]+)://([^@/?#]*@)?(?P<host>[\w.-]*)(:\d*)?(/(?P<name>[\w.-]*))?(\?[^@]*)?"
)

# What drivers say, by words that are found in it.
_REASONS = {
    "connection refused": "connection refused",
    "authentication failed": "the server does not accept the user or the password",
    "access denied": "the server does not accept the user or the password",
    "no password supplied": "the server asks for a password",
    "role .* does not exist": "the server does not know the user",
    "database .* does not exist": "the database does not exist",
    "unknown database": "the database does not exist",
    "no pg_hba.conf entry": "the server does not let this machine in",
    "permission denied": "permission denied",
    "too many (connections|clients)|remaining connection slots": "too many connections",
    "timeout|timed out": "no answer in time",
    "no such file": "nobody listens there",
    "translate host name|resolve|name or service|getaddrinfo": "the host is not known",
    "unreachable|no route": "the network does not reach the host",
    "closed the connection|terminat|lost connection|connection .*lost": "connection lost",
    "is starting up|shutting down": "the server is starting or stopping",
    "no space left|disk full": "no space is left on the server's disk",
    "read-only": "it can only be read",
}


def is_database(address: str) -> bool:
    """Whether it is the address of a database, and not the path of a file."""
    return "://" in address


def shown(address: str) -> str:
    """What may be printed of an address: scheme, host and database, if they are plain.

    Of the path of a file that looks like an address gone wrong, nothing.
    """
    if not is_database(address):
        return "***" if re.search(r"[@?&=;]", address) else address
    if parts := _DATABASE.fullmatch(address):
        return f"{parts['scheme']}://{parts['host']}/{parts['name'] or ''}"
    scheme = address.partition("://")[0]
    return f"{scheme if re.fullmatch(r'[a-z][a-z0-9+-]*', scheme) else ''}://***"


def why(error: BaseException) -> str:
    """What went wrong with a database, without the words of its driver."""
    raised = getattr(error, "orig", None) or error  # where SQLAlchemy has the driver's own error
    for words, reason in _REASONS.items():
        if re.search(words, str(raised).lower()):
            return reason
    return f"its driver raised {type(raised).__name__}"
