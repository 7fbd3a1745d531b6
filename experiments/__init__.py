"""Experiments: the reports' empirical results, regenerated and judged."""
