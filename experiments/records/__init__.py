"""Records: what each run measured, where they are kept, and which of them count."""

from experiments.records.record import ENGINE_VERSION, Curves, Record, RecordError, record_key
from experiments.records.selection import by_recipe
from experiments.records.store import DEFAULT_STORE, Store

__all__ = [
    "DEFAULT_STORE",
    "ENGINE_VERSION",
    "Curves",
    "Record",
    "RecordError",
    "Store",
    "by_recipe",
    "record_key",
]
