"""The damped Coulomb law, for arrays of NumPy and of JAX; imports neither."""

from __future__ import annotations

from typing import Any


def damped(squared: Any, damping: float) -> tuple[Any, Any]:
    """Return g(r) and g'(r) / r, the damped inverse of a distance.

    g(r) = phi(r/c) / sqrt(r^2 + 1) + (1 - phi(r/c)) / r with phi(x) = 1 - 10 x^3 + 15 x^4 - 6 x^5
    below 1, else 0: Unke and Meuwly, J. Chem. Theory Comput. 15, 3678 (2019), eq. (13).

    Args:
        squared: r^2, Å^2, not 0.
        damping: c, Å.
    """
    r = squared**0.5
    far, near = 1.0 / r, 1.0 / (squared + 1.0) ** 0.5
    x = (r / damping).clip(max=1.0)
    rest = x**2 * x * (10.0 - x * (15.0 - 6.0 * x))  # 1 - phi
    slope = -30.0 * (x * (1.0 - x)) ** 2 / damping  # dphi/dr
    inverse = near + rest * (far - near)
    change = slope * (near - far) - (1.0 - rest) * r * near**3 - rest * far**2
    return inverse, change * far
