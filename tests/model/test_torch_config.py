"""The configuration of mace-torch's networks: strict, and what follows from it."""

import numpy as np
import pytest
from pydantic import ValidationError

from lammps_mace.models.torch.config import TorchMaceConfig
from lammps_mace.models.torch.paths import clebsch_gordan
from lammps_mace.models.torch.shapes import layer_paths, parameter_shapes

LAYER = {
    "interaction": "RealAgnostic", "sent": "0e", "sent_channels": 4, "messages": "0e+1o",
    "target": "0e", "radial_widths": [8], "avg_num_neighbors": 9.0, "contraction": [[1, 2]],
}  # fmt: skip
CONFIG = {
    "atomic_numbers": [1, 8], "cutoff_angstrom": 4.0, "channels": 4, "max_degree": 1,
    "radial": {"basis": "bessel", "count": 5, "transform": "none", "cutoff_outside": False},
    "scale_shift": True, "heads": ["Default"], "layers": [LAYER],
    "readouts": [{"layer": 0, "kind": "linear"}],
}  # fmt: skip
GATED = {
    "interaction": "RealAgnosticResidualNonLinear", "density_widths": [4], "messages": "0e+0o",
}  # fmt: skip
REFUSED = {
    "orders": (
        {"radial": {**CONFIG["radial"], "orders": [1]}}, "orders: 1 do not fit 5 bessel",
    ),
    "unknown key": ({"channel": 4}, "did you mean 'channels'"),
    "element twice": ({"atomic_numbers": [1, 1]}, "an element occurs twice"),
    "head twice": ({"heads": ["a", "a"]}, "a name occurs twice"),
    "quantity twice": (
        {"embeddings": 2 * [{"quantity": "total_spin", "classes": 2, "offset": 0, "width": 1}]},
        "a quantity occurs twice",
    ),
    "no embeddings": ({"embedding_readout": True}, "there are no embeddings"),
    "no layer": ({"readouts": [{"layer": 1, "kind": "linear"}]}, "there is no layer 1"),
    "width": (
        {"readouts": [{"layer": 0, "kind": "linear", "width": 3}]}, "width=3 does not belong",
    ),
    "no scalars": (
        {"layers": [{**LAYER, "target": "1o"}]}, "target '1o' has no 0e, from which",
    ),
    "no scalar messages": ({"layers": [{**LAYER, "messages": "1o"}]}, "messages '1o' have no 0e"),
    "multiplicity": ({"layers": [{**LAYER, "sent": "2x0e"}]}, "is not a list of different irreps"),
    "no text": ({"layers": [{**LAYER, "sent": 3}]}, "irreps are text such as"),
    "powers": ({"layers": [{**LAYER, "contraction": [[1], [1]]}]}, "the same number of powers"),
    "five powers": ({"layers": [{**LAYER, "contraction": [[1] * 5]}]}, "5 powers; 1 to 4"),
    "high target": (
        {"layers": [{**LAYER, "target": "0e+5o", "contraction": [[1], [1]]}]}, "target has 5o",
    ),
    "odd gate": ({"layers": [{**LAYER, **GATED}]}, "knows no 0o"),
    "no hidden layer": (
        {"layers": [{**LAYER, **GATED, "messages": "0e+1o", "density_widths": []}]},
        "have hidden layers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    change, message = REFUSED[name]
    with pytest.raises(ValidationError, match=message):
        TorchMaceConfig(**{**CONFIG, **change})


def test_written_and_read():
    config = TorchMaceConfig(**CONFIG)
    assert TorchMaceConfig(**config.model_dump(mode="json")) == config
    assert config.elements == ("H", "O")


def test_paths_and_shapes():
    config = TorchMaceConfig(**CONFIG)
    assert (
        layer_paths(config, config.layers[0]) == [((0, 1), 1, (1, -1)), ((0, 1), 0, (0, 1))][::-1]
    )
    shapes = parameter_shapes(config)
    assert shapes["layers_0#conv_tp_weights#matrix_1"] == (8, 8)
    assert shapes["layers_0#contraction#0e#U2"] == (1, 4, 4, 2)
    assert shapes["layers_0#skip_tp#1o"] == (2, 4, 4)


@pytest.mark.parametrize("degrees", [(1, 1, 1), (1, 2, 2), (2, 3, 4), (3, 4, 4)])
def test_signs_of_odd_products(degrees):
    ascending = clebsch_gordan(*degrees)
    assert ascending[np.abs(ascending) > 1e-9][0] > 0
    exchanged = clebsch_gordan(degrees[1], degrees[0], degrees[2])
    np.testing.assert_allclose(exchanged, -ascending.swapaxes(0, 1), atol=1e-14)
    turned = clebsch_gordan(degrees[2], degrees[0], degrees[1])
    np.testing.assert_allclose(turned, ascending.transpose(2, 0, 1), atol=1e-14)
