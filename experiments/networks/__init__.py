"""The networks of the reports: some by name, the rest as lines of layers."""

from experiments.networks.building import build, initialise

__all__ = ["build", "initialise"]
