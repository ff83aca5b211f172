"""How warm a zone may be heated: 22 °C at any hour, and 16 °C where nobody booked it all day.

Left to prices alone a plan stores cheap energy in rooms that wait for their first booking, and the noon's sun in empty
ones: little more energy, less money. The house rule forbids both. A zone that is warmer by itself, in summer, may be.
"""

MARGIN_K = 0.05


def rule_zones_are_not_heated_above_their_ceiling(m):
    for name in m.asset:
        zone = m.asset[name]
        if zone.family != "booked-rooms":
            continue
        empty = not any(zone.booked[t] > 0 for t in m.T)
        highest_c = zone.temperature_start_c
        for t in m.T:
            keep = zone.keep[t]
            steady_c = zone.outdoor_c[t] + zone.resistance_now_k_per_kw[t] * zone.gain_kw[t]
            by_itself_c = keep * highest_c + (1 - keep) * steady_c
            highest_c = max(by_itself_c, zone.setback_c[t] if empty else zone.max_c)
            yield f"{name} at {m.time(t):%H:%M}", zone.temperature_c[t] <= highest_c + MARGIN_K
