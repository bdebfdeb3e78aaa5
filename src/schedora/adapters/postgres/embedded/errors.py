"""The one way in which the embedded server can fail."""


class EmbeddedUnavailable(Exception):
    """No embedded server can be had here; the message is one line that says why and what to do."""
