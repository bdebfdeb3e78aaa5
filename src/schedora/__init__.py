"""Schedora: a durable job scheduler and workflow orchestrator on PostgreSQL."""

__version__ = "0.1.0"
