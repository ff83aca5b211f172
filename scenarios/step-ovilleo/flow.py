"""What the treatment asks of the lift pumps: sewage does not stand for long, and the flow changes slowly."""

LONGEST_REST_H = 2
CHANGE_KW_PER_H = 600  # within a quarter of an hour by half of what two pumps lift: 5000 m³/h


def rule_pumps_rest_two_hours_at_most(m):
    inlet, steps = m.asset["inlet"], round(LONGEST_REST_H / m.step_h) + 1
    for t in m.T[steps - 1 :]:
        yield sum(inlet.pump_kw[k] for k in range(t - steps + 1, t + 1)) >= inlet.power_min_kw


def rule_flow_changes_slowly(m):
    pump, most_kw = m.asset["inlet"].pump_kw, CHANGE_KW_PER_H * m.step_h
    for t in m.T[1:]:
        yield pump[t] - pump[t - 1] <= most_kw
        yield pump[t - 1] - pump[t] <= most_kw
