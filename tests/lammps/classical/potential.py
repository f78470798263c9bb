"""Classical potentials in NumPy with the interface of the plugin's PluginPotential."""

import json
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np

# Written when a fault happens: the time.
MARK = Path("fault.time")


def _end(error):
    raise error


def _no_memory():
    """Leave no address space: what the plugin or Python asks for next fails."""
    resource.setrlimit(resource.RLIMIT_AS, (1, resource.RLIM_INFINITY))
    bytearray(2**40)


# How a process ends, or is told to end, in the middle of a step.
ENDS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: _end(SystemExit(0)),
    "MemoryError": lambda: _end(MemoryError("deliberate")),
    "device memory": lambda: _end(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")),
    "no memory": _no_memory,
}


class PluginPotential:
    """Lennard-Jones, or a two-hop potential that needs ghost features; read from a JSON file.

    Keys: cutoff, epsilon, sigma, elements, hops (1 or 2), dtype, pad (extra exchanged columns),
    fault ({"kind", "rank", "step"}), report, tell (print the numbers of own and other rows).
    """

    n_members = 1  # in a file

    def __init__(self, path, comm, units, member=0):
        from mpi4py import MPI

        with open(path) as file:
            self.parameters = {
                "epsilon": 0.0104,
                "sigma": 3.4,
                "elements": ["Ar", "Ne"],
                "hops": 1,
                "dtype": "float64",
                "pad": 0,
                "fault": {},
                **json.load(file),
            }
        from lammps_mace.coupling.units import energy_per_ev

        self.identity = "0" * 64, os.path.abspath(path)
        self.comm = MPI.Comm.f2py(comm)
        self.energy_per_ev = energy_per_ev(units)
        self.cutoff_angstrom = self.parameters["cutoff"]
        self.dtype = np.dtype(self.parameters["dtype"])
        self.width = 1 + self.parameters["pad"]
        hops = self.parameters["hops"]
        self.exchange_row_bytes = (self.width * self.dtype.itemsize,) * (hops - 1)
        self.steps = 0
        self.fault("create")

    def set_elements(self, names):
        self.fault("elements")
        known = self.parameters["elements"]
        for name in names:
            if name is not None and name not in known:
                raise ValueError(
                    f"element {name} is not in the model, which knows {', '.join(known)}"
                )
        return [-1 if name is None else known.index(name) for name in names]

    def device_map(self):
        return ""

    def report(self, stuck):
        self.fault("report")
        return self.parameters.get("report", "")

    def fault(self, kind):
        """Fail as the file asks, on one rank, at one call of compute."""
        fault = self.parameters["fault"]
        here = fault.get("rank", self.comm.rank) == self.comm.rank
        if fault.get("kind") == kind and here and self.steps >= fault.get("step", 0):
            MARK.write_text(str(time.time()))
            raise RuntimeError(f"deliberate fault in {kind}")

    def kind_now(self):
        """Return the kind of fault of this rank and step, "" if none, and note the time."""
        fault = self.parameters["fault"]
        here = fault.get("rank", 0) == self.comm.rank and self.steps >= fault.get("step", 0)
        if not fault or not here:
            return ""
        MARK.write_text(str(time.time()))
        return fault["kind"]

    def compute(self, step):
        self.steps += 1
        self.fault("compute")
        kind = self.kind_now()
        if kind in ENDS:
            ENDS[kind]()
        if kind == "sleep":
            time.sleep(1000)
        energy = (self.two_hops if self.exchange_row_bytes else self.one_hop)(step)
        if kind == "nan":
            step.pair_gradient[len(step.senders) // 2] = np.nan
        if kind == "nan energy":
            step.node_energies[:] = np.inf
        if kind == "forget":
            step.pair_gradient[:] = np.nan
        return energy

    def phi(self, vectors):
        """Return each pair's energy, zero at the cutoff, and its derivative over the distance."""
        r2 = (vectors**2).sum(1)
        sigma2 = self.parameters["sigma"] ** 2
        cut6 = (sigma2 / self.cutoff_angstrom**2) ** 3
        s6 = (sigma2 / r2) ** 3
        four = 4 * self.parameters["epsilon"]
        return four * (s6**2 - s6 - cut6**2 + cut6), four * (6 * s6 - 12 * s6**2) / r2

    def one_hop(self, step):
        energy, slope = self.phi(step.vectors)
        centres = np.repeat(np.arange(step.n_local), np.diff(step.offsets))
        step.node_energies[:] = np.bincount(centres, energy / 2, step.n_local)
        step.pair_gradient[:] = 0.5 * slope[:, None] * step.vectors
        return step.node_energies.sum()

    def forward(self, step, rows):
        """Exchange, or ask for it as a faulty potential would."""
        kind = self.kind_now()
        row_index = np.arange(step.n_total, dtype=np.int32)
        if kind == "apart":  # copies that do not follow each other
            row_index = row_index[::-1].copy()
        if kind == "beyond":
            row_index += 1
        step.forward_exchange(rows[:, :-1] if kind == "width" else rows, row_index)

    def two_hops(self, step):
        """E_i = sum_j phi_ij s_j with s_j = sum_k phi_jk: s of a ghost comes from its owner."""
        assert len(np.unique(step.tags)) == step.n_total, "an atom has two rows"
        if self.parameters.get("tell"):
            print(f"rows {step.n_local} {step.n_total - step.n_local}", flush=True)
        energy, slope = self.phi(step.vectors)
        centres = np.repeat(np.arange(step.n_local), np.diff(step.offsets))
        rows = np.zeros((step.n_total, self.width), self.dtype)
        rows[: step.n_local] = np.bincount(centres, energy, step.n_local)[:, None]
        self.fault("before exchange")
        if not step.one_domain:
            self.forward(step, rows)
        self.fault("between exchanges")
        s = rows[:, -1].astype(float)
        step.node_energies[:] = np.bincount(centres, energy * s[step.senders], step.n_local)
        adjoint = np.zeros((step.n_total, self.width), self.dtype)
        adjoint[:] = np.bincount(step.senders, energy, step.n_total)[:, None]
        if not step.one_domain and self.kind_now() != "skip":
            step.reverse_exchange(adjoint)
        weight = s[step.senders] + adjoint[centres, -1]
        step.pair_gradient[:] = (weight * slope)[:, None] * step.vectors
        return step.node_energies.sum()
