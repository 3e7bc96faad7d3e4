"""What can go wrong with a local PostgreSQL; each error says what to do next. Nothing here acts."""


class PostgresError(Exception):
    """Any failure of the local PostgreSQL."""


class BinariesNotFoundError(PostgresError):
    """No usable PostgreSQL (14 or later, with initdb, postgres and psql) is on this machine."""


class StartError(PostgresError):
    """The server did not start; the text ends with the last lines of its log."""


class PortInUseError(StartError):
    """The port that was asked for is taken by another process."""


class WrongPasswordError(StartError):
    """The folder was initialised with another user or password."""


class UnsafeFolderError(StartError):
    """A folder PostgreSQL would be given belongs to somebody else or is a link."""


class QueryError(PostgresError):
    """psql failed; the text is what it said."""
