"""Radial weights and densities of mace-torch, as descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lammps_mace.models.description import (
    BesselInputs,
    Density,
    RadialFunctions,
    RadialInputs,
    RadialNetwork,
    RadialWeights,
    SpeciesDependence,
)
from lammps_mace.models.torch.basis import basis_and_cutoff
from lammps_mace.models.torch.config import Basis, LayerConfig, TorchMaceConfig, Transform

Arrays = Mapping[str, Any]


def radial_weights(
    config: TorchMaceConfig, layer: LayerConfig, radial: Arrays, params: Arrays
) -> RadialWeights:
    """Return the radial weights of a layer.

    Args:
        radial: arrays of the basis.
        params: of the layer.
    """
    net = params["conv_tp_weights"]
    if not layer.interaction.is_non_linear:
        *hidden, last = _matrices(net)
        parameters = {"radial": radial, "hidden": hidden}
        found = _described(config, layer, _plain_functions(config), parameters, last, "weights")
        network = RadialNetwork(_inputs(config, radial), tuple(hidden)) if hidden else None
        return replace(found, network=network)
    parameters = {"radial": radial, **_normed_parameters(config, params, net)}
    end = len(layer.radial_widths)
    matrix = np.concatenate([net[f"matrix_{end}"], net[f"bias_{end}"][None]])
    return _described(config, layer, _normed_functions(config), parameters, matrix, "weights")


def density(
    config: TorchMaceConfig, layer: LayerConfig, radial: Arrays, params: Arrays
) -> float | Density:
    """Return the divisor of the sums of a layer; arguments as of :func:`radial_weights`."""
    if not layer.interaction.has_density:
        return layer.avg_num_neighbors
    net = params["density_fn"]
    parameters: dict[str, Any] = {"radial": radial}
    if layer.interaction.is_non_linear:
        last = len(layer.density_widths)
        parameters |= _normed_parameters(config, params, net)
        parameters["last"] = net[f"matrix_{last}"], net[f"bias_{last}"]
    else:
        parameters["hidden"] = _matrices(net)
    functions = _density_functions(config, layer)
    weights = _described(config, layer, functions, parameters, np.ones((1, 1)), "density")
    if layer.interaction.is_non_linear:
        return Density(weights, float(params["alpha"]), float(params["beta"]))
    return Density(weights, 1.0, 1.0)


def _described(
    config: TorchMaceConfig,
    layer: LayerConfig,
    functions: RadialFunctions,
    parameters: Any,
    matrix: np.ndarray,
    what: str,
) -> RadialWeights:
    of_pairs = layer.interaction.is_non_linear or config.radial.transform is not Transform.NONE
    settings = config.radial.model_dump(mode="json")
    return RadialWeights(
        functions, parameters, matrix,
        identity=f"mace-torch {what} {settings!r} {layer.interaction.is_non_linear}",
        dependence=SpeciesDependence.PAIR if of_pairs else SpeciesDependence.SHARED,
        symmetric=of_pairs and not layer.interaction.is_non_linear,
        # Without biases, a basis of zeros gives weights of zero.
        zero_at_cutoff=config.radial.cutoff_outside or not layer.interaction.is_non_linear,
    )  # fmt: skip


def _matrices(net: Arrays) -> list[np.ndarray]:
    return [net[f"matrix_{i}"] for i in range(len(net))]


def _plain_functions(config: TorchMaceConfig) -> RadialFunctions:
    """Return all layers but the last of a network without biases."""

    def functions(
        parameters: Any, distances: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> jax.Array:
        x, cutoff = basis_and_cutoff(
            config.radial, parameters["radial"], distances, senders, receivers
        )
        for matrix in parameters["hidden"]:
            x = jax.nn.silu(x @ matrix)
        return x * cutoff

    return functions


def _inputs(config: TorchMaceConfig, radial: Arrays) -> RadialInputs | BesselInputs:
    """Return the basis that the network reads, and the cutoff that multiplies what it gives."""
    settings, power = config.radial, float(radial["p"])
    plain = settings.transform is Transform.NONE and not settings.cutoff_outside
    if settings.basis is Basis.BESSEL and plain and power.is_integer() and power > 1:
        factor = float(radial["prefactor"])
        return BesselInputs(radial["roots"], float(radial["cutoff"]), int(power), factor)

    def inputs(
        parameters: Any, distances: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> tuple[jax.Array, jax.Array | None]:
        x, cutoff = basis_and_cutoff(
            config.radial, parameters["radial"], distances, senders, receivers
        )
        return x, cutoff if config.radial.cutoff_outside else None

    return inputs


def _density_functions(config: TorchMaceConfig, layer: LayerConfig) -> RadialFunctions:
    def functions(
        parameters: Any, distances: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> jax.Array:
        x, cutoff = basis_and_cutoff(
            config.radial, parameters["radial"], distances, senders, receivers
        )
        if layer.interaction.is_non_linear:
            matrix, bias = parameters["last"]
            x = _hidden(parameters, x, senders, receivers) @ matrix + bias
        else:
            *hidden, last = parameters["hidden"]
            for matrix in hidden:
                x = jax.nn.silu(x @ matrix)
            x = x @ last
        return jnp.tanh(x**2) * cutoff

    return functions


def _normed_parameters(config: TorchMaceConfig, params: Arrays, net: Arrays) -> dict[str, Any]:
    """Return a network with biases and layer norms; what it reads of the species is in tables."""
    count, channels = config.radial.count, config.channels
    first = net["matrix_0"]
    norms = [net[name] for name in (f"norm_{i}" for i in range(len(net))) if name in net]
    return {
        "first": first[:count],
        "sender": params["source_embedding"] @ first[count : count + channels] + net["bias_0"],
        "receiver": params["target_embedding"] @ first[count + channels :],
        "inner": [(net[f"matrix_{i}"], net[f"bias_{i}"]) for i in range(1, len(norms))],
        "norms": [(norm["weight"], norm["bias"], norm["eps"]) for norm in norms],
    }


def _normed_functions(config: TorchMaceConfig) -> RadialFunctions:
    def functions(
        parameters: Any, distances: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> jax.Array:
        x, cutoff = basis_and_cutoff(
            config.radial, parameters["radial"], distances, senders, receivers
        )
        x = _hidden(parameters, x, senders, receivers)
        # The last column multiplies the biases of the last map.
        return jnp.concatenate([x * cutoff, cutoff], axis=1)

    return functions


def _hidden(
    parameters: Any, basis: jax.Array, senders: jax.Array, receivers: jax.Array
) -> jax.Array:
    x = basis @ parameters["first"]
    x = x + parameters["sender"][senders] + parameters["receiver"][receivers]
    first, *others = parameters["norms"]
    x = jax.nn.silu(_normed(x, *first))
    for (matrix, bias), norm in zip(parameters["inner"], others, strict=True):
        x = jax.nn.silu(_normed(x @ matrix + bias, *norm))
    return x


def _normed(x: jax.Array, weight: jax.Array, bias: jax.Array, eps: jax.Array) -> jax.Array:
    """Return x with mean 0 and variance 1 over its last axis, scaled and shifted."""
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = (centered**2).mean(axis=-1, keepdims=True)
    return centered / jnp.sqrt(variance + eps) * weight + bias
