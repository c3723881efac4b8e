"""Which processors add byte products without overflow."""

from pathlib import Path

import pytest

from warmstart.export.quantize import adds_in_32_bits


@pytest.mark.parametrize(
    ("flags", "machine", "expected"),
    [
        ("fpu avx2 avx512f avx512_vnni", "x86_64", True),
        ("fpu avx2 avx_vnni", "x86_64", True),
        ("fpu avx2 fma", "x86_64", False),
        (None, "x86_64", False),
        (None, "aarch64", True),
    ],
)
def test_seven_bits_where_a_processor_is_old_or_unknown(
    flags: str | None, machine: str, expected: bool, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\nmodel name\t: x\nflags\t\t: {flags}\nbugs\t: spec\n")
    assert adds_in_32_bits(cpuinfo, machine) is expected
