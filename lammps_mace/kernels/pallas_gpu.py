"""What the kernels for GPUs share: Pallas through Triton; on a CPU they are interpreted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas
from jax.experimental.pallas import triton

program_id = pallas.program_id
_MOST_LANES, _WARP = 128, 32


class Lanes(NamedTuple):
    """How channels are shared out: a power of two to a program, in so many blocks.

    Attributes:
        channels: of all blocks.
        size: of a block.
    """

    channels: int
    size: int

    @staticmethod
    def of(channels: int) -> Lanes:
        """Return the blocks of so many channels."""
        return Lanes(channels, min(_MOST_LANES, max(_WARP, 1 << (channels - 1).bit_length())))

    @property
    def blocks(self) -> int:
        """Number of blocks, the second axis of a grid."""
        return -(-self.channels // self.size)

    @property
    def warps(self) -> int:
        """Warps with one channel per thread."""
        return self.size // _WARP

    def here(self) -> tuple[jax.Array, jax.Array]:
        """Return a program's channels, and which of them there are; [size] each."""
        lane = program_id(1) * self.size + jnp.arange(self.size, dtype=jnp.int32)
        return lane, lane < self.channels


def call(
    kernel: Callable[[bool], Callable[..., None]],
    shapes: Sequence[Any],
    grid: tuple[int, ...],
    warps: int,
    operands: Sequence[jax.Array],
    updated: Sequence[jax.Array] = (),
) -> tuple[jax.Array, ...]:
    """Run a kernel for every point of a grid.

    Args:
        kernel: gives it, for the interpreter or for Triton.
        shapes: of the results.
        updated: arrays that the first results overwrite.
    """

    def run(interpret: bool, *arguments: jax.Array) -> Any:
        return pallas.pallas_call(
            kernel(interpret), list(shapes), grid=grid, interpret=interpret,
            input_output_aliases={len(operands) + i: i for i in range(len(updated))},
            compiler_params=triton.CompilerParams(num_warps=warps),
        )(*arguments)  # fmt: skip

    return tuple(
        jax.lax.platform_dependent(
            *operands, *updated, cpu=partial(run, True), default=partial(run, False)
        )
    )


def load(ref: Any, there: jax.Array | None, *index: Any, other: float = 0.0) -> jax.Array:
    """Return elements of an array in memory, and ``other`` where nothing is there."""
    other_or_none = None if there is None else other
    return triton.load(ref.at[_integers(index)], mask=there, other=other_or_none)


def store(ref: Any, there: jax.Array | None, value: jax.Array, *index: Any) -> None:
    """Write elements of an array in memory."""
    triton.store(ref.at[_integers(index)], value, mask=there)


def add(ref: Any, there: jax.Array, interpret: bool, value: jax.Array, *index: Any) -> None:
    """Add to elements of an array in memory that other programs add to as well."""
    # The interpreter cannot mask, but drops what lies outside.
    triton.atomic_add(ref, _integers(index), value, mask=None if interpret else there)


def _integers(index: tuple[Any, ...]) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(i, jnp.int32) for i in index)
