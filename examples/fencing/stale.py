"""What each of the other ends says to a run that was given up."""


class StaleRun(Exception):
    """A later claim of the same job was here before: this run was given up, and what it would write is not wanted."""
