"""What the kit has found, as Markdown for docs/explanation/gpu.md."""

from __future__ import annotations


def markdown(found: dict) -> str:
    """Return the tables."""
    lines = [f"On {found['device']}.", "", "| model | | ranks | energy | virial | forces | |"]
    lines += ["| --- " * 7 + "|"]
    for one in found["checks"]:
        d = one["differences"]
        verdict = "good" if one["good"] else "**WRONG**"
        parts = (f"{d[name]:.1e}" for name in ("energy", "virial", "forces"))
        cells = one["model"], one["dtype"], one["ranks"], *parts, verdict
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "Parts of the largest number, against float64 on the CPU.", ""]
    head = (
        "atoms | graphs | us per atom and step | of it host | first step, s | GPU, MiB | host, MiB"
    )
    head = [*head.split(" | "), "stages, us"]
    lines += ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for one in found["timings"]:
        stages = ", ".join(f"{name} {us:.2f}" for name, us in one["stages"].items())
        graphs = "on" if one["graphs"] == "1" else ""
        memory = one["device_mib"] or "", one["host_mib"]
        times = f"{one['us']:.2f}", f"{one['host']:.0%}", f"{one['first']:.1f}"
        cells = f"{one['atoms']:,}", graphs, *times, *memory, stages
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for one in found["timings"][-1:]:
        lines += [
            "",
            f"Bytes per atom, ghost and step to and from the device: {one['transferred']}.",
        ]
    for one in found.get("peers", []):
        lines.append(f"* {one['peer']}, {one['atoms']:,} atoms: {one.get('us', one.get('error'))}")
    if found["left out"]:
        lines += ["", f"Left out, for time: {'; '.join(found['left out'])}."]
    return "\n".join(lines) + "\n"
