"""The recipes of the race: the whole one, those that each leave one idea out, and other lengths."""

from __future__ import annotations

from dataclasses import dataclass, replace

from experiments.errors import InputError
from experiments.speed.settings import Settings


@dataclass(frozen=True)
class Entry:
    """Settings, and what they are for."""

    settings: Settings
    purpose: str


TARGET = 0.8026
"""The best test accuracy of the report assignment-3."""

WHOLE = Settings()

# Without small images, as many pixels are seen: as many epochs fewer as a quarter a small image.
_PIXELS = 1 - 0.75 * WHOLE.small

LADDER = {
    "whole": Entry(WHOLE, "every idea"),
    "without-whitening": Entry(
        replace(WHOLE, whitened=False), "the stem is a convolution trained like the others"
    ),
    "without-bfloat16": Entry(
        replace(WHOLE, precision="float32"), "float32 throughout, for processors that need it"
    ),
    "without-muon": Entry(
        replace(WHOLE, optimiser="sgd", rate=0.5, momentum=0.9),
        "SGD with Nesterov momentum for the convolutions too",
    ),
    "without-smoothing": Entry(replace(WHOLE, smoothing=0.0), "labels as they are"),
    "without-small-images": Entry(
        replace(WHOLE, small=0.0, epochs=round(_PIXELS * WHOLE.epochs, 3)),
        "as many pixels, all of them in images of full size",
    ),
    "without-small-batches": Entry(
        replace(WHOLE, batch=2 * WHOLE.batch, rate=1.4 * WHOLE.rate),
        "batches twice as large at 1.4 times the rate",
    ),
}
"""The whole recipe, and what is lost without each idea."""

LENGTHS = (1.0, 2.0, 3.25, 3.5, 4.0, 6.0)
CURVE = {
    f"epochs-{epochs:g}": Entry(
        replace(WHOLE, epochs=epochs), f"{epochs:g} epoch{'s' * (epochs > 1)}"
    )
    for epochs in LENGTHS
} | {
    "wide": Entry(
        replace(WHOLE, widths=(64, 128, 192, 192), epochs=5.5), "twice the filters, 5.5 epochs"
    )
}
"""The whole recipe at other lengths, and a wider one, for seconds against accuracy."""

RECIPES = LADDER | CURVE


def recipe(name: str) -> Settings:
    """Return the settings of this name.

    Raises
    ------
    InputError
        If there is none; the message names all that there are.
    """
    if name not in RECIPES:
        raise InputError(f"race recipe {name!r} is unknown; known: {', '.join(RECIPES)}")
    return RECIPES[name].settings
