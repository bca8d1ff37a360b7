"""Real database servers: found, started, and stopped with their kernel."""


class ServerError(RuntimeError):
    """A server cannot be used; the message says in one sentence what to do."""


class NotInstalled(ServerError):
    """This machine does not have the server's programs."""
