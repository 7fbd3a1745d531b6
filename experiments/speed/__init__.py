"""Time to accuracy: a recipe of the project's own that reaches a test accuracy in few seconds.

Claim: a mean test accuracy above 80.26 % on CIFAR-10 (six views of a test image, the whole 95 %
interval); n = 5 seeds, two CPU threads, bfloat16, PyTorch 2.13. The runs, with their seconds, are
stored in ``docs/results/time-to-accuracy``; ``python -m experiments race`` repeats them.
"""

from experiments.speed.inputs import halved
from experiments.speed.ladder import CURVE, LADDER, RECIPES, TARGET, WHOLE, Entry, recipe
from experiments.speed.results import FOLDER, Result, Results, Split, Summary, summary
from experiments.speed.settings import Settings
from experiments.speed.training import parts, race, train
from experiments.speed.views import VIEWS, accuracies

__all__ = [
    "CURVE",
    "FOLDER",
    "LADDER",
    "RECIPES",
    "TARGET",
    "VIEWS",
    "WHOLE",
    "Entry",
    "Result",
    "Results",
    "Settings",
    "Split",
    "Summary",
    "accuracies",
    "halved",
    "parts",
    "race",
    "recipe",
    "summary",
    "train",
]
