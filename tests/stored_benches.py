"""Made-up results of benches, as a run stores them."""

from __future__ import annotations

VERSIONS = {"python": "3.11", "torch": "2.9", "numpy": "2.0", "scipy": "1.17"}
RUNGS = ["tutorial loop", "resident bytes", "+ channels last"]


def bench(group, seconds, **facts):
    """Make up a bench that took so many seconds in the median."""
    known = {"device": "cpu", "hardware": "a processor", "threads": 2, **VERSIONS}
    stats = {"min": 0.9, "q1": 0.95, "median": 1.0, "q3": 1.05, "max": 1.2}
    return {
        "group": group,
        "extra_info": known | facts,
        "stats": {name: value * seconds for name, value in stats.items()}
        | {"data": [seconds * value for value in (1.2, 0.9, 1.0)]},
    }


def training(network, rungs=RUNGS):
    """Make up a ladder on which each rung is as fast again as the first one."""
    return [
        bench(
            f"training, {network}, cpu",
            1 / (1 + i),
            network=network,
            parameters=3172,
            rung=rung,
            images=1000,
            gflops=50.0 * (1 + i),
        )
        for i, rung in enumerate(rungs)
    ]


def convolution(method, algorithm, seconds, samples=256, taps=16, **facts):
    """Make up the bench of one method of convolution."""
    known = {"library": "SciPy", "precision": "float64"} | facts
    return bench(
        f"convolution, n = {samples}, k = {taps}",
        seconds,
        method=method,
        algorithm=algorithm,
        samples=samples,
        taps=taps,
        **known,
    )


CONVOLUTION = [
    convolution(method, algorithm, seconds * samples, samples, taps)
    for taps in (16, 64)
    for samples in (256, 1024)
    for method, algorithm, seconds in (("a", "direct", 2.0), ("b", "fft", 4.0), ("c", "auto", 3.0))
]


def results(*benches, scaling=()):
    """Make up the file of a run."""
    return {
        "machine_info": {"processor": "a processor"},
        "benchmarks": list(benches),
        "scaling": list(scaling),
        "datetime": "2026-01-02T03:04:05",
    }
