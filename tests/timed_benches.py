"""Made-up times of benches, to hold goals of speed against."""

from __future__ import annotations

import statistics

import goal_outcomes as outcomes  # whoever imports this module has put docs/ on the path

SHARES = {"convolutions": 0.4, "matrix products": 0.1, "pooling": 0.3, "copies": 0.2}


def bench(group, *seconds, **facts):
    """Make up a bench that took so many seconds in each of its rounds."""
    return {
        "group": group,
        "extra_info": {"device": "cpu", "images": 100, "hardware": "", **facts},
        "stats": {"median": statistics.median(seconds), "data": list(seconds)},
    }


def sources(*benches, race=None, work=1e12, **more):
    """Return what goals are held against: a run of these benches on two cores, and a race."""
    known = {"machine_info": {"processor": "a processor", "cpus": 2}}
    results = {"benchmarks": list(benches), **known, **more}
    return outcomes.Sources(results, race or {}, lambda _: work)


def ladder(ratio, gflops=10.0):
    """Return the first and the last rung, which is faster by the ratio."""
    known = {"network": "net", "gflops": gflops}
    return (
        bench("training, net, cpu", ratio, ratio, rung="tutorial loop", **known),
        bench("training, net, cpu", 1.0, 1.0, rung="+ bfloat16", **known),
    )


def product(gflops, precision="bfloat16"):
    """Return a product of matrices at this rate."""
    return bench("gemm, x", 1.0, gflops=gflops, precision=precision)


def step(way="+ bfloat16", network="net"):
    """Return the profile of a training step, whose shares are `SHARES`."""
    return bench("step, net, cpu", 1.0, network=network, way=way, shares=SHARES)


def together(question, fact, name, images, seconds=1.0, **facts):
    """Return networks that train at once, on so many images in three equal rounds."""
    known = {"network": "net", fact: name, "images": images}
    return bench(f"{question}, x", *[seconds] * 3, **known, **facts)


def method(name, *seconds, samples=64, taps=3, algorithm="fft", **facts):
    """Return one method of convolution."""
    return bench(
        "convolution, n",
        *seconds,
        method=name,
        algorithm=algorithm,
        precision="float64",
        samples=samples,
        taps=taps,
        **facts,
    )


def chooser(*seconds, shipped="fft", **facts):
    """Return our choice of a method, the FFT, and what the shipped costs would have chosen."""
    return method(
        "theory auto", *seconds, algorithm="auto", chosen="fft", chosen_as_shipped=shipped, **facts
    )
