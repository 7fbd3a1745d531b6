"""Records: what each run measured, where they are kept, and which of them count."""

from experiments.records.record import ENGINE_VERSION, Curves, Record, RecordError, record_key
from experiments.records.selection import (
    Runs,
    by_recipe,
    by_seed,
    on_equal_machines,
    on_one_device,
)
from experiments.records.store import DEFAULT_STORE, Store

__all__ = [
    "DEFAULT_STORE",
    "ENGINE_VERSION",
    "Curves",
    "Record",
    "RecordError",
    "Runs",
    "Store",
    "by_recipe",
    "by_seed",
    "on_equal_machines",
    "on_one_device",
    "record_key",
]
