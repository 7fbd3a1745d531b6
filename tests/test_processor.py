"""The processor: named and judged by what Linux says of it."""

import pytest

from theory import processor

INTEL = "processor\t: 0\nmodel name\t: Some Xeon @ 2 GHz \nflags\t\t: fpu avx512f {}\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {}\n"


@pytest.mark.parametrize(
    ("described", "units"),
    [
        (INTEL.format("amx_bf16 amx_tile"), True),
        (INTEL.format("avx512_bf16"), True),
        (INTEL.format("avx512_vnni"), False),
        (INTEL.format("amx_bf16_not"), False),
        (ARM.format("bf16 i8mm"), True),
        (ARM.format("i8mm"), False),
        ("bf16\n", False),
        ("", False),
    ],
)
def test_bfloat16_units_are_read_off_the_flags(monkeypatch, described, units):
    monkeypatch.setattr(processor, "_cpuinfo", lambda: described)
    assert processor.multiplies_bfloat16() is units


def test_the_name_is_that_of_the_model_or_else_of_the_machine(monkeypatch):
    monkeypatch.setattr(processor, "_cpuinfo", lambda: INTEL.format(""))
    assert processor.processor() == "Some Xeon @ 2 GHz"
    monkeypatch.setattr(processor, "_cpuinfo", lambda: ARM.format(""))
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert processor.processor() == "aarch64"


def test_processors_of_one_name_are_told_apart_by_their_numbers(monkeypatch):
    """As in virtual machines; Arm's have no name at all."""
    told = "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: Fast\nstepping\t: 1\n"
    monkeypatch.setattr(processor, "_cpuinfo", lambda: told * 2)
    assert (processor.processor(), processor.model()) == ("Fast", "25-17-1")
    monkeypatch.setattr(processor, "_cpuinfo", lambda: "CPU variant\t: 0x1\nCPU part\t: 0xd40\n")
    assert processor.model() == "0xd40-0x1"
