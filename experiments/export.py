"""Export: the curves of records as TensorBoard event files, one folder a record."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from experiments.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from experiments.records import Record


def export_tensorboard(records: Iterable[Record], folder: Path) -> int:
    """Write every curve of every record, and return how many records there were.

    Losses are in nats and accuracies fractions of 1, under tags such as ``loss/train`` and
    ``accuracy/test``, and the step is the epoch. What an earlier export left in a record's folder
    is replaced.

    Parameters
    ----------
    records
        The records.
    folder
        Gets ``<study>/<recipe>.seed-<n>.<device>.<key>/`` for each record; name it to
        ``tensorboard --logdir``.

    Raises
    ------
    ValueError
        If TensorBoard is not installed, or the folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            f"TensorBoard cannot be imported ({error}); install it: pip install -e '.[tensorboard]'"
        ) from error
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007
        target = folder / record.place.with_suffix("")
        try:
            for earlier in target.glob("events.out.tfevents.*"):
                earlier.unlink()
            with SummaryWriter(str(target)) as writer:
                for metric, curve in asdict(record.curves).items():
                    images, _, what = metric.rpartition("_")
                    for epoch, value in enumerate(curve, 1):
                        writer.add_scalar(f"{what}/{images}", value, epoch)
        except OSError as error:
            raise InputError(
                f"cannot write {target}: {error.strerror}; name another folder"
            ) from error
    return count
