"""mace-torch: write the model of a case, or time it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from timing import read_case, time_calculator


def build(folder: Path) -> None:
    """Write case.model with random weights."""
    case, _ = read_case(folder)
    if case["published"] is not None:
        return build_published(folder, case["published"], case["changes"])
    from e3nn import o3
    from mace import modules

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    blocks = modules.interaction_classes
    model = modules.ScaleShiftMACE(
        r_max=case["cutoff"], num_bessel=8, num_polynomial_cutoff=5, max_ell=case["l_max"],
        interaction_cls=blocks["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=blocks["RealAgnosticInteractionBlock"],
        num_interactions=2, num_elements=len(case["elements"]),
        hidden_irreps=o3.Irreps(case["hidden"]), MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.full(len(case["elements"]), -1.0), avg_num_neighbors=28.0,
        atomic_numbers=case["elements"], correlation=3, gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64], radial_type="bessel",
        atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip
    return torch.save(model, folder / "case.model")


def build_published(folder: Path, name: str, changes: dict[str, object]) -> None:
    """Write case.model, of the shape of a published model."""
    sys.path.append(str(Path(__file__).parents[2] / "tests" / "support"))
    from torch_oracle.architectures import published
    from torch_oracle.make_models import write

    write(dataclasses.replace(published(name), **changes), folder / name)
    (folder / name / "model.model").replace(folder / "case.model")


def main() -> None:
    """`build FOLDER` or `FOLDER SECONDS [cuda]`."""
    torch.set_num_threads(1)
    if sys.argv[1] == "build":
        return build(Path(sys.argv[2]))
    from mace.calculators import MACECalculator

    folder = Path(sys.argv[1])
    _, atoms = read_case(folder)
    atoms.calc = MACECalculator(
        model_paths=str(folder / "case.model"), default_dtype="float32",
        device=sys.argv[3] if len(sys.argv) > 3 else "cpu",
    )  # fmt: skip
    return time_calculator(atoms, float(sys.argv[2]))


if __name__ == "__main__":
    main()
