"""Real programs with the mistakes that people make: each is told by the rates it used."""

import numpy as np
import pytest

from faulted import explains
from lrsched.book import faulty


@pytest.mark.parametrize("program", faulty.PROGRAMS, ids=lambda program: program.name)
def test_program_is_found_out(program):
    found = program.diagnosis()
    named = {name: getattr(found, name) for name in program.expected}
    assert named == program.expected
    assert explains(found, program.planned, found.run.rates, off=2e-6)
    assert len(found.run.rates) == faulty.UPDATES
    first = found.first
    planned = program.planned(np.arange(first + 1))
    assert np.allclose(found.run.rates[:first], planned[:first], rtol=1e-6)
    assert (found.planned, found.applied) == (planned[first], found.run.rates[first])
    assert str(found).startswith(f"Update {first}: planned was ")


def test_programs_are_short_and_many():
    frameworks = [program.framework for program in faulty.PROGRAMS]
    assert (frameworks.count("PyTorch"), frameworks.count("Keras")) == (8, 4)
    faults = {program.expected["fault"] for program in faulty.PROGRAMS}
    assert len(faults) >= 8
    for program in faulty.PROGRAMS:
        assert program.source.startswith(f"def {program.name}() -> Rates:\n")
        assert len(program.source.splitlines()) <= 18
