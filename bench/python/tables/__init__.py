"""Which rows there are: one module for each family of tables."""

from __future__ import annotations

from rows import Scale, Table

from . import algorithms, batches, breakers, decisions, floods, memory, pipelines, retries, waiting


def tables(scale: Scale) -> list[Table]:
    """Return every table of the suite, in the order of the page."""
    return [
        *decisions.TABLES,
        *algorithms.TABLES,
        *pipelines.TABLES,
        *breakers.TABLES,
        *retries.TABLES,
        *batches.TABLES,
        memory.table(scale),
        *floods.TABLES,
        *waiting.tables(scale),
    ]
