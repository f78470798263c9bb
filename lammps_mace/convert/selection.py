"""Which readout head and which total charge a simulation uses."""

from __future__ import annotations

from lammps_mace.errors import ConvertError
from lammps_mace.models.mlip.config import MaceConfig
from lammps_mace.models.mlip.dataset import DatasetInfo
from lammps_mace.models.mlip.settings import head_count


def choose_head(config: MaceConfig, info: DatasetInfo, wanted: str | None) -> tuple[int, str]:
    """Return the index of a head given by data set name or index, and a note.

    Raises:
        ConvertError: no such head; the message lists them.
    """
    names = info.dataset_name if isinstance(info.dataset_name, tuple) else (info.dataset_name,)
    count = head_count(config, info)
    heads = [
        f"{i} ({names[i]})" if i < len(names) and names[i] is not None else str(i)
        for i in range(count)
    ]
    listed = ", ".join(heads)
    if wanted is None:
        note = f"head {heads[0]} was chosen; --head selects another of {listed}"
        return 0, note if count > 1 else ""
    if wanted in names[:count]:
        return names.index(wanted), ""
    if wanted.isdecimal() and int(wanted) < count:
        return int(wanted), ""
    raise ConvertError(f"--head {wanted!r}: there is no such head; the model has {listed}")


def choose_charge(
    config: MaceConfig, info: DatasetInfo, wanted: int | None
) -> tuple[int | None, str]:
    """Return the total charge (e) of the simulated system, None without charges, and a note.

    Raises:
        ConvertError: the model was not trained for it; the message lists the charges.
    """
    known = info.total_charges
    listed = ", ".join(f"{charge:+d}" if charge else "0" for charge in known) or "none"
    if wanted is not None and known and wanted not in known:
        raise ConvertError(
            f"--total-charge {wanted}: the model was trained for total charges {listed}"
        )
    if not (config.use_total_charge_embedding or config.predict_partial_charges):
        if wanted is not None:
            raise ConvertError(
                f"--total-charge {wanted}: this model has no charges; leave the option out"
            )
        return None, ""
    if wanted is not None:
        if not known and config.use_total_charge_embedding:
            raise ConvertError(
                f"--total-charge {wanted}: the model embeds the total charge, but its data set "
                "lists none that it was trained for"
            )
        return wanted, ""
    if known and 0 not in known and len(known) > 1:
        raise ConvertError(
            f"the model was trained for total charges {listed}; choose one with --total-charge"
        )
    charge = known[0] if len(known) == 1 else 0
    return charge, f"total charge {charge}; the model was trained for {listed} (--total-charge)"
