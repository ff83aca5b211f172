"""What the weather does to devices: the laws of a heat pump's COP and of a cooling machine's EER."""

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


RATED_HOT_C = 35.0
"""Outdoor temperature at which cooling machines are rated (EN 14511: A35)."""
EER_LOWEST, EER_HIGHEST = 1.0, 8.0


def eer_series(eer: Floats, outdoor_c: Floats, nominal: Floats, slope_per_k: Floats) -> Floats:
    """Energy efficiency ratio (cold per electricity) of every device and step: the given one, else the weather's.

    eer[t] = clip(nominal - slope * (outdoor[t] - 35), 1, 8)                                                 (2)

    ``eer``, ``outdoor_c``: (n, T); ``nominal``, ``slope_per_k``: (n,) EER at 35 °C and its fall per kelvin.
    """
    law = nominal[:, None] - slope_per_k[:, None] * (outdoor_c - RATED_HOT_C)
    return np.where(np.isnan(eer), np.clip(law, EER_LOWEST, EER_HIGHEST), eer)
