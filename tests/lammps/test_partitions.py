"""Several worlds in one mpirun: NEB and parallel tempering, and a model for each world."""

import pytest
from sections import CRYSTAL, LJ, THERMO

# Sums in another order, amplified by some ten steps of motion.
TOLERANCE = 1e-9
STYLE = "pair_style mliap unified {model}.model 0\npair_coeff * * Ar\n"
EPSILONS = (0.0104, 0.0208, 0.0312)  # eV

# A neighbour hops into a vacancy; then replicas at three temperatures; then each world's own model.
SCRIPT = """
variable w world 0 1 2
variable t world 20 30 40
{still}
{thermo}
region hole block 0.9 1.1 0.9 1.1 0.9 1.1
delete_atoms region hole
{style}
region hop block 1.4 1.6 1.4 1.6 0.9 1.1
group hop region hop
variable id atom id
compute id hop reduce max v_id
run 0
print "1" file hop.$w
print "$(c_id:%.0f) 5.4 5.4 5.4" append hop.$w
fix 1 all neb 0.1
timestep 0.005
min_style quickmin
neb 0 0 10 10 5 final hop.0
clear
{crystal}
{thermo}
{style}
velocity all create $t 4711
fix move all nvt temp $t $t 0.1
timestep 0.002
temper 20 5 $t move 0 4711
clear
{crystal}
{thermo}
{own}
run 0
"""


@pytest.fixture
def run_worlds(run_lammps, classical):
    """Return a function that gives the numbers of the common log, and each world's last energy."""

    def run(style, own, **parameters):
        for world, epsilon in enumerate(EPSILONS):
            classical(f"{world}.model", cutoff=6.0, epsilon=epsilon)
        env = classical(cutoff=6.0, **parameters)
        still = "\n".join(line for line in CRYSTAL.splitlines() if "displace" not in line)
        script = SCRIPT.format(still=still, crystal=CRYSTAL, thermo=THERMO, style=style, own=own)
        done = run_lammps(script, 3, env, arguments=("-partition", "3x1"))
        assert done.returncode == 0, done.out[-3000:]
        logs = [(done.folder / f"log.lammps.{world}").read_text() for world in range(3)]
        return numbers(done.log), [table(log)[-1][2] for log in logs]

    return run


def table(text):
    """Return the rows that are nothing but numbers."""
    rows = []
    for line in text.splitlines():
        try:
            rows.append([float(word) for word in line.split()])
        except ValueError:
            continue
    return [row for row in rows if row]


def numbers(text):
    return [value for row in table(text) for value in row]


def test_worlds(run_worlds):
    ours, energies = run_worlds(STYLE.format(model="lj"), STYLE.format(model="$w"))
    true, [energy, *_] = run_worlds(LJ, LJ)
    assert len(true) > 50
    assert ours == pytest.approx(true, rel=TOLERANCE, abs=TOLERANCE)
    assert energies == pytest.approx([energy, 2 * energy, 3 * energy], rel=TOLERANCE)
    changed, _ = run_worlds(STYLE.format(model="lj"), LJ, epsilon=0.0104 * (1 + 1e-6))
    assert changed != pytest.approx(true, rel=TOLERANCE, abs=TOLERANCE)
