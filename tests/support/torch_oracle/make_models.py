"""Write random checkpoints of mace-torch and what torch computes with them.

    python -m torch_oracle.make_models FOLDER NAME ...

where NAME is a seed (12), a range of seeds (0:40), the name of a published model (mp-0-medium) or
that with a width (mp-0-medium:16), a small one, or "suite", what the tests need. For each,
FOLDER/NAME has model.model and reference.npz. It runs where torch and mace-torch are, in one
process: they take ten seconds to start.
"""

import copy
import dataclasses
import inspect
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # e3nn's own constants
warnings.filterwarnings("ignore")
import torch  # noqa: E402
from e3nn import o3  # noqa: E402
from mace import modules  # noqa: E402
from mace.data.neighborhood import get_neighborhood  # noqa: E402
from torch_oracle.architectures import (  # noqa: E402
    PUBLISHED,
    SMALL,
    SUITE,
    Architecture,
    by_chance,
    published,
)

CHARGES, SPINS = range(-3, 4), range(1, 6)
_LARGEST_FORCE = 3.0  # eV/Å, of the network
# Buffers that must stay as they are.
_KEPT = ("atomic_numbers", "num_interactions", "r_max", "output_mask", "U_matrix", "_w3j", "heads")


def build(a: Architecture) -> torch.nn.Module:
    """Return a model with random weights and constants, so that no default goes untested.

    Options that an older mace-torch does not know are left out.
    """
    torch.manual_seed(a.seed)
    torch.set_default_dtype(getattr(torch, a.dtype))
    known = inspect.signature(modules.MACE).parameters
    arguments = {
        name: value for name, value in _arguments(a).items()
        if name in known or name.startswith("atomic_inter_")
    }  # fmt: skip
    model = getattr(modules, a.model)(**arguments)
    if a.lora_rank:
        from mace.modules.lora import inject_lora

        inject_lora(model, rank=a.lora_rank, alpha=1.0)
    _randomize(model)
    return model


def _arguments(a: Architecture) -> dict:
    dice = np.random.default_rng(a.seed)
    n, heads = len(a.elements), len(a.heads)
    energies = -np.round(dice.uniform(1, 10, (heads, n)), 3)
    scale_and_shift = {}
    if a.model == "ScaleShiftMACE":
        scale, shift = dice.uniform(0.6, 1.6, heads), dice.uniform(-0.5, 0.5, heads)
        for key, values in (("atomic_inter_scale", scale), ("atomic_inter_shift", shift)):
            scale_and_shift[key] = values[0] if heads == 1 else values.tolist()
    return {
        "r_max": a.r_max,
        "num_bessel": a.n_radial,
        "num_polynomial_cutoff": a.cutoff_p,
        "max_ell": a.max_ell,
        "interaction_cls": modules.interaction_classes[f"{a.rest}InteractionBlock"],
        "interaction_cls_first": modules.interaction_classes[f"{a.first}InteractionBlock"],
        "num_interactions": a.layers,
        "num_elements": n,
        "hidden_irreps": _irreps(a.channels, a.hidden_l, a.odd_scalars),
        "MLP_irreps": o3.Irreps(f"{a.mlp_channels}x0e"),
        "atomic_energies": energies[0] if heads == 1 else energies,
        "avg_num_neighbors": float(dice.uniform(5, 30)),
        "atomic_numbers": list(a.elements),
        "correlation": a.correlation[0] if len(set(a.correlation)) == 1 else list(a.correlation),
        "gate": modules.gate_dict[a.gate],
        **_options(a),
        **scale_and_shift,
    }


def _options(a: Architecture) -> dict:
    """Return the arguments that a model may leave out; an old mace-torch knows some of them."""
    options = {
        "heads": list(a.heads),
        "radial_MLP": list(a.radial_mlp),
        "radial_type": a.radial,
        "apply_cutoff": a.cutoff_inside,
        "use_reduced_cg": a.reduced_cg,
        "use_agnostic_product": a.agnostic_product,
        "use_last_readout_only": a.last_readout_only,
        "keep_last_layer_irreps": a.keep_last_irreps,
        "distance_transform": a.transform,
        "pair_repulsion": a.zbl,
        "edge_irreps": _irreps(a.edge_channels, a.edge_l) if a.edge_channels else None,
        "use_edge_irreps_first": a.edge_irreps_first,
        "readout_cls": getattr(modules, f"{a.readout}ReadoutBlock", None),
    }
    if a.embedding:
        options["embedding_specs"] = {
            name: {"type": "categorical", "per": "graph", "in_dim": 1, "emb_dim": 5,
                   "num_classes": len(values), "offset": -min(values)}
            for name, values in (("total_charge", CHARGES), ("total_spin", SPINS))
        }  # fmt: skip
        options["use_embedding_readout"] = a.embedding_readout
    return options


def _irreps(channels: int, l_max: int, both: bool = False) -> o3.Irreps:
    parts = [f"{channels}x{degree}{'oe'[degree % 2 == 0]}" for degree in range(l_max + 1)]
    if both:
        parts += [f"{channels}x{degree}{'eo'[degree % 2 == 0]}" for degree in range(l_max + 1)]
    return o3.Irreps("+".join(parts)).sort()[0].simplify()


def _randomize(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            factor = 1 + 0.1 * torch.randn_like(parameter)
            if name.endswith("alpha"):
                parameter.copy_(parameter * (1 + 0.2 * torch.rand_like(parameter)))
            elif name.endswith("beta"):
                parameter.copy_(0.5 + torch.rand_like(parameter))
            else:
                parameter.copy_(parameter * factor + 0.1 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            leaf = name.rpartition(".")[2]
            if buffer.is_floating_point() and not leaf.startswith(_KEPT):
                buffer.copy_(buffer * (1 + 0.05 * torch.rand_like(buffer)))


def structure(a: Architecture, n: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return atomic numbers, positions and a skewed cell, Å; some distances are short."""
    dice = np.random.default_rng(1000 + a.seed)
    cell = np.array([[4.1, 0.0, 0.0], [0.5, 4.4, 0.0], [-0.4, 0.7, 4.9]]) * 1.1
    positions: list[np.ndarray] = []
    while len(positions) < n:
        new = dice.random(3) @ cell
        steps = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T @ cell
        if all(np.linalg.norm(new - old + steps, axis=1).min() > 1.1 for old in positions):
            positions.append(new)
    return dice.choice(a.elements, n), np.array(positions), cell


def evaluate(
    model: torch.nn.Module, a: Architecture, head: int, charge: int, spin: int, atoms: tuple
) -> dict[str, np.ndarray]:
    """Return energy (eV), forces (eV/Å), energies of the atoms and stress (eV/Å^3), in float64."""
    numbers, positions, cell = atoms
    edges, shifts, unit_shifts = get_neighborhood(positions, a.r_max, (True,) * 3, cell.copy())[:3]
    where = np.searchsorted(a.elements, numbers)
    one_hot = np.eye(len(a.elements))[where]
    data = {
        "positions": positions, "node_attrs": one_hot, "edge_index": edges.astype(int),
        "shifts": shifts, "unit_shifts": unit_shifts.astype(float), "cell": cell,
        "batch": np.zeros(len(numbers), int), "ptr": np.array([0, len(numbers)]),
        "head": np.array([head]),
        "total_charge": np.array([float(charge)]), "total_spin": np.array([float(spin)]),
    }  # fmt: skip
    extra: list[torch.Tensor] = []
    hook = None
    if hasattr(model, "embedding_readout"):  # not in mace's node_energy
        hook = model.embedding_readout.register_forward_hook(lambda *x: extra.append(x[2].detach()))
    out = model({k: torch.tensor(v) for k, v in data.items()}, compute_stress=True)
    if hook:
        hook.remove()
    energies = out["node_energy"].detach().numpy()
    if extra:
        readout = extra[0].numpy().reshape(len(numbers), -1)
        energies = energies + readout[:, head if readout.shape[1] > 1 else 0]
    found = {
        "energy": out["energy"].detach().numpy()[0],
        "forces": out["forces"].detach().numpy(),
        "energies": energies,
        "stress": out["stress"].detach().numpy()[0],
    }
    assert abs(energies.sum() - found["energy"]) < 1e-8 * max(1, np.abs(energies).sum())
    return found


def _tame(model: torch.nn.Module, a: Architecture) -> None:
    """Scale the readouts so that the largest force is as large as in real models."""
    double = _double(model)
    atoms = structure(a)
    largest = np.abs(evaluate(double, a, 0, 0, 1, atoms)["forces"]).max()
    with torch.no_grad():
        for readout in model.readouts:
            last = [m for m in readout.modules() if isinstance(m, o3.Linear)][-1]
            for parameter in last.parameters():
                parameter.mul_(_LARGEST_FORCE / largest)


def _double(model: torch.nn.Module) -> torch.nn.Module:
    torch.set_default_dtype(torch.float64)
    return copy.deepcopy(model).double()


def write(a: Architecture, folder: Path) -> None:
    """Write the files of one model."""
    folder.mkdir(parents=True, exist_ok=True)
    model = build(a)
    _tame(model, a)
    torch.save(model, folder / "model.model")
    double = _double(model)
    atoms = structure(a)
    cases = [(head, 0, 1) for head in range(len(a.heads))]
    if a.embedding:
        cases += [(0, 2, 3), (0, -3, 2)]
    results = [evaluate(double, a, *case, atoms) for case in cases]
    np.savez(
        folder / "reference.npz",
        numbers=atoms[0], positions=atoms[1], cell=atoms[2],
        head=[c[0] for c in cases], total_charge=[c[1] for c in cases],
        total_spin=[c[2] for c in cases],
        **{key: np.stack([one[key] for one in results]) for key in results[0]},
    )  # fmt: skip
    (folder / "architecture.json").write_text(json.dumps(dataclasses.asdict(a), indent=1))


def _chosen(words: list[str]) -> list[Architecture]:
    found = []
    for word in words:
        name, _, width = word.partition(":")
        if word == "suite":
            found += SUITE
        elif name in SMALL:
            found.append(SMALL[name])
        elif name in PUBLISHED:
            one = published(name, int(width) if width else None)
            found.append(dataclasses.replace(one, name=word.replace(":", "_")))
        elif width:
            found += [by_chance(seed) for seed in range(int(name), int(width))]
        else:
            found.append(by_chance(int(name)))
    return found


def main(folder: str, words: list[str]) -> None:
    """Write every model that the words name."""
    for a in _chosen(words):
        write(a, Path(folder) / a.name)
        print(a.name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
