"""Any table by a mapping: units, labels, local time, drop-outs; and the defects that the shared files are known for."""

from __future__ import annotations

import os
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gridopt.errors import MappingError
from gridopt.intake.batch import QUALITIES, US, Batch
from gridopt.intake.sheet import Unreadable
from gridopt.intake.table import Mapping, read

DATA = Path(os.environ.get("GRIDOPT_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
shared = pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data in {DATA}")
PLAIN = """
    format = 1
    time = "t"
    [column.w]
    quantity = "power_kw"
    unit = "W"
    """


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * US  # type: ignore[arg-type, misc]


def mapping(folder: Path, text: str) -> Mapping:
    path = folder / "mapping.toml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return Mapping(path)


def batch(folder: Path, text: str, content: str) -> Batch:
    return read(content.encode(), "meter-7.csv", mapping(folder, text))


def codes(found: Batch) -> dict[str, int]:
    return {f.code: f.count for f in found.findings}


def test_watts_become_kilowatts_of_a_meter_called_by_its_file(tmp_path: Path) -> None:
    found = batch(tmp_path, PLAIN, "t,w\n2026-01-15T00:00Z,1500\n2026-01-15T00:30Z,\n2026-01-15T01:00Z,-20\n")
    (s,) = found.series
    assert (s.source, s.quantity) == ("meter-7", "power_kw")
    assert s.value[[0, 2]].tolist() == [1.5, -0.02]
    assert [QUALITIES[q] for q in s.quality] == ["good", "missing", "good"]
    assert s.step_s.tolist() == [1800] * 3
    assert codes(found) == {"missing": 1}


def test_a_label_at_the_end_names_the_interval_before(tmp_path: Path) -> None:
    """The usual French load curve: midnight belongs to the day before, and 02:30 stands twice in autumn."""
    text = PLAIN.replace(
        'time = "t"', 'time = ["d", "h"]\nform = "%d/%m/%Y %H:%M"\nzone = "Europe/Paris"\nlabel = "end"'
    )
    stamps = ["24/10/2026;23:30", "25/10/2026;00:00"]
    stamps += [f"25/10/2026;{h:02}:{m:02}" for h, m in ((0, 30), (1, 0), (1, 30), (2, 0), (2, 30))]
    stamps += [f"25/10/2026;{h:02}:{m:02}" for h, m in ((2, 0), (2, 30), (3, 0))]
    found = batch(tmp_path, text, "d;h;w\n" + "".join(f"{s};{k}\n" for k, s in enumerate(stamps)))
    (s,) = found.series
    assert s.time[0] == at(2026, 10, 24, 21)
    assert np.all(np.diff(s.time) == 1800 * US)
    assert codes(found) == {"repeated-hour": 4}


def test_the_step_may_change_inside_a_file(tmp_path: Path) -> None:
    times = ["00:00", "00:30", "01:00", "01:30", "01:45", "02:00", "02:15"]
    found = batch(tmp_path, PLAIN, "t,w\n" + "".join(f"2026-01-15T{t}Z,1\n" for t in times))
    assert found.series[0].step_s.tolist() == [1800, 1800, 1800, 900, 900, 900, 900]
    assert codes(found) == {"step-changes": 1}


def test_a_hole_is_no_long_interval(tmp_path: Path) -> None:
    times = ["00:00", "00:30", "01:00", "05:00", "05:30"]
    found = batch(tmp_path, PLAIN, "t,w\n" + "".join(f"2026-01-15T{t}Z,1\n" for t in times))
    assert found.series[0].step_s.tolist() == [1800] * 5
    assert codes(found) == {"gap": 7}


def test_drop_outs_and_nonsense_are_no_values(tmp_path: Path) -> None:
    text = PLAIN + "low = 0\nhigh = 12\nnever_zero = true\n"
    found = batch(tmp_path, textwrap.dedent(text), "t,w\n" + "".join(
        f"2026-01-15T{h:02}:00Z,{v}\n" for h, v in enumerate(("500", "0", "-3", "99999", "x"))
    ))  # fmt: skip
    assert codes(found) == {"no-number": 1, "missing": 1, "false-zero": 1, "out-of-range": 2}
    assert [QUALITIES[q] for q in found.series[0].quality] == [
        "good",
        "missing",
        "out-of-range",
        "out-of-range",
        "missing",
    ]


def test_french_numbers(tmp_path: Path) -> None:
    text = PLAIN.replace('time = "t"', 'time = "t"\ndecimal_comma = true')
    found = batch(tmp_path, text, "t;w\n2026-01-15T00:00Z;1 500,5\n")
    assert found.series[0].value.tolist() == [1.5005]


def test_a_long_table_such_as_a_home_writes(tmp_path: Path) -> None:
    """States of an instant, each when it changed; what cannot be reached is no value."""
    text = """
        format = 1
        time = "last_changed"
        by = "entity_id"
        value = "state"
        instant = true
        [column."sensor.power"]
        quantity = "power_kw"
        unit = "W"
        source = "house"
        [column."sensor.room"]
        quantity = "temperature_c"
        [column."sensor.gone"]
        quantity = "power_kw"
        """
    rows = [
        "sensor.power,2500,2026-01-15T12:00:03.120Z",
        "sensor.room,19.5,2026-01-15T12:00:04.000Z",
        "sensor.power,unavailable,2026-01-15T12:07:00.000Z",
        "light.kitchen,on,2026-01-15T12:08:00.000Z",
    ]
    found = batch(tmp_path, text, "entity_id,state,last_changed\n" + "\n".join(rows) + "\n")
    power, room = found.series
    assert (power.source, power.value[0], room.value.tolist()) == ("house", 2.5, [19.5])
    assert np.isnan(power.value[1])
    assert power.time[0] == at(2026, 1, 15, 12, 0, 3) + 120_000
    assert codes(found) == {"missing": 1, "no-rows": 1}


def test_a_column_without_any_number_is_refused_with_its_mend(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no cell of w holds a number, such as '120,00'; write decimal_comma = true"):
        batch(tmp_path, PLAIN, "t;w\n2026-01-15T00:00Z;120,00\n2026-01-15T01:00Z;99,50\n")


def test_rows_without_a_time_are_refused_and_counted(tmp_path: Path) -> None:
    found = batch(tmp_path, PLAIN, "t,w\n2026-01-15T00:00Z,1\nyesterday,2\n2026-02-31T00:00Z,3\n2026-01-15T01:00,4\n")
    assert len(found.series[0].time) == 1
    assert codes(found) == {"no-time": 3}
    with pytest.raises(Unreadable, match="say how it is written with form"):
        batch(tmp_path, PLAIN, "t,w\n15/01/2026,1\n")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="it has no column w; its columns are t, v"):
        batch(tmp_path, PLAIN, "t,v\n2026-01-15T00:00Z,1\n")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"power_kw"', '"power"', '5: column w: quantity "power" does not end with a unit'),
        ('unit = "W"', 'unit = "VA"', '6: column w: unit "VA" is none that kW is made of; write mW, W, kW, MW'),
        ('time = "t"', 'time = "t"\nzone = "Europe/Lile"', '4: mapping: zone "Europe/Lile" is not a known time zone'),
        ('time = "t"', 'tiem = "t"', "mapping:"),
        (
            "[column.w]",
            '[column.v]\nquantity = "power_kw"\n[column.w]',
            "6: column w: v is power_kw of the file's name already; say another source",
        ),
        ("format = 1", "format = true", "2: format true is not known"),
        ("format = 1", "format = 3", "2: format 3 is not known"),
        ('[column.w]\n    quantity = "power_kw"\n    unit = "W"', "", "the mapping names no column"),
    ],
)
def test_a_mistake_of_the_mapping_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(MappingError) as e:
        mapping(tmp_path, PLAIN.replace(old, new))
    assert any(told in f"{m.line}: {m.message}" for m in e.value.mistakes)


# --- the shared files, with the defects that they are known for ------------------------------------------------------


@shared
def test_the_french_house(tmp_path: Path) -> None:
    """296 missing loads in 23 runs; 12 false zeros around restarts, which the mapping calls by name."""
    text = """
        format = 1
        time = "timestamp_utc"
        [column.load_w]
        quantity = "power_kw"
        unit = "W"
        source = "house"
        never_zero = true
        """
    found = read((DATA / "household_fr_load_pv_30min_2024-03_2024-09.csv").read_bytes(), "x", mapping(tmp_path, text))
    (s,) = found.series
    by_code = {f.code: f for f in found.findings}
    assert codes(found) == {"missing": 296, "false-zero": 12}
    assert by_code["missing"].deed == "flagged"
    gone = np.isnan(s.value) & (s.quality == QUALITIES.index("missing"))
    assert int(gone.sum()) == 296 + 12


@shared
def test_the_national_mix(tmp_path: Path) -> None:
    """One time stands twice, with other values, and one is not there: the two changes of clocks of 2022."""
    text = """
        format = 1
        time = "timestamp_utc"
        step_min = 60
        [column.consumption_mw]
        quantity = "power_kw"
        unit = "MW"
        [column.co2_production_g_per_kwh_derived]
        quantity = "co2_g_per_kwh"
        """
    found = read((DATA / "co2_mix_fr_rte_hourly_2022.csv").read_bytes(), "x", mapping(tmp_path, text))
    firsts = {f.code: (f.count, f.first) for f in found.findings}
    twice = firsts.get("twice") or firsts["twice-differing"]
    assert twice == (1, "2022-03-27 01:00 UTC")
    assert firsts["gap"] == (1, "2022-10-30 00:00 UTC")
    assert len(found.findings) == 2


@shared
def test_the_loads_of_enterprises(tmp_path: Path) -> None:
    """The hour that clocks repeat was lost at the source; the year ends on 30 December."""
    text = """
        format = 1
        time = "timestamp_utc"
        [column.office_cluster_kw]
        quantity = "power_kw"
        """
    found = read((DATA / "load_fr_elmas_hourly_2018.csv").read_bytes(), "x", mapping(tmp_path, text))
    assert {f.code: (f.count, f.first) for f in found.findings} == {"gap": (1, "2018-10-28 00:00 UTC")}


@shared
def test_the_house_at_odd_times(tmp_path: Path) -> None:
    """A sample of a quarter of the rows, in naive local time: three stand in the hour that did not exist."""
    text = """
        format = 1
        time = "timestamp_local_as_published"
        zone = "Europe/Brussels"
        instant = true
        [column.living_c]
        quantity = "temperature_c"
        """
    found = read((DATA / "house_be_indoor_temps_irregular_2016.csv").read_bytes(), "x", mapping(tmp_path, text))
    assert codes(found) == {"jumped-time": 3}
    assert set(found.series[0].step_s.tolist()) == {0}


@shared
def test_the_danish_house(tmp_path: Path) -> None:
    """Supply temperatures are quotients: blank where hardly any water runs, and at times beyond what water can be."""
    text = """
        format = 1
        time = "timestamp_utc"
        [column.heat_kwh]
        quantity = "heat_kwh"
        low = 0
        [column.supply_temp_c]
        quantity = "temperature_c"
        low = 5
        high = 110
        """
    raw = (DATA / "heat_house_dk_hourly_2018.csv").read_text().splitlines()
    cells = [line.split(",")[3] for line in raw[1:]]
    blank = sum(not c for c in cells)
    wild = sum(bool(c) and not 5 <= float(c) <= 110 for c in cells)
    found = read("\n".join(raw).encode(), "x", mapping(tmp_path, text))
    counted = codes(found)
    assert counted.get("out-of-range", 0) == wild > 0
    assert counted["missing"] == blank > 0


@shared
def test_clean_files_are_called_clean(tmp_path: Path) -> None:
    """None invented: the files that are whole give no finding."""
    for name, column, quantity, unit in (
        ("prices_dayahead_15min_2025-12a.csv", None, "price_eur_per_kwh", "EUR/MWh"),
        ("weather_aachen_15min_2023-01_2023-09.csv", "temp_air_c", "temperature_c", "°C"),
    ):
        raw = (DATA / name).read_text()
        column = column or next(c for c in raw.splitlines()[0].split(",") if "fr" in c.lower())
        text = f'format = 1\ntime = "timestamp_utc"\n[column.{column}]\nquantity = "{quantity}"\nunit = "{unit}"\n'
        found = read(raw.encode(), "x", mapping(tmp_path, text))
        assert found.findings == []
