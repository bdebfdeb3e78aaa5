"""Runs of jobs on the memory store."""

import pytest
from tests.contract.memory import a_memory_store, memory_stores
from tests.examples.fencing.runs import two_runs

from schedora.application.context import JobContext


@pytest.fixture
async def runs() -> tuple[JobContext, JobContext]:
    """The one that was given up, and the one that counts."""
    return await two_runs(memory_stores(a_memory_store()))


@pytest.fixture
async def other_runs() -> tuple[JobContext, JobContext]:
    """Of another job."""
    return await two_runs(memory_stores(a_memory_store()))
