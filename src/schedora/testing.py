"""The test kit: run an app's jobs in memory, a day of them in milliseconds."""

from schedora.entrypoints.sdk.in_memory import MemoryScheduler, in_memory

__all__ = ["MemoryScheduler", "in_memory"]
