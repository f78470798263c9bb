"""LAMMPS's own commands around the pair style: the classical potential behind it against lj/cut."""

import pytest
from sections import CUTOFF, LJ, SECTIONS, different, rows, script

# Sums in another order, amplified by up to 80 steps of motion.
TOLERANCE = 1e-9
# One section leaves pairs out, as lj/cut may.
ONE_HOP = "pair_style mliap unified lj.model 0 exclusions allow\npair_coeff * * Ar\n"
TWO_HOPS = ONE_HOP.replace("lj.model", "two.model")
# Ranks draw other atoms; the last row is lj/cut on the atoms of the row before.
RANDOM = "fix gcmc"
SAME = [name for name in SECTIONS if name != RANDOM]
# Those that move atoms between ranks, or leave ranks with none.
MOVING = ("fix deposit", "one atom, none", "evaporation", "fix deform", "comm_style tiled")


@pytest.fixture
def run_sections(run_lammps, classical):
    """Return a function that gives the thermo rows of every section."""

    def run(style, ranks, special="0.5 0.5 0.5", names=SECTIONS, **parameters):
        classical("two.model", cutoff=5.0, hops=2)
        env = classical(cutoff=CUTOFF, **parameters)
        done = run_lammps(script(style, special, names), ranks, env, timeout=300)
        assert done.returncode == 0, done.out[-3000:]
        found = rows(done.log)
        assert list(found) == list(names)
        return found

    return run


def wrong(got, true):
    found = {name: different(got[name], true[name], TOLERANCE) for name in got}
    return {name: bad[:3] for name, bad in found.items() if bad}


def test_commands_equal_lj_cut(run_sections):
    """Weights of bonded pairs are lj/cut's business: a model knows its pairs."""
    true = run_sections(LJ, 1, "1 1 1")
    assert wrong(run_sections(ONE_HOP, 1), true) == {}
    many = run_sections(ONE_HOP, 2)
    random = many.pop(RANDOM)
    assert wrong(many, true) == {}
    assert different(random[-1:], random[-2:-1], TOLERANCE) == []
    assert random[-1]["Atoms"] != random[0]["Atoms"]
    changed = run_sections(ONE_HOP, 1, epsilon=0.0104 * (1 + 1e-7))
    assert set(wrong(changed, true)) == set(SECTIONS)


def test_commands_with_an_exchange(run_sections):
    """One rank maps ghosts to their owners, several exchange features."""
    true = run_sections(TWO_HOPS, 1, names=SAME)
    assert wrong(run_sections(TWO_HOPS, 2, names=SAME), true) == {}
    assert wrong(run_sections(TWO_HOPS, 4, names=MOVING), true) == {}
