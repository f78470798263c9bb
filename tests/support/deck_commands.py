"""What a random deck does with its atoms: motion, minimisation, Monte Carlo moves, other boxes.

A function returns commands that leave no fix behind, or "" where LAMMPS refuses them for this deck.
Those of BETWEEN_RUNS do not compute forces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from deck_atoms import Box

FEMTOSECOND = {"metal": 0.001, "real": 1.0}
EV = {"metal": 1.0, "real": 23.060549}


@dataclass
class Scene:
    """What commands must know.

    Attributes:
        rng: every choice follows from it.
        box: as it was at the start.
        units: metal or real.
        null: of each LAMMPS type, whether it is not of the model.
        tiled: with comm_style tiled.
        has_charges: of its atom style.
        charged: the model predicts charges.
        room: how many times as many atoms there may be.
    """

    rng: np.random.Generator
    box: Box
    units: str
    null: tuple[bool, ...]
    tiled: bool
    has_charges: bool
    charged: bool
    room: float

    @property
    def seed(self) -> int:
        return int(self.rng.integers(1, 900_000_000))

    @property
    def steps(self) -> int:
        return int(self.rng.integers(1, 9))

    @property
    def type(self) -> int:
        return int(self.rng.integers(1, len(self.null) + 1))

    @property
    def shrinks(self) -> bool:
        return bool(set("sm") & set("".join(self.box.boundary)))

    def one_of(self, *words: str) -> str:
        return str(self.rng.choice(words))


def _moving(scene: Scene) -> str:
    """Return the start of a run in which no atom moves far in a step."""
    step = FEMTOSECOND[scene.units] * scene.rng.choice([0.5, 2.0])
    return f"timestep {step:g}\nfix move all nve/limit {scene.rng.choice([0.02, 0.1, 0.3])}\n"


def run(scene: Scene) -> str:
    return f"{_moving(scene)}run {scene.steps}\nunfix move\n"


def run_in_pieces(scene: Scene) -> str:
    pieces = f"run {scene.steps}\nrun {scene.steps} pre no post no\nrun 4 every 2 NULL\n"
    return f"{_moving(scene)}{pieces}unfix move\n"


def run_balanced(scene: Scene) -> str:
    how = "rcb" if scene.tiled else "shift xyz 3 1.01"
    cut = f"fix cut all balance 2 1.0 {how}\n"
    return f"{_moving(scene)}{cut}run {scene.steps}\nunfix move\nunfix cut\n"


def minimize(scene: Scene) -> str:
    style, relax, end = scene.one_of("cg", "sd", "fire", "quickmin"), "", ""
    if scene.box.periodic.all() and style in ("cg", "sd") and scene.rng.random() < 0.5:
        kind = scene.one_of("iso", "aniso", *["tri"] * scene.box.tilted)
        relax, end = f"fix box all box/relax {kind} 1000.0 vmax 0.002\n", "unfix box\n"
    how = f"timestep {FEMTOSECOND[scene.units]:g}\nmin_style {style}\nmin_modify dmax 0.05\n"
    return f"{relax}{how}minimize 0 0 {scene.steps} 20\n{end}"


def npt(scene: Scene) -> str:
    """LAMMPS ends a run in which a tilt exceeds 1.5 lengths."""
    tilts = np.abs(np.tril(scene.box.cell, -1) / np.diag(scene.box.cell))
    if not scene.box.periodic.all() or tilts.max() > 1.2:
        return ""
    fs, bar = FEMTOSECOND[scene.units], scene.rng.uniform(-1e4, 1e4)
    kind = scene.one_of("iso", "aniso", *["tri"] * scene.box.tilted)
    coupled = f"{kind} {bar:.0f} {bar:.0f} {2000 * fs:g} flip no"
    fix = f"fix move all npt temp 300 300 {50 * fs:g} {coupled}\n"
    return f"timestep {0.2 * fs:g}\n{fix}run {scene.steps}\nunfix move\n"


def deform(scene: Scene) -> str:
    """LAMMPS changes the box after the forces of a step: they are computed once more."""
    if not scene.box.periodic.all():
        return ""
    change = scene.one_of("x scale 1.04", "y scale 0.97", *["xy delta 0.3"] * scene.box.tilted)
    fix = f"fix box all deform 2 {change} remap {scene.one_of('x', 'v')}\n"
    return f"{_moving(scene)}{fix}run {scene.steps}\nunfix move\nunfix box\nrun 0\n"


def gcmc(scene: Scene) -> str:
    if scene.shrinks or scene.tiled:
        return ""
    kelvin, mu = 10 ** scene.rng.uniform(3, 5), scene.rng.uniform(-3, 3) * EV[scene.units]
    ways = f"{scene.rng.integers(1, 6)} {scene.rng.integers(0, 4)} {scene.type} {scene.seed}"
    fix = f"fix mc all gcmc 1 {ways} {kelvin:.0f} {mu:.3f} 0.4 full_energy overlap_cutoff 0.9\n"
    return f"{fix}run {scene.rng.integers(1, 4)}\nunfix mc\n"


def widom(scene: Scene) -> str:
    if scene.shrinks or scene.tiled:
        return ""
    return f"fix mc all widom 1 3 {scene.type} {scene.seed} 300 full_energy\nrun 2\nunfix mc\n"


def swap(scene: Scene) -> str:
    """LAMMPS swaps types of the same sub-styles only."""
    same = [k + 1 for k, null in enumerate(scene.null) if null == scene.null[0]]
    if len(same) < 2 or scene.charged:
        return ""
    a, b = scene.rng.choice(same, 2, replace=False)
    # With charges LAMMPS wants atoms of both types, or their identity is what changes.
    semi = scene.one_of(*[""] * (not scene.has_charges), " semi-grand yes mu 0.0 0.0")
    kelvin = 10 ** scene.rng.uniform(2, 5)
    fix = f"fix mc all atom/swap 1 4 {scene.seed} {kelvin:.0f} ke no{semi} types {a} {b}\n"
    return f"{fix}run {scene.rng.integers(1, 4)}\nunfix mc\n"


def deposit(scene: Scene) -> str:
    if scene.shrinks:
        return ""
    box = " ".join(f"$({axis}lo+0.1) $({axis}hi-0.1)" for axis in "xyz")
    fix = f"fix in all deposit 3 {scene.type} 1 {scene.seed} region whole near 1.2 attempt 20\n"
    return (
        f"region whole block {box}\n{_moving(scene)}{fix}run 4\nunfix move\nunfix in\n"
        "region whole delete\n"
    )


def evaporate(scene: Scene) -> str:
    whole = "region whole block INF INF INF INF INF INF\n"
    fix = f"fix out all evaporate 2 2 whole {scene.seed}\n"
    return f"{whole}{_moving(scene)}{fix}run 5\nunfix move\nunfix out\nregion whole delete\n"


RUNS = (
    run, run_in_pieces, run_balanced, minimize, npt, deform, gcmc, widom, swap, deposit, evaporate,
)  # fmt: skip


def change_box(scene: Scene) -> str:
    changes = [
        f"{axis} scale {scene.rng.uniform(0.97, 1.05):.4f}"
        for axis, periodic in zip("xyz", scene.box.periodic, strict=True)
        if periodic and scene.rng.random() < 0.6
    ]
    if scene.box.tilted and scene.box.periodic.all():
        changes.append(f"xz delta {scene.rng.uniform(-0.5, 0.5):.4f}")
    remap = scene.one_of("remap", "")
    return f"change_box all {' '.join(changes)} {remap} units box\n" if changes else ""


def displace(scene: Scene) -> str:
    """Atoms may end beyond the box, and further than a neighbour list can know."""
    x, y, z = scene.rng.uniform(0.0, 0.4, 3)
    return f"displace_atoms all random {x:.4f} {y:.4f} {z:.4f} {scene.seed} units box\n"


def shift(scene: Scene) -> str:
    far = [f"{scene.rng.uniform(-9, 9) if p else 0.0:.4f}" for p in scene.box.periodic]
    return f"displace_atoms all move {' '.join(far)} units box\n"


def replicate(scene: Scene) -> str:
    if scene.shrinks or scene.room < 2:
        return ""
    times = [1, 1, 1]
    times[scene.rng.integers(3)] = 2
    scene.room /= 2
    return "replicate {} {} {}\n".format(*times)


def delete_some(scene: Scene) -> str:
    part, compress = scene.rng.choice([0.1, 0.5, 0.9]), scene.one_of("yes", "no")
    return f"delete_atoms random fraction {part} no all NULL {scene.seed} compress {compress}\n"


def delete_half(scene: Scene) -> str:
    lo, hi = scene.box.origin[0], scene.box.origin[0] + scene.box.cell[0, 0]
    half = f"region half block INF {0.5 * (lo + hi):.4f} INF INF INF INF\n"
    return f"{half}delete_atoms region half\nregion half delete\n"


def delete_close(scene: Scene) -> str:
    return "delete_atoms overlap 1.9 all all\n"


def create(scene: Scene) -> str:
    n = scene.rng.integers(1, 6)
    return f"create_atoms {scene.type} random {n} {scene.seed} NULL overlap 1.2 maxtry 50\n"


def retype(scene: Scene) -> str:
    change = f"set group all type/fraction {scene.type} 0.3 {scene.seed}"
    return f'if "$(count(all)) > 0" then "{change}"\n'


def renumber(scene: Scene) -> str:
    return "reset_atoms id\n"


def rebalance(scene: Scene) -> str:
    return f"balance 1.0 {'rcb' if scene.tiled else 'shift xyz 5 1.05'}\n"


BETWEEN_RUNS = (
    change_box, displace, shift, replicate, delete_some, delete_half, delete_close, create, retype,
    renumber, rebalance,
)  # fmt: skip
