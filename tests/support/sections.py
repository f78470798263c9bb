"""Parts of one input script, one for each LAMMPS command, and the thermo rows that each leaves.

{style} stands for the commands that choose a pair style. No number depends on atom IDs, which
differ with the number of ranks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CUTOFF = 6.0  # Å
LJ = f"pair_style lj/cut {CUTOFF}\npair_modify shift yes\npair_coeff * * 0.0104 3.4\n"

CRYSTAL = """
units metal
boundary p p p
atom_modify map yes
lattice fcc 5.4
region box block 0 3 0 3 0 2
region solid block 0 3 0 3 0 2
create_box 1 box
create_atoms 1 region solid
mass 1 39.95
displace_atoms all random 0.2 0.2 0.2 4711 units box
"""
SLAB = CRYSTAL.replace("p p p", "p p f").replace("0 3 0 3 0 2", "0 3 0 3 -1 5", 1)
CLUSTER = SLAB.replace("p p f", "f f f").replace("0 3 0 3 -1 5", "-1 4 -1 4 -1 5", 1)
TILTED = CRYSTAL.replace("block 0 3 0 3 0 2", "prism 0 3 0 3 0 2 1.4 0 0", 1)
BONDED = CRYSTAL.replace("boundary", "atom_style full\nboundary").replace(
    "box 1 box", "box 1 box bond/types 1 extra/bond/per/atom 12 extra/special/per/atom 100"
)
MOVE = "velocity all create 60 4711 loop geom\nfix move all nve\ntimestep 0.002\n"
THERMO = (
    "neighbor 1.0 bin\nneigh_modify delay 0 every 1 check yes\nthermo 5\n"
    "thermo_style custom step atoms pe ke press pxx pyy pzz pxy vol xy\n"
    "thermo_modify format float %.16g norm no\n"
)

# Name: the structure, and the commands.
SECTIONS = {
    "fix deposit": (SLAB, MOVE + "{style}region top block 0 3 0 3 4 4.5\n"
        "fix in all deposit 6 1 4 4711 region top near 2.5 vz -20 -15 units box\nrun 40\n"),
    "delete_atoms": (CRYSTAL, MOVE + "{style}run 10\nregion hole block 0 1 0 2 0 2\n"
        "delete_atoms region hole\nrun 10\n"),
    "one atom, none": (CRYSTAL, MOVE + "{style}run 5\nregion one block 0.8 1.2 0.8 1.2 0.8 1.2\n"
        "group one region one\ngroup others subtract all one\ndelete_atoms group others\nrun 5\n"
        "delete_atoms group one\nrun 5\n"),
    "create_atoms": (SLAB, "{style}run 0\nregion more block 0 3 0 3 3 4\n"
        "create_atoms 1 region more\nmass 1 39.95\nrun 0\nreplicate 2 1 1\nrun 0\n"),
    "evaporation": (CLUSTER, MOVE + "{style}thermo_modify lost ignore\n"
        "region hot block 2 3 0 3 0 2\ngroup hot region hot\n"
        "velocity hot set 100 NULL NULL units box\nrun 50\n"),
    "shrink-wrapped": (CLUSTER.replace("f f f", "s s s"), MOVE + "{style}run 20\n"),
    "fix deform": (TILTED, MOVE + "{style}"
        "fix box all deform 1 x erate 1.0 xy vel 60.0 remap x flip yes\nrun 30\n"),
    "change_box": (CRYSTAL, "{style}run 0\nchange_box all x scale 1.02 remap\nrun 0\n"),
    "minimize": (CRYSTAL, "{style}minimize 0 0 12 100\n"),
    "min_style fire": (CRYSTAL, "{style}min_style fire\nminimize 0 0 12 100\n"),
    "fix box/relax": (CRYSTAL, "{style}fix box all box/relax aniso 500.0 vmax 0.005\n"
        "minimize 0 0 8 100\n"),
    "fix npt": (TILTED, MOVE + "{style}unfix move\n"
        "fix move all npt temp 60 60 0.1 tri 0 0 0.5\nrun 20\n"),
    "run pre no": (CRYSTAL, MOVE + "{style}run 10\nrun 10 pre no post no\nrun 10 every 5 NULL\n"),
    "rerun": (CRYSTAL, MOVE + "{style}dump all all custom 5 {name}.dump id type x y z\n"
        "dump_modify all format float %.17g\nrun 20\nundump all\n"
        "rerun {name}.dump dump x y z\n"),
    "restart": (CRYSTAL, MOVE + "{style}run 10\nwrite_restart {name}.restart\nclear\n"
        "read_restart {name}.restart\n" + THERMO + "{style}fix move all nve\nrun 10\n"),
    "neigh_modify exclude": (CRYSTAL, MOVE + "region half block 0 3 0 3 0 0.9\n"
        "group half region half\n{style}neigh_modify exclude group half half\nrun 20\n"),
    "special_bonds": (BONDED, "bond_style harmonic\nbond_coeff 1 0.02 3.8\n"
        "pair_style zero 6.0\npair_coeff * *\ncreate_bonds many all all 1 3.0 4.2\n"
        "special_bonds lj/coul {special}\n{style}" + MOVE + "run 20\n"),
    "fix balance": (SLAB, MOVE + "{style}fix cut all balance 5 1.0 shift xyz 5 1.01\nrun 20\n"),
    "comm_style tiled": (SLAB.replace("lattice", "comm_style tiled\nlattice"),
        MOVE + "{style}fix cut all balance 5 1.0 rcb\nrun 20\n"),
    "fix gcmc": (CRYSTAL, MOVE + "{style}"
        "fix mc all gcmc 5 20 0 1 4711 300 -0.3 0.1 full_energy\nrun 10\nunfix mc\nrun 0\n"
        "{classical}run 0\n"),
}  # fmt: skip

PRESSURES = ("Press", "Pxx", "Pyy", "Pzz", "Pxy")


def script(style: str, special: str = "1 1 1", names: Iterable[str] = SECTIONS) -> str:
    """Return sections as one script."""
    parts = []
    for name in names:
        structure, commands = SECTIONS[name]
        file = name.replace(" ", "_").replace("/", "_")
        commands = commands.format(style=style, special=special, name=file, classical=LJ)
        parts.append(f'clear\nprint "SECTION {name}"\n{structure}{THERMO}{commands}')
    return "\n".join(parts)


def rows(log: str) -> dict[str, list[dict[str, float]]]:
    """Return the thermo rows of each section."""
    _, *parts = re.split(r"^SECTION (.*)$", log, flags=re.MULTILINE)
    return {name: _thermo(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _thermo(text: str) -> list[dict[str, float]]:
    lines = [line.split() for line in text.splitlines()]
    header = next(words for words in lines if words[:1] == ["Step"])
    found = [words for words in lines if len(words) == len(header) and words[0].isdigit()]
    return [dict(zip(header, map(float, words), strict=True)) for words in found]


def different(got: list[dict], true: list[dict], tolerance: float) -> list[str]:
    """Return what differs, each pressure on the scale of the largest of its row."""
    if len(got) != len(true):
        return [f"{len(got)} rows, not {len(true)}"]
    bad = []
    for mine, row in zip(got, true, strict=True):
        largest = max(abs(row[name]) for name in PRESSURES)
        for name, value in row.items():
            scale = largest if name in PRESSURES else abs(value)
            if not abs(mine[name] - value) <= tolerance * max(scale, 1e-3):
                bad.append(f"step {row['Step']:.0f} {name}: {mine[name]!r}, not {value!r}")
    return bad
