"""make gpu: checks and timings of this machine's GPU; gpu.json and gpu.md.

python benchmarks/gpu/kit.py [--output DIR] [--sizes 216,1000,...] [--peers ENVIRONMENT] [--cpu]

Needs the installed package and this folder. First the numbers of several models against float64 on
the CPU, on 1, 2 and 4 ranks that share the card; then times. Under 8 minutes on one card; what does
not fit into --minutes is left out, and the table says so. --cpu tries the kit without a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from checks import MODELS, check, truth_of
from report import markdown
from timings import CELLS, Timing, time_peers, time_size, write_reference


def main() -> int:
    """Run the kit; 1 if a number is wrong."""
    options = _options()
    folder = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    device = {"JAX_PLATFORMS": "cpu", "LAMMPS_MACE_DEVICE_PATH": "1"} if options.cpu else {}
    end = time.monotonic() + 60 * options.minutes
    found: dict = {"device": _device(options.cpu), "checks": [], "timings": [], "left out": []}

    def save() -> None:
        (folder / "gpu.json").write_text(json.dumps(found, indent=1))
        (folder / "gpu.md").write_text(markdown(found))

    for model in MODELS:
        truth = truth_of(model, folder) if time.monotonic() < end else {}
        for ranks in (1, 2, 4):
            if time.monotonic() > end:
                found["left out"].append(f"{model.name} on {ranks} ranks")
                continue
            result = check(model, truth, ranks, folder, device)
            print(result, flush=True)
            found["checks"].append(asdict(result))
            save()
    reference = write_reference(folder)
    for atoms in options.sizes:
        for graphs in ("0", "1") if atoms <= 13_824 and not options.cpu else ("0",):
            if time.monotonic() > end:
                found["left out"].append(f"{atoms:,} atoms")
                continue
            timing: Timing = time_size(
                reference, atoms, device | {"LAMMPS_MACE_GPU_GRAPHS": graphs}
            )
            print(timing, flush=True)
            found["timings"].append(asdict(timing))
            save()
    if options.peers and time.monotonic() < end:
        found["peers"] = time_peers(options.peers, folder, [n for n in options.sizes if n < 20_000])
    save()
    print((folder / "gpu.md").read_text())
    return 1 if any(not one["good"] for one in found["checks"]) else 0


def _device(cpu: bool) -> str:
    import jax

    if cpu:
        jax.config.update("jax_platforms", "cpu")
    device = jax.local_devices()[0]
    if device.platform == "cpu" and not cpu:
        raise SystemExit(
            "kit.py: JAX finds no GPU: pip install 'lammps-mace[cuda13]', or --cpu to try it"
        )
    return f"{device.device_kind}, JAX {jax.__version__}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("gpu-results"))
    sizes = ",".join(str(8 * n**3) for n in CELLS)
    parser.add_argument("--sizes", default=sizes, help="numbers of atoms, 8 n^3 each")
    parser.add_argument("--minutes", type=float, default=7.0, help="after which nothing is begun")
    parser.add_argument("--peers", type=Path, help="environment of symmetrix-xl and mace-torch")
    parser.add_argument("--cpu", action="store_true", help="the device path on a CPU")
    options = parser.parse_args()
    options.sizes = [int(size) for size in options.sizes.split(",")]
    return options


if __name__ == "__main__":
    sys.exit(main())
