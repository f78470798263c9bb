"""Kinds of senders for backends that know none: as channels that the others leave zero."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp

from lammps_mace.kernels.edges import BLOCK, EdgeOperands, EdgeProgram, Radial, Spline


def kinds_as_channels(
    program: EdgeProgram, edges: EdgeOperands
) -> tuple[EdgeProgram, EdgeOperands]:
    """Return an operation with the same results that has one kind of senders."""
    if program.kinds == 1:
        return program, edges
    kinds, channels = program.kinds, program.channels
    one_kind = replace(program, kinds=1, channels=kinds * channels)
    own = jnp.eye(kinds, dtype=edges.sent.dtype)[:, None, :, None]
    sent = (own * edges.sent[:, :, None]).reshape(kinds, -1, kinds * channels)
    radial = _repeated(edges.radial, kinds, channels)
    return one_kind, replace(edges, sent=sent, radial=radial)


def _repeated(radial: Radial, times: int, channels: int) -> Radial:
    """Return weights for so many times the channels; functions are repeated as they are read."""
    if not isinstance(radial, Spline):
        return radial
    _, rows, paths, _ = radial.table.shape
    flat = radial.table.transpose(1, 2, 0, 3).reshape(rows, paths, -1)[:, :, :channels]
    wide = jnp.tile(flat, (1, 1, times))
    wide = jnp.pad(wide, ((0, 0), (0, 0), (0, -wide.shape[2] % BLOCK)))
    return radial._replace(table=wide.reshape(rows, paths, -1, BLOCK).transpose(2, 0, 1, 3))
