"""A small building with simulated devices: a battery, a heat pump and a charge point, for three hours."""

from __future__ import annotations

import socket
from pathlib import Path

SCENARIO = """\
format = 1
title = "A small building"

[horizon]
start = "2026-01-15T06:00"
hours = 3
step_min = 15

[node.grid]
import_max_kw = 30

[node.house]
parent = "grid"

[schedule.tariff]
default = 0.20
rules = [{ from = "07:00", to = "08:00", value = 0.45 }]

[commitment.supply]
kind = "energy"
node = "grid"
buy_eur_per_kwh = "tariff"
sell_eur_per_kwh = 0.05

[asset.lamps]
family = "load"
node = "house"
power_kw = 3.0

[asset.battery]
family = "battery"
node = "house"
capacity_kwh = 10.0
power_kw = 4.0
soc_start = 0.4

[asset.room]
family = "heat-pump-building"
node = "house"
resistance_k_per_kw = 2.0
capacity_kwh_per_k = 10
power_kw = 6
power_min_kw = 1
outdoor_c = 2
temperature_start_c = 19.5

[asset.car]
family = "ev-session"
node = "house"
arrive = "06:20"
depart = "08:30"
energy_kwh = 5.0
power_kw = 7.4
device = "point-1"
"""

DEVICES = """\
format = 1
[line.house]
tcp = "127.0.0.1:{house}"
[line.yard]
rtu_over_tcp = "127.0.0.1:{yard}"
[device.meter]
adapter = "gridopt-sim-meter"
line = "house"
unit_id = 1
node = "grid"
[device.battery]
adapter = "gridopt-sim-battery"
line = "house"
unit_id = 2
reads = {{ soc_kwh = "soc" }}
write.power = {{ low = -4, high = 4, step = 0.000001, time_s = 300 }}
[device.room]
adapter = "gridopt-sim-heat-pump"
line = "house"
unit_id = 3
reads = {{ temperature_c = "room_temperature_c" }}
write.power = {{ high = 6, step = 0.000001, time_s = 300 }}
[device.point-1]
adapter = "gridopt-sim-charger"
line = "yard"
write.current = {{ high = 32, time_s = 300 }}
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def write(folder: Path, name: str = "small") -> dict[str, int]:
    """The scenario and its devices in a folder of that name; the ports of its lines."""
    ports = {"house": free_port(), "yard": free_port()}
    (folder / name).mkdir()
    (folder / name / "scenario.toml").write_text(SCENARIO)
    (folder / name / "devices.toml").write_text(DEVICES.format(**ports))
    return ports
