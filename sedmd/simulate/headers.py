"""The header of a raw frame, as the camera and the robot of the profile's epoch wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from astropy.io import fits

from sedmd.simulate import almanac
from sedmd.simulate.cards import FAULTS, OLD_NAMES, STYLES, Style
from sedmd.simulate.plan import PlannedExposure
from sedmd.simulate.profiles import InstrumentProfile

Cards = dict[str, object]

#: FITS lets 143 cards and END fill four records, which every whole header of the instrument does.
MAXIMUM_CARDS = 143
#: Arcsec of refraction at zenith distance 45 degrees at Palomar (Allen 1973: 58.2 at sea level, here at 830 mbar).
REFRACTION = 47.0


def build_header(
    profile: InstrumentProfile, exposure: PlannedExposure, *, sunset: float = 0.0, sunrise: float = 0.0
) -> fits.Header:
    """Header of a raw frame without the cards that FITS itself demands.

    Parameters
    ----------
    profile : InstrumentProfile
        Its ``header`` section tells the epoch.
    exposure : PlannedExposure
        The frame; its `fault` spoils cards, its `cards` override the usual ones (None takes a card out).
    sunset, sunrise : float
        Julian dates, for the cards of that name; 0 leaves a plausible default.
    """
    values = _values(profile, exposure, sunset, sunrise)
    keys, spoiled = _spoiled(STYLES[profile.header.style], exposure, values)
    return _as_header(keys, spoiled | exposure.cards)


def _values(profile: InstrumentProfile, exposure: PlannedExposure, sunset: float, sunrise: float) -> Cards:
    """Every card that camera and robot know, under its new name and its old one."""
    rng = np.random.default_rng(int(exposure.start * 86400.0))
    values = {
        **_detector(profile, exposure),
        **_clocks(profile, exposure, rng),
        **_telescope(profile, exposure, rng),
        **_labels(profile, exposure, rng),
        **_weather(profile, exposure, rng),
        **_sun(exposure, sunset, sunrise),
        **_end(profile, exposure, rng),
    }
    for new, old in OLD_NAMES.items():
        values[old] = values[new]
    return values


def _spoiled(style: Style, exposure: PlannedExposure, values: Cards) -> tuple[tuple[str, ...], Cards]:
    """The cards of a header in their order, and the values, with what the exposure's fault makes of both."""
    keys = (*style.camera, *style.robot)
    if not exposure.fault:
        return keys, values
    fault = FAULTS[exposure.fault][1]
    keys = style.camera if fault.short else tuple(key for key in keys if key not in fault.missing)
    return keys, values | {key: value for key, value in fault.values if key in keys}


def _as_header(keys: Sequence[str], values: Cards) -> fits.Header:
    """The cards in this order; one whose value is None is not written."""
    header = fits.Header()
    for key in keys:
        if values[key] is not None:
            header[key] = values[key]
    return header


def to_hdu(data: np.ndarray, header: fits.Header) -> fits.PrimaryHDU:
    """Primary HDU of the raw frame: unsigned 16-bit with BZERO 32768."""
    hdu = fits.PrimaryHDU(data.astype(np.uint16), header=header)
    if len(hdu.header) > MAXIMUM_CARDS:
        raise ValueError(f"a raw header holds at most {MAXIMUM_CARDS} cards, this one has {len(hdu.header)}")
    return hdu


def encoder_of(exposure: PlannedExposure) -> tuple[float, float]:
    """Where the telescope's encoder points [degrees]: the target and the offset to the spectrograph."""
    east, north = exposure.offset
    dec = exposure.dec + north / 3600.0
    return (exposure.ra + east / 3600.0 / max(np.cos(np.deg2rad(exposure.dec)), 0.01)) % 360.0, dec


def _newer(profile: InstrumentProfile) -> bool:
    """Whether the robot of 2020 and later wrote the header."""
    return profile.header.style in ("2021", "2024")


def _detector(profile: InstrumentProfile, exposure: PlannedExposure) -> Cards:
    frame = profile.frame
    andor = profile.header.style == "2024"
    return {
        "EXPTIME": float(exposure.exptime),
        "ADCSPEED": float(exposure.speed),
        "TEMP": -75 if andor else -50.0,
        "GAIN_SET": 2,
        "ADC": "High Sensitivity" if andor else 1,
        "MODEL": 22,
        "INTERFC": "USB",
        "SNSR_NM": "CCD 42-40 BEX2-DD" if andor else "E2V 2048 x 2048 (CCD 42-40)(B)",
        "SER_NO": profile.header.serial,
        "TELESCOP": "60",
        "GAIN": profile.detector.gain,
        "VSSPEED": 77,
        "PAGAIN": "High",
        "SHUTMODE": "Auto",
        "PSCANX0": 1,
        "PSCANX1": frame.prescan,
        "OSCANX0": frame.width - frame.overscan + 1,
        "OSCANX1": frame.width,
        "CAM_NAME": {"2017": " IFU Cam", "2018": " IFU Cam"}.get(profile.header.style, "IFU Cam"),
        "INSTRUME": {"2017": " SEDm IFU Cam", "2018": " SEDm IFU Cam", "2019": "Palomar-60"}.get(
            profile.header.style, "SEDM-P60"
        ),
        # these five are nonsense for the spectrograph, in every epoch
        "CRPIX1": 1075,
        "CRPIX2": 974,
        "CDELT1": -2.5767e-06,
        "CDELT2": -2.5767e-06,
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
    }


def pacific_time(when: datetime) -> datetime:
    """Local civil time at Palomar: 7 h behind UT from the second Sunday of March to the first of November, else 8 h."""

    def sunday(month: int, number: int, hour: int) -> datetime:
        first = when.replace(month=month, day=1, hour=hour, minute=0, second=0, microsecond=0)
        return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1))

    # at 2 h in the morning, which is 10 h UT in March and 9 h UT in November
    summer = sunday(3, 2, 10) <= when < sunday(11, 1, 9)
    return when - timedelta(hours=7 if summer else 8)


def _clocks(profile: InstrumentProfile, exposure: PlannedExposure, rng: np.random.Generator) -> Cards:
    style, start = profile.header.style, exposure.when
    seconds = exposure.exptime
    # the telescope's clock, polled some seconds before or after the shutter opens
    low, high = {"2017": (1.0, 7.0), "2018": (1.0, 7.0), "2019": (-2.0, 10.0)}.get(style, (-2.7, 1.8))
    jd = exposure.start + float(rng.uniform(low, high)) / 86400.0
    written = _written_at(style, start, rng)
    end, elapsed = _ended_at(style, start, seconds, rng)
    return {
        "LST": almanac.sexagesimal(almanac.sidereal_time(jd), hours=True, digits=1),
        "JD": round(jd, 7),
        "MJD_OBS": jd - 2400000.5,
        "APPEQX": round(2000.0 + (jd - 2451545.0) / 365.25, 2),
        "UTC": start.isoformat() if _newer(profile) else f"{start:%Y:%j:%H:%M:%S}.{start.microsecond // 100000}",
        "OBSDATE": written.strftime("%Y-%m-%d"),
        "OBSTIME": written.strftime("%H:%M:%S.%f"),
        "END_SHUT": end.isoformat(sep=" " if style == "2019" else "T"),
        "END_READ": (end + timedelta(seconds=0.4)).isoformat(),
        "ELAPTIME": elapsed,
    }


def _written_at(style: str, start: datetime, rng: np.random.Generator) -> datetime:
    """What OBSDATE and OBSTIME tell: in some years seconds late, in one the local time."""
    if style in ("2017", "2018"):
        return start + timedelta(seconds=float(rng.uniform(6.0, 7.2)))
    if style == "2019" and "20190301" <= start.strftime("%Y%m%d") <= "20200110":
        return pacific_time(start) + timedelta(seconds=0.7)
    return start


def _ended_at(style: str, start: datetime, seconds: float, rng: np.random.Generator) -> tuple[datetime, float]:
    """When the shutter is said to have closed, and the time that is said to have gone by [s]."""
    if style == "2019":
        return start + timedelta(seconds=seconds + float(rng.uniform(0.5, 2.0))), seconds + 0.319
    read = 5.0 if style == "2024" else 21.0 if start >= start.replace(2020, 11, 1) else 28.0
    end = start + timedelta(seconds=seconds + read + float(rng.uniform(0.0, 6.0)))
    return end, seconds + round(float(rng.uniform(114.0, 358.0)), 3)


def _whole_degrees(angle: float) -> float:
    return float(round(angle) % 360)


def _lamp_states(style: str, exposure: PlannedExposure) -> dict[str, str]:
    """State of each lamp: it is asked for once in a series, and the camera's computer does not know it."""
    burning = exposure.light if exposure.light in ("Hg", "Xe", "Cd") else ""
    if style == "2024" and burning:
        # at the end of an exposure the states of Cd and then of Hg go into the card of Xe
        return {"HG": "UNKNOWN", "CD": "UNKNOWN", "XE": "on" if burning == "Hg" else "off"}
    if style in ("2017", "2018"):
        return {lamp: '"ON"' if burning.upper() == lamp else '"OFF"' for lamp in ("HG", "XE", "CD")}
    if style == "2019":
        return dict.fromkeys(("HG", "XE", "CD"), "")
    return {"HG": "UNKNOWN", "CD": "UNKNOWN", "XE": "on" if burning == "Xe" else "off"}


def _telescope(profile: InstrumentProfile, exposure: PlannedExposure, rng: np.random.Generator) -> Cards:
    h = profile.header
    ra, dec = encoder_of(exposure)
    begin = almanac.place(ra, dec, exposure.start)
    sky = exposure.light in ("sky", "twilight") or exposure.kind in ("science", "standard", "focus")
    q, z = np.deg2rad(begin.parallactic), np.deg2rad(min(90.0 - begin.altitude, 80.0))
    side = "w" if begin.hour_angle >= 0.0 else "e"
    hour = almanac.sexagesimal(abs(begin.hour_angle), hours=True)
    states = _lamp_states(h.style, exposure)
    focus = {"2017": (3.4, 0.1), "2018": (3.65, 0.15), "2019": (0.39999, 2.51999), "2021": (0.00046, -0.0)}
    upper = h.style == "2017"

    def word(text: str) -> str:
        return text.upper() if upper else text

    return {
        "EQUINOX": 2000.0 if _newer(profile) else 2000,
        "TEL_HA": f"{side}{hour}",
        "RA": almanac.sexagesimal(ra, hours=True),
        "TEL_RA": almanac.sexagesimal(ra, hours=True),
        "DEC": almanac.sexagesimal(dec, digits=1, sign=True),
        "TEL_DEC": almanac.sexagesimal(dec, digits=1, sign=True),
        "CRVAL1": ra - 0.03333,
        "CRVAL2": dec - 0.03333,
        "TEL_AZ": round(begin.azimuth, 2),
        "TEL_EL": round(begin.altitude, 2),
        "AIRMASS": round(begin.airmass, 3),
        "TEL_PA": _whole_degrees(begin.parallactic),
        "RA_RATE": 0.0,
        "DEC_RATE": 0.0,
        "RA_OFF": round(exposure.offset[0], 2),
        "DEC_OFF": round(exposure.offset[1], 2),
        "TELHASP": 1.0048,
        "TELDECSP": 0.0,
        "RA_REFR": round(REFRACTION * float(np.tan(z) * np.sin(q)), 2),
        "DEC_REFR": round(-REFRACTION * float(np.tan(z) * np.cos(q)), 2),
        "FOCPOS": round(16.2 + 0.3 * float(rng.standard_normal()), 2),
        "IFUFOCUS": focus.get(h.style, (1.3, 2.2))[0],
        "IFUFOC2": focus.get(h.style, (1.3, 2.2))[1],
        "DOMEST": word("open" if exposure.dome_open else "closed"),
        "DOMEMO": "anticipate" if sky else "stopped",
        "DOME_GAP": round(float(rng.uniform(22.0, 29.0))) * 1.0 if _newer(profile) else "",
        "DOMEAZ": round(begin.azimuth + float(rng.uniform(-2.0, 2.0)), 1),
        "WSCRMO": "bottom",
        "TELCONT": "remote",
        "LAMPSTAT": "on" if exposure.lamp_current > 0.0 else "off",
        "LAMPCUR": float(exposure.lamp_current),
        **{f"{lamp}_LAMP": state for lamp, state in states.items()},
        "TELPOWST": "ready",
        "OILSTAT": "ready",
        "WEASTAT": "okay" if _newer(profile) else "ready",
        "SUNSTAT": "okay",
        "REMOTST": "okay",
        "TELRDST": "ready",
        "HAAX_ST": "okay",
        "FOCSTAT": "okay",
        "DEC_AX": "okay",
        "TEL_MO": "tracking" if sky else "stopped",
        "WSCR_EL": "0" if h.style == "2019" else 0.0,
    }


def _labels(profile: InstrumentProfile, exposure: PlannedExposure, rng: np.random.Generator) -> Cards:
    style, when = profile.header.style, exposure.when
    calibration = exposure.kind in ("bias", "dome", "Hg", "Cd", "Xe", "twilight")
    image = {"standard": "Standard", "science": "Science", "Hg": "lamp", "Cd": "lamp", "Xe": "lamp",
             "focus": "Focus", "mapping": "Acq_ifumap"}  # fmt: skip
    kind = image.get(exposure.kind, exposure.kind)
    object_type = "Calibration" if calibration else kind
    if kind == "Science" and _newer(profile):
        object_type = "Transient"
    known = "simulated" if style == "2019" or calibration else exposure.target.lower()
    half = "A" if when.month < 7 else "B"

    def identity() -> int:
        if calibration:
            return -999
        asked = when - timedelta(seconds=float(rng.uniform(3e4, 5e5)))
        return int(f"{asked:%Y%m%d%H%M%S}{asked.microsecond // 1000:03d}")

    return {
        "OBJECT": exposure.object,
        "NAME": exposure.target,
        "OBJTYPE": object_type.upper() if style == "2017" else object_type,
        "IMGTYPE": kind.upper() if style == "2017" else kind,
        "OBJNAME": known if style == "2017" else f'"{known}"',
        "OBJEQX": "j2000.0",
        "OBJRA": almanac.sexagesimal(exposure.ra, hours=True, digits=4),
        "OBJDEC": almanac.sexagesimal(exposure.dec, digits=4, sign=True),
        "ORA_RAT": 0.0,
        "ODEC_RAT": 0.0,
        "FILTER": "NA" if style in ("2017", "2018") or (style == "2024" and calibration) else "ifu",
        "ABPAIR": False,
        "IMGSET": "NA" if calibration else "A",
        "P60PRID": f"{when.year}{half}-calib" if calibration else f"{when.year}{half}-I01",
        "P60PRNM": "Calibration" if calibration else "Transient follow-up",
        "P60PRPI": "SEDm" if calibration else "A. Observer",
        "EMAIL": "",
        "REQ_ID": identity(),
        "OBJ_ID": identity(),
    }


def _weather(profile: InstrumentProfile, exposure: PlannedExposure, rng: np.random.Generator) -> Cards:
    n = profile.night
    temperature = exposure.pointings[0].temperature_c if exposure.light == "sky" else n.temperature_c
    dew = temperature - (100.0 - n.humidity) / 5.0
    near = {
        "MIR_TEMP": 1.4, "TOP_AIR": 0.3, "PRI_TEMP": 1.4, "SEC_TEMP": 0.2, "FLO_TEMP": 2.1, "BOT_TEMP": 0.4,
        "MID_TEMP": 0.3, "TOP_TEMP": 0.1, "OUT_AIR": 0.0, "IN_AIR": 0.4,
    }  # fmt: skip
    return {
        **{key: round(temperature + extra, 1) for key, extra in near.items()},
        "WIND_DIR": 191.0,
        "WSP_CUR": round(float(rng.uniform(0.5, 9.0)), 1),
        "WSP_AVG": 2.3,
        "OUT_HUM": round(n.humidity, 1),
        "OUT_DEW": round(dew, 1),
        "IN_HUM": round(n.humidity - 1.5, 1),
        "IN_DEW": round(dew, 1),
        "WETNESS": -270.0,
        # pressure reduced to sea level; vacuum of the secondary
        "BARPRESS": round(1015.0 + 3.0 * float(np.tanh(rng.standard_normal())), 1),
        "SECPRESS": float(round(rng.uniform(29.0, 74.0))),
    }


def _sun(exposure: PlannedExposure, sunset: float, sunrise: float) -> Cards:
    ra, dec = almanac.sun(exposure.start)
    return {
        "SUNSET": almanac.from_julian(sunset).strftime("%H:%M") if sunset else "02:00",
        "SUNRISE": almanac.from_julian(sunrise).strftime("%H:%M") if sunrise else "13:00",
        "SOL_RA": almanac.sexagesimal(ra, hours=True, digits=0)[:-3],
        "SOL_DEC": almanac.sexagesimal(dec, digits=0, sign=True)[:-3],
    }


def _end(profile: InstrumentProfile, exposure: PlannedExposure, rng: np.random.Generator) -> Cards:
    ra, dec = encoder_of(exposure)
    stop = almanac.place(ra, dec, exposure.start + exposure.exptime / 86400.0)
    text = profile.header.style == "2019"
    airmass, angle = round(stop.airmass, 3), _whole_degrees(stop.parallactic)
    return {
        "ENDAIR": f"{airmass:.3f}" if text else airmass,
        "ENDDOME": "open" if exposure.dome_open else "closed",
        "END_RA": almanac.sexagesimal(ra + float(rng.normal(0.0, 5e-4)), hours=True),
        "END_DEC": almanac.sexagesimal(dec + float(rng.normal(0.0, 4e-4)), digits=1, sign=True),
        "END_PA": f"{angle:.0f}" if text else angle,
        "ENDBARPR": round(1015.0 + float(rng.uniform(-1.0, 1.0)), 1),
        "ENDSECPR": float(round(rng.uniform(29.0, 74.0))),
    }
