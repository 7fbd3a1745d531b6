"""The commands of ``python -m experiments``: they read arguments, call the package, and print."""
