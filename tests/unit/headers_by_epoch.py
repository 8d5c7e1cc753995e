"""Headers as the control software of each epoch wrote them: spellings, types and what it did not know.

The facts are those of published headers of 2018 to 2021 and of the robot's programs of 2022 to 2024; the targets, times
and values are our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import erfa
import numpy as np

Header = dict[str, object]

#: Start of the exposure of each epoch.
STARTS = {
    "pairs": datetime(2017, 11, 3, 5, 10, 11, tzinfo=UTC),
    "2018": datetime(2018, 10, 5, 8, 20, 31, tzinfo=UTC),
    "local time": datetime(2019, 11, 20, 3, 40, 5, tzinfo=UTC),
    "new robot": datetime(2020, 9, 9, 6, 1, 2, 345678, tzinfo=UTC),
    "Andor": datetime(2023, 8, 14, 7, 30, 59, 120000, tzinfo=UTC),
}
EPOCHS = tuple(STARTS)
EXPTIME_S = 2160.0
#: Of the target at each start: altitude [degree], in the West. Its declination, and the telescope's.
ALTITUDE_DEG, TARGET_DEC_DEG, DEC_DEG = 50.2, 12.169983, 12.134472
#: Airmass at the start, in the middle and at the end of the exposure, sec z; and the parallactic angles [degree].
_LATITUDE, _DEC = np.deg2rad([33.3563, TARGET_DEC_DEG])
_HOUR_ANGLE = np.arccos(
    (np.sin(np.deg2rad(ALTITUDE_DEG)) - np.sin(_LATITUDE) * np.sin(_DEC)) / (np.cos(_LATITUDE) * np.cos(_DEC))
) + np.deg2rad(15.041067 / 3600 * EXPTIME_S * np.array([0.0, 0.5, 1.0]))
AIRMASSES = 1 / (np.sin(_LATITUDE) * np.sin(_DEC) + np.cos(_LATITUDE) * np.cos(_DEC) * np.cos(_HOUR_ANGLE))
ANGLES_DEG = np.rad2deg(
    np.arctan2(np.sin(_HOUR_ANGLE), np.tan(_LATITUDE) * np.cos(_DEC) - np.sin(_DEC) * np.cos(_HOUR_ANGLE))
)


def target_ra_deg(epoch: str) -> float:
    """Right ascension that stands at that hour angle at the start of the exposure."""
    days = STARTS[epoch].timestamp() / 86400 + 2440587.5
    sidereal = np.rad2deg(erfa.gmst06(days, 0.0, days, 69e0 / 86400)) - 116.8648
    return float((sidereal - np.rad2deg(_HOUR_ANGLE[0])) % 360)


def ra_deg(epoch: str) -> float:
    """Where the telescope's encoder points: RA_OFF of -112.3 arcsec from the target."""
    return target_ra_deg(epoch) - 112.3 / 3600 / np.cos(np.deg2rad(DEC_DEG))


def _hours(degrees: float) -> str:
    seconds = round(degrees / 15 * 3600, 4)
    return f"{int(seconds // 3600):02d}:{int(seconds % 3600 // 60):02d}:{seconds % 60:07.4f}"


def science(epoch: str, **changes: object) -> Header:
    """A science exposure of 2160 s; a change to None removes the card."""
    start = STARTS[epoch]
    jd = start.timestamp() / 86400 + 2440587.5
    header: Header = {
        "SIMPLE": True,
        "BITPIX": 16,
        "NAXIS": 2,
        "NAXIS1": 2048,
        "NAXIS2": 2048,
        "BSCALE": 1,
        "BZERO": 32768,
        "EXPTIME": EXPTIME_S,
        "ADCSPEED": 0.1,
        "SER_NO": "05313416",
        "TELESCOP": "60",
        "JD": round(jd, 7),
        "MJD_OBS": jd - 2400000.5,
        "RA": _hours(ra_deg(epoch)),
        "DEC": "+12:08:04.1",
        "TEL_RA": _hours(ra_deg(epoch)),
        "TEL_DEC": "+12:08:04.1",
        "TEL_EL": ALTITUDE_DEG,
        "AIRMASS": round(float(AIRMASSES[0]), 3),
        "TEL_PA": round(float(ANGLES_DEG[0])) * 1.0,
        "RA_OFF": -112.3,
        "DEC_OFF": -127.9,
        "DOMEST": "open",
        "LAMPCUR": 0.0,
        "OBJECT": "ZTF18abcdefg [A]",
        "OBJTYPE": "Science",
        "IMGTYPE": "Science",
        "OBJNAME": '"ztf18abcdefg"',
        "OBJRA": _hours(target_ra_deg(epoch)),
        "OBJDEC": "+12:10:11.9402",
        "ABPAIR": False,
        "NAME": "ZTF18abcdefg",
        "P60PRID": "2018A-test",
        "REQ_ID": 20181004235627645,
        "OBJ_ID": 20181004235627547,
        "GAIN": 1.78,
    }
    header |= {
        "pairs": _year_day(start, written_after_s=6.0) | {"SER_NO": "2803120001", "ABPAIR": "True"},
        "2018": _year_day(start, written_after_s=6.6)
        | {
            "OBJECT": "ZTF18abcdefg  [A]",
            "INSTRUME": " SEDm IFU Cam",
            "CAM_NAME": " IFU Cam",
            "FILTER": "NA",
            "HG_LAMP": '"OFF"',
            "XE_LAMP": '"OFF"',
            "CD_LAMP": '"OFF"',
            "DOME_GAP": "",
        },
        "local time": _year_day(start, hours_behind=8)
        | {
            "OBJNAME": '"simulated"',
            "IMGSET": "A",
            "BARPRESS": 1011.8,
            "HG_LAMP": "",
            "END_SHUT": "2019-11-20 04:16:06.812345",
            "ENDAIR": f"{AIRMASSES[2]:.3f}",
            "END_PA": f"{ANGLES_DEG[2]:.0f}",
            "ENDDOME": "open",
            "WSCR_EL": "0",
        },
        "new robot": _iso(start)
        | {"IMGSET": "A", "BARPRESS": 1015.4, **_end(), "ENDDOME": "open", "HG_LAMP": "UNKNOWN"},
        "Andor": _iso(start)
        | {
            "NAXIS1": 2088,
            "SER_NO": 26265,
            "ADCSPEED": 1.0,
            "GAIN": 0.9,
            "PSCANX0": 1,
            "PSCANX1": 20,
            "OSCANX0": 2069,
            "OSCANX1": 2088,
            "IMGSET": "A",
            "BARPRESS": 1014.2,
            **_end(),
            "ENDDOME": "open",
            "OUT_DEW": "NaN",
            "OUT_AIR": 17.0,
        },
    }[epoch]
    return without_none(header | changes)


def calibration(epoch: str, label: str, image_type: str, exptime_s: float, **changes: object) -> Header:
    """A calibration exposure: the telescope stands still, the dome is closed."""
    fast = 1.0 if epoch == "Andor" else 2.0
    cards: Header = {
        "OBJECT": label,
        "NAME": label,
        "IMGTYPE": image_type,
        "OBJTYPE": "Calibration",
        "EXPTIME": exptime_s,
        "ADCSPEED": fast,
        "DOMEST": "closed",
        "ENDDOME": "closed",
        "TEL_MO": "stopped",
        "IMGSET": "NA",
        "ABPAIR": False,
        "REQ_ID": -999,
        "OBJNAME": "NA",
        "LAMPCUR": 0.91 if image_type == "dome" else 0.0,
    }
    return science(epoch, **(cards | changes))


def path_of(epoch: str, start: datetime | None = None) -> Path:
    """The name that the robot gives: the start, cut to its second."""
    return Path(f"ifu{start or STARTS[epoch]:%Y%m%d_%H_%M_%S}.fits")


def without_answer(epoch: str) -> Header:
    """What is lost when the telescope does not answer: missing in 2018, -999 and NA in 2022."""
    if epoch in ("pairs", "2018", "local time"):
        return dict.fromkeys(("AIRMASS", "FOCPOS", "OBJNAME", "TEL_MO", "SUNRISE", "SUNSET"))
    numbers = ("AIRMASS", "TEL_EL", "JD", "LAMPCUR", "TEL_PA", "ENDAIR", "END_PA")
    return dict.fromkeys(numbers, -999.0) | {"MJD_OBS": -2400999.5, "LAMPSTAT": "NA", "DOMEST": "NA", "ENDDOME": "NA"}


def without_none(header: Mapping[str, object]) -> Header:
    """The header without the cards that a change to None takes out."""
    return {card: value for card, value in header.items() if value is not None}


def _end() -> Header:
    return {"ENDAIR": round(float(AIRMASSES[2]), 3), "END_PA": round(float(ANGLES_DEG[2])) * 1.0}


def _year_day(start: datetime, *, written_after_s: float = 0.5, hours_behind: float = 0.0) -> Header:
    written = start + timedelta(seconds=written_after_s) - timedelta(hours=hours_behind)
    return {
        "UTC": f"{start:%Y:%j:%H:%M:%S.0}",
        "OBSDATE": f"{written:%Y-%m-%d}",
        "OBSTIME": f"{written:%H:%M:%S.%f}",
    }


def _iso(start: datetime) -> Header:
    return {"UTC": start.isoformat()[:26].removesuffix("+00:00"), "OBSDATE": f"{start:%Y-%m-%d}"} | {
        "OBSTIME": f"{start:%H:%M:%S.%f}"
    }
