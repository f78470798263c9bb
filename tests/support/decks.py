"""Random LAMMPS inputs: a deck is all that follows from a seed, and runs by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from deck_atoms import MOST_ATOMS, Box, random_box
from deck_commands import BETWEEN_RUNS, RUNS, Scene
from deck_models import MODELS, DeckModel

SERIES = 20261128
# LAMMPS's constants: its energy unit per eV, and its pressure unit per (energy unit / Å^3).
UNITS = {"metal": (1.0, 1.6021765e6), "real": (23.060549, 68568.415)}
STYLES = ("plain", "hybrid", "overlay", "twice")
LAYOUTS = ("bricks", "grid", "shifted", "tiled")
ATOM_STYLES = ("atomic", "charge", "full")
SKINS = 0.3, 1.0, 2.0  # Å
EPSILON, SIGMA, LJ_CUTOFF = 0.02, 2.0, 4.5  # eV, Å, Å


@dataclass(frozen=True)
class Deck:
    """One input.

    Attributes:
        seed: all that it follows from.
        ranks: it runs on so many.
        model: name in MODELS.
        units, style, boundary: of UNITS, of STYLES, LAMMPS's words.
        types: the element of each LAMMPS type, None for NULL.
        n_atoms: at the start.
        words: what is in it, for those that read a list of decks.
        text: commands, without the output.
    """

    seed: int
    ranks: int
    model: str
    units: str
    style: str
    boundary: tuple[str, str, str]
    types: tuple[str | None, ...]
    n_atoms: int
    words: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        return f"deck{self.seed}"

    @property
    def input(self) -> str:
        """The whole input: `lmp -in` of it writes NAME.txt and NAME.dump."""
        return f'clear\nprint "{self}"\n{self.text}{_output(self.name)}'

    def __str__(self) -> str:
        start = f"{self.name} {self.model} {self.ranks} ranks {self.n_atoms} atoms"
        return f"{start} {self.units} {self.style} {' '.join(self.words)}"


def make_deck(seed: int) -> Deck:
    rng = np.random.default_rng([SERIES, seed])
    ranks, model = (1, 2, 4)[rng.integers(3)], list(MODELS)[rng.integers(len(MODELS))]
    box, kind = random_box(rng), MODELS[model]
    style, units = STYLES[rng.integers(len(STYLES))], list(UNITS)[rng.integers(2)]
    types = _types(rng, kind, style)
    skin = rng.choice(SKINS)
    layout, before, after = _layout(rng, box, ranks, max(kind.reach, LJ_CUTOFF) + skin)
    atoms = str(rng.choice(ATOM_STYLES))
    n = len(box.positions)
    scene = Scene(
        rng, box, units, tuple(e is None for e in types), layout == "tiled", atoms != "atomic",
        bool(kind.coulomb_cutoff), MOST_ATOMS / n,
    )  # fmt: skip
    excluded = _excluded(rng, n)
    names, commands = _commands(scene)
    text = (
        f"units {units}\natom_style {atoms}\nboundary {' '.join(box.boundary)}\n"
        f"atom_modify map {rng.choice(['array', 'hash'])} sort {rng.integers(2)} 3.0\n"
        f"box tilt large\n{before}{_atoms(rng, f'deck{seed}', box, atoms, len(types), units)}"
        f"{_pair_style(model, style, types, units)}{_lists(rng, box, skin)}{after}"
        f"{THERMO}{excluded}{commands}"
    )
    tilt = ("tilted",) if box.tilted else ()
    hidden = ("hidden",) if "exclude" in excluded else ()
    words = ("".join(box.boundary), *tilt, atoms, layout, *hidden, *names)
    return Deck(seed, ranks, model, units, style, box.boundary, types, n, words, text)


def _types(rng, model: DeckModel, style: str) -> tuple[str | None, ...]:
    """Return one to three types for each element, and for NULL, in any order."""
    types = [e for e in model.elements for _ in range(rng.integers(1, 4))]
    if style == "hybrid" or (style == "overlay" and rng.random() < 0.5):
        types += [None] * rng.integers(1, 3)
    return tuple(types[i] for i in rng.permutation(len(types)))


def _layout(rng, box: Box, ranks: int, reach: float) -> tuple[str, str, str]:
    """Return a name, and commands before and after the atoms are made."""
    # Tiles want ghosts less than a period away; with room: LAMMPS measures along tilted edges.
    tiles = bool((box.widths > 1.4 * reach)[box.periodic].all())
    layout = str(rng.choice([*LAYOUTS[:3], *LAYOUTS[3:] * 2 * tiles]))
    grids = [(a, b, ranks // a // b) for a in (1, 2, 4) for b in (1, 2, 4) if ranks % (a * b) == 0]
    grid = "processors {} {} {}\n".format(*grids[rng.integers(len(grids))])
    return layout, *{
        "bricks": ("", ""),
        "grid": (grid, ""),
        "shifted": (grid, "balance 1.0 shift xyz 5 1.05\n"),
        "tiled": ("comm_style tiled\n", "balance 1.0 rcb\n"),
    }[layout]


def _atoms(rng, name: str, box: Box, atom_style: str, n_types: int, units: str) -> str:
    """Return commands that write and read a data file; IDs in any order, with gaps."""
    ids = rng.choice(3 * len(box.positions) + 5, len(box.positions), replace=False) + 1
    lines = ["", f"{len(ids)} atoms", f"{n_types} atom types"]
    for k, axis in enumerate("xyz"):
        lo = box.origin[k]
        lines.append(f"{lo:.17g} {lo + box.cell[k, k]:.17g} {axis}lo {axis}hi")
    if box.tilted:
        tilts = box.cell[1, 0], box.cell[2, 0], box.cell[2, 1]
        lines.append("{:.17g} {:.17g} {:.17g} xy xz yz".format(*tilts))
    head = "\n".join(lines)
    masses = "\n".join(f"{k + 1} {m:.3f}" for k, m in enumerate(rng.uniform(10, 60, n_types)))
    speed = 10 ** rng.uniform(-1, 1) * {"metal": 1.0, "real": 1e-3}[units]
    speeds = "\n".join(
        f"{i} {vx:.6g} {vy:.6g} {vz:.6g}"
        for i, (vx, vy, vz) in zip(ids, rng.normal(scale=speed, size=(len(ids), 3)), strict=True)
    )
    extra = {"atomic": "{}", "charge": "{} 0.0", "full": "0 {} 0.0"}[atom_style]
    kinds = rng.integers(1, n_types + 1, len(ids))
    atoms = "\n".join(
        f"{i} {extra.format(kind)} {x:.17g} {y:.17g} {z:.17g}"
        for i, kind, (x, y, z) in zip(ids, kinds, box.positions + box.origin, strict=True)
    )
    special = "special_bonds lj/coul 1.0 1.0 1.0\n" if atom_style == "full" else ""
    # LAMMPS drops empty lines inside quotes.
    blank, end = f'print "" append {name}.data screen no\n', f"append {name}.data screen no\n"
    return (
        f'print "{name}" file {name}.data screen no\nprint """{head}""" {end}{blank}'
        f'print Masses {end}{blank}print """{masses}""" {end}{blank}'
        f'print Atoms {end}{blank}print """{atoms}""" {end}{blank}'
        f'print Velocities {end}{blank}print """{speeds}""" {end}read_data {name}.data\n{special}'
    )


def _pair_style(model: str, style: str, types: tuple[str | None, ...], units: str) -> str:
    ours = f"mliap unified {model}.model 0"
    elements = " ".join(e or "NULL" for e in types)
    if style == "plain":
        return f"pair_style {ours}\npair_coeff * * {elements}\n"
    if style == "twice":
        each = "".join(f"pair_coeff * * mliap {k} {elements}\n" for k in (1, 2))
        return f"pair_style hybrid/overlay {ours} {ours}\n{each}"
    word = "hybrid" if style == "hybrid" else "hybrid/overlay"
    numbers = f"lj/cut {EPSILON * UNITS[units][0]:.10g} {SIGMA}\n"
    start = f"pair_style {word} {ours} lj/cut {LJ_CUTOFF}\npair_coeff * * mliap {elements}\n"
    if style == "overlay":
        return f"{start}pair_coeff * * {numbers}"
    pairs = [(i, j) for j in range(len(types)) for i in range(j + 1)]
    lj = [f"pair_coeff {i + 1} {j + 1} {numbers}" for i, j in pairs if None in (types[i], types[j])]
    return start + "".join(lj)


def _lists(rng, box: Box, skin: float) -> str:
    # LAMMPS does not bin boxes as flat as shrink-wrapping can make them.
    bins = set("".join(box.boundary)) <= set("pf") and rng.random() < 0.8
    velocities = rng.choice(["yes", "no"])
    every = rng.integers(1, 3) if skin == max(SKINS) else 1  # no atom may go too far
    return (
        f"neighbor {skin} {rng.choice(['bin', 'multi']) if bins else 'nsq'}\n"
        f"neigh_modify every {every} delay 0 check yes\n"
        f"comm_modify vel {velocities}\n"
    )


def _commands(scene: Scene) -> tuple[list[str], str]:
    """Return one to four commands, by name; the last of them computes forces."""
    names, text, current = [], "", False
    for _ in range(scene.rng.integers(1, 5)):
        choices = RUNS if scene.rng.random() < 0.5 else BETWEEN_RUNS
        command = choices[scene.rng.integers(len(choices))]
        commands = command(scene)
        if not commands:
            continue
        names.append(command.__name__)
        current = choices is RUNS or scene.rng.random() < 0.3
        text += commands + ("run 0\n" if current and choices is BETWEEN_RUNS else "")
    return names, text if current else f"{text}run 0\n"


def _excluded(rng, n: int) -> str:
    """Exclude a few atoms from everything, as `fix gcmc` does in the middle of a move."""
    if rng.random() < 0.2:
        groups = rng.choice(["gone all", "all gone"])
        return f"group gone id <= {3 * n // 4}\nneigh_modify exclude group {groups}\n"
    return "group gone empty\n"


THERMO = """variable gone atom gmask(gone)
compute e all pe/atom
compute s all stress/atom NULL virial
compute p all pressure NULL virial
compute sum all reduce sum c_e c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]
thermo_style custom step atoms pe vol c_p[1] c_sum[1]
thermo_modify lost ignore norm no
"""


def _output(name: str) -> str:
    columns = "id type x y z fx fy fz c_e v_gone"
    box = [f"{axis}{end}" for axis in "xyz" for end in ("lo", "hi")] + ["xy", "xz", "yz"]
    numbers = ["pe", "vol", *box, *(f"c_p[{k}]" for k in range(1, 7))]
    numbers += [f"c_sum[{k}]" for k in range(1, 8)]
    values = " ".join(f"$({number}:%.17g)" for number in numbers)
    return (
        f"write_dump all custom {name}.dump {columns} modify sort id format float %.17g\n"
        f'print "{values}" file {name}.txt screen no\n'
    )
