"""How a child process of a worker is started."""

import sys

CHILD_COMMAND = (sys.executable, "-m", "schedora.entrypoints.child")

MEMORY = "--memory"
"""Told to a child whose worker keeps its jobs in its own memory."""
