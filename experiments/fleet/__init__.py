"""Fleets: several members of one architecture (seeds, learning rates) trained as one program."""

from experiments.fleet.calibration import fastest_size
from experiments.fleet.members import Member, architecture
from experiments.fleet.networks import Fleet
from experiments.fleet.training import train_fleet

__all__ = ["Fleet", "Member", "architecture", "fastest_size", "train_fleet"]
