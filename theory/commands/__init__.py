"""The commands of ``python -m theory``, one module each."""
