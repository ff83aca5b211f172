"""What the weather does to devices: the law of a heat pump's coefficient of performance (COP)."""

from __future__ import annotations

import numpy as np

from gridopt.assets.base import Floats

RATED_OUTDOOR_C = 7.0
"""Outdoor temperature at which air-source heat pumps are rated (EN 14511: A7)."""
COP_LOWEST, COP_HIGHEST = 1.5, 6.0


def cop_series(cop: Floats, outdoor_c: Floats, nominal: Floats, slope_per_k: Floats) -> Floats:
    """COP of every device and step: the given one, else the law of the outdoor temperature where it is NaN.

    cop[t] = clip(nominal + slope * (outdoor[t] - 7), 1.5, 6)                                                (1)

    ``cop``, ``outdoor_c``: (n, T); ``nominal``, ``slope_per_k``: (n,) COP at 7 °C and its change per kelvin.
    """
    law = nominal[:, None] + slope_per_k[:, None] * (outdoor_c - RATED_OUTDOOR_C)
    return np.where(np.isnan(cop), np.clip(law, COP_LOWEST, COP_HIGHEST), cop)
