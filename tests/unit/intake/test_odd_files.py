"""Whatever a file holds: it is read, or refused with a sentence; and an archive of any kind is its files."""

from __future__ import annotations

import io
import itertools
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gridopt.intake import archive
from gridopt.intake.kinds import KINDS
from gridopt.intake.sheet import Unreadable, numbers, sheet

STAMPS = [f"25.10.2026 0{h}:{m:02}" for h in (1, 2, 2, 3) for m in (0, 30)]
HOURS = [f"2026-10-25T{h:02}:00" for h in range(6)]
DATACONNECT = {"meter_reading": {"usage_point_id": "1", "interval_reading": [
    {"date": f"2026-10-25 0{h}:30:00", "value": "5", "interval_length": "PT30M"} for h in (1, 2, 2, 3)
]}}  # fmt: skip
R63 = {"mesures": [{"idPrm": "1", "grandeur": [{"grandeurMetier": "CONS", "grandeurPhysique": "PA", "unite": "W",
    "points": [{"v": "1", "d": f"{h}:00+02:00", "p": "PT60M", "n": "B"} for h in HOURS]}]}]}  # fmt: skip
R50 = "<R50><PRM><Id_PRM>1</Id_PRM><PDC><H>2026-10-25T01:00:00+02:00</H><V>7</V><IV>0</IV></PDC></PRM></R50>"
WEATHER = {"latitude": 50, "longitude": 3, "utc_offset_seconds": 0,
    "hourly": {"time": HOURS, "temperature_2m": [1, 2, None, 4, 5, 6]}}  # fmt: skip
SAMPLES = {
    "smard": ["Datum von;Datum bis;Frankreich [€/MWh] x\n" + "\n".join(f"{t};{t};1.000,5" for t in STAMPS)],
    "entsoe": ["MTU (CET/CEST),Day-ahead Price [EUR/MWh]\n" + "\n".join(f"{t} - {t},5" for t in STAMPS)],
    "eco2mix": ["Périmètre\tDate\tHeures\tConsommation\n" + "\n".join(f"F\t2026-10-25\t{t[-5:]}\t5" for t in STAMPS)],
    "enedis": [R50, json.dumps(R63), json.dumps(DATACONNECT)],
    "sessions": ["user,start,end,kwh\n" + "\n".join(f"u,{a},{b},5" for a, b in itertools.pairwise(HOURS))],
    "open-meteo": [json.dumps(WEATHER)],
    "table": ["t,w\n" + "\n".join(f"{t},5" for t in HOURS)],
}
PIECES = [b"9", b"-", b"\n", b";", b",", b'"', b"{", b"[", b"null", b"1e400", b"9" * 20, b"\xff\xfe", b"\r", b"\0"]
JUNK: list[object] = [
    None,
    True,
    3,
    -1,
    1e308,
    10**30,
    "",
    "2026-13-45",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    "PT9999999H",
    "\ud800",
]


def mapping(folder: Path) -> Path:
    path = folder / "mapping.toml"
    path.write_text('format = 1\ntime = "t"\nzone = "Europe/Paris"\n[column.w]\nquantity = "power_kw"\n')
    return path


def zipped(*files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for n, content in enumerate(files):
            made.writestr(f"{n}.x", content)
    return out.getvalue()


def read_or_refused(kind: str, content: bytes, folder: Path) -> bool:
    """Whether a file was read; then its series are whole. Anything but Unreadable is raised."""
    try:
        batch = KINDS[kind].opened(mapping(folder) if kind == "table" else None)(content, "x")
    except Unreadable:
        return False
    for s in batch.series:
        assert len(s.time) == len(s.value) == len(s.step_s) == len(s.quality)
        assert np.all(np.diff(s.time) > 0)
        assert np.all(s.step_s >= 0)
        assert not np.isinf(s.value).any()
        s.source.encode()
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_changed_at_random(kind: str, tmp_path: Path) -> None:
    rng, read = random.Random(1), 0
    samples = [s.encode() for s in SAMPLES[kind]]
    assert all(read_or_refused(kind, s, tmp_path) for s in samples)
    samples.append(zipped(*samples))
    for _ in range(500):
        content = bytearray(rng.choice(samples))
        for _ in range(rng.choice((1, 1, 3, 20))):
            at, kind_of_change = rng.randrange(len(content)), rng.randrange(4)
            if kind_of_change == 0:
                content[at] = rng.randrange(256)
            elif kind_of_change == 1:
                content[at : at + 1] = rng.choice(PIECES)
            elif kind_of_change == 2 and len(content) > 40:
                del content[at : at + rng.randrange(1, 30)]
            else:
                content[at:at] = content[max(0, at - rng.randrange(40)) : at]
        read += read_or_refused(kind, bytes(content), tmp_path)
    assert 0 < read < 500


def places(data: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(p for key, item in inside for p in places(item, (*path, key)))]


@pytest.mark.parametrize(("kind", "document"), [("enedis", R63), ("enedis", DATACONNECT), ("open-meteo", WEATHER)])
def test_anything_anywhere_in_json(kind: str, document: object, tmp_path: Path) -> None:
    for path in places(document):
        for junk in JUNK:
            changed = {"": json.loads(json.dumps(document))}
            inner: object = changed
            for key in ("", *path)[:-1]:
                inner = inner[key]  # type: ignore[index]
            inner[("", *path)[-1]] = junk  # type: ignore[index]
            read_or_refused(kind, json.dumps(changed[""]).encode(), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_its_files(kind: str, tmp_path: Path) -> None:
    read = KINDS[kind].opened(mapping(tmp_path) if kind == "table" else None)
    content = SAMPLES[kind][0].encode()
    plain, packed = read(content, "x"), read(zipped(content), "x")
    assert [(s.source, s.quantity, s.time.tolist()) for s in packed.series] == [
        (s.source, s.quantity, s.time.tolist()) for s in plain.series
    ]
    with pytest.raises(Unreadable):
        read(zipped(), "x")


def test_an_archive_that_grows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(b"\0" * 2_000_000)
    assert len(bomb) < 20_000
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000_000)
    with pytest.raises(Unreadable, match="unpacks to more"):
        list(archive.members(bomb))
    nested = b"x"
    for _ in range(archive.MOST_DEPTH + 1):
        nested = zipped(nested)
    with pytest.raises(Unreadable, match="archive in an archive"):
        list(archive.members(nested))


def test_entities_of_xml_are_refused() -> None:
    head = "<!DOCTYPE R50 [" + '<!ENTITY a "9999999999">' + "]>"
    with pytest.raises(Unreadable, match="DOCTYPE"):
        KINDS["enedis"].opened(None)((head + R50).replace("<V>7", "<V>&a;").encode(), "x")


def test_a_number_without_end_is_none() -> None:
    value, wrong = numbers(sheet("a\n1e999\n2\n").columns["a"])
    assert (np.isnan(value[0]), value[1], wrong) == (True, 2, 1)
