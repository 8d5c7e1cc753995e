"""The cards of a raw frame, in the manner of the telescope's control software of the profile's epoch."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from astropy.io import fits

from . import almanac
from .plan import Exposure
from .profiles import Profile

MINIMUM_CARDS = 109  # with END: below that the file is one FITS record shorter than the real ones
MAXIMUM_CARDS = 143


def build_header(profile: Profile, exposure: Exposure, *, sunset: float = 0.0, sunrise: float = 0.0) -> fits.Header:
    """Header of a raw frame without the cards that FITS itself demands.

    Parameters
    ----------
    profile : Profile
        Its ``header`` section tells the names of the epoch.
    exposure : Exposure
        The frame.
    sunset, sunrise : float
        Julian dates, for the cards of that name; 0 leaves a plausible default.
    """
    h, d, n = profile.header, profile.detector, profile.night
    when = exposure.utc
    jd = almanac.julian_date(when)
    end = when + timedelta(seconds=exposure.exptime)
    jd_end = almanac.julian_date(end)
    ra = exposure.ra + exposure.offset[0] / 3600.0 / max(np.cos(np.deg2rad(exposure.dec)), 0.01)
    dec = exposure.dec + exposure.offset[1] / 3600.0
    begin, stop = almanac.place(exposure.ra, exposure.dec, jd), almanac.place(exposure.ra, exposure.dec, jd_end)
    lst = almanac.sidereal_time(jd)
    outside = n.temperature_c - 0.45 * (jd % 1.0) * 4.0
    sky = exposure.light == "sky"
    lamp = exposure.light if exposure.light in ("Hg", "Cd", "Xe") else ""
    dome = h.dome_open if exposure.dome_open else h.dome_closed
    speed = d.speed(exposure.speed)
    kind = {"standard": "Standard", "science": "Science"}.get(exposure.kind, exposure.kind)
    header = fits.Header()

    def card(key: str, value: object, comment: str = "") -> None:
        if isinstance(value, float):
            value = round(value, 7 if abs(value) > 1e4 else 5)
        header[key] = (value, comment)

    card("EXPTIME", float(exposure.exptime), "Exposure time in seconds")
    card("ADCSPEED", float(exposure.speed), "Readout speed in MHz")
    card("TEMP", -55.0, "Detector temp in deg C")
    card("GAIN_SET", 2, "Gain mode")
    card("ADC", 1, "ADC quality")
    card("MODEL", 22, "Instrument mode number")
    card("INTERFC", "USB", "Instrument interface")
    card("SNSR_NM", "E2V 2048 x 2048 (CCD 42-40)(B)", "Sensor name")
    card("SER_NO", h.serial, "Serial number")
    card("TELESCOP", h.telescope, "Telescope ID")
    card("INSTRUME", "SEDM-P60", "Instrument")
    card("CAM_NAME", "SEDM-P60", "Camera")
    card("FILTER", "ifu")
    card("GAIN", float(d.gain), "e-/ADU")
    card("LST", almanac.sexagesimal(lst, hours=True, digits=1), "Local sidereal time")
    card("MJD_OBS", jd - 2400000.5, "MJD at start")
    card("JD", jd, "Julian date at start")
    card("APPEQX", 2000.0 + (jd - 2451545.0) / 365.25, "Apparent equinox")
    for key in h.equinox:
        card(key, 2000, "Equinox of the coordinates")
    for key in h.hour_angle:
        card(key, almanac.sexagesimal(begin.hour_angle, hours=True, digits=1, sign=True), "Hour angle at start")
    card("RA", almanac.sexagesimal(exposure.ra, hours=True), "Right ascension")
    card("DEC", almanac.sexagesimal(exposure.dec, digits=1, sign=True), "Declination")
    card("TEL_RA", almanac.sexagesimal(ra, hours=True), "Telescope RA")
    card("TEL_DEC", almanac.sexagesimal(dec, digits=1, sign=True), "Telescope Dec")
    card("TEL_AZ", begin.azimuth, "Telescope azimuth")
    card("TEL_EL", begin.altitude, "Telescope elevation")
    card("AIRMASS", begin.airmass if sky or exposure.light == "twilight" else 1.0, "Airmass at start")
    for key in h.parallactic:
        card(key, begin.parallactic, "Parallactic angle at start")
    card("RA_RATE", 0.0, "Non-sidereal rate")
    card("DEC_RATE", 0.0, "Non-sidereal rate")
    card("RA_OFF", float(exposure.offset[0]), "Telescope offset in arcsec East")
    card("DEC_OFF", float(exposure.offset[1]), "Telescope offset in arcsec North")
    card("TELHASP", 0.0)
    card("TELDECSP", 0.0)
    card("FOCPOS", 16.37, "Position of secondary focus")
    card("IFUFOCUS", 0.3513, "IFU focus stage")
    card("IFUFOC2", 0.0)
    card("DOMEST", dome, "Dome shutter status")
    card("DOMEMO", "TRACK")
    card("DOME_GAP", -0.5)
    card("DOMEAZ", begin.azimuth)
    card("WSCRMO", "AUTO")
    card("TELCONT", "REMOTE")
    card("LAMPSTAT", "on" if exposure.lamp_current > 0.0 else "off", "Dome lamp")
    card("LAMPCUR", float(exposure.lamp_current), "Dome lamp current")
    card("HG_LAMP", "on" if lamp == "Hg" else "off")
    card("XE_LAMP", "on" if lamp == "Xe" else "off")
    card("CD_LAMP", "on" if lamp == "Cd" else "off")
    for key, value in (
        ("TELPOWST", "READY"),
        ("OILSTAT", "READY"),
        ("WEASTAT", "OK"),
        ("SUNSTAT", "OK"),
        ("REMOTST", "ENABLED"),
        ("TELRDST", "READY"),
        ("HAAX_ST", "OK"),
        ("FOCSTAT", "OK"),
        ("DEC_AX", "OK"),
        ("TEL_MO", "TRACKING" if sky else "STOPPED"),
    ):
        card(key, value)
    card("OBJECT", exposure.object)
    card("NAME", exposure.target)
    card("OBJNAME", exposure.target)
    card("OBJTYPE", "Transient" if kind == "Science" else kind)
    card("IMGTYPE", kind)
    card("OBJEQX", "J2000")
    card("OBJRA", almanac.sexagesimal(exposure.ra, hours=True))
    card("OBJDEC", almanac.sexagesimal(exposure.dec, digits=1, sign=True))
    card("SUNSET", almanac.from_julian(sunset).strftime("%H:%M") if sunset else "02:00")
    card("SUNRISE", almanac.from_julian(sunrise).strftime("%H:%M") if sunrise else "13:00")
    sun_ra, sun_dec = almanac.sun(jd)
    card("SOL_RA", almanac.sexagesimal(sun_ra, hours=True, digits=0))
    card("SOL_DEC", almanac.sexagesimal(sun_dec, digits=0, sign=True))
    pointing = exposure.pointings[0]
    card("WIND_DIR", 191.0)
    card("WSP_CUR", 1.6)
    card("WSP_AVG", 2.3)
    temperature = pointing.temperature_c if sky else outside
    dew = temperature - (100.0 - n.humidity) / 5.0
    card("OUT_AIR", temperature)
    card("OUT_HUM", n.humidity)
    card("OUT_DEW", dew)
    card("IN_AIR", temperature + 0.4)
    card("IN_HUM", n.humidity - 1.5)
    card("IN_DEW", dew)
    for key, extra in (
        ("MIR_TEMP", 1.4),
        ("TOP_AIR", 0.3),
        ("PRI_TEMP", 1.4),
        ("SEC_TEMP", 0.2),
        ("FLO_TEMP", 2.1),
        ("BOT_TEMP", 0.4),
        ("MID_TEMP", 0.3),
        ("TOP_TEMP", 0.1),
    ):
        card(key, temperature + extra)
    card("WETNESS", 0.0)
    card("BARPRESS", n.pressure_mbar, "mbar")
    card("SECPRESS", n.pressure_mbar + 0.1, "mbar")
    card("UTC", when.strftime("%Y:%j:%H:%M:%S.0"), "UT start, year:day:time")
    card("OBSDATE", when.strftime("%Y-%m-%d"), "UT start date")
    card("OBSTIME", when.strftime("%H:%M:%S.0"), "UT start time")
    card("P60PRID", f"{when.year}A-I01" if when.month < 7 else f"{when.year}B-I01")
    card("P60PRNM", "Transient follow-up")
    card("P60PRPI", "SEDM")
    card("EMAIL", "")
    card("REQ_ID", int(when.strftime("%j%H%M")), "Request ID")
    card("OBJ_ID", 40000 + int(when.strftime("%H%M")), "Object ID")
    card("TARGID", 40000 + int(when.strftime("%H%M")))
    card("OBSERVER", "SEDmRobot")
    card("ABPAIR", False)
    card("IMGSET", "A")
    card("CRPIX1", 1024.0)
    card("CRPIX2", 1024.0)
    card("CDELT1", -3.555556e-06)
    card("CDELT2", 3.555556e-06)
    card("CTYPE1", "RA---TAN")
    card("CTYPE2", "DEC--TAN")
    card("CRVAL1", float(ra))
    card("CRVAL2", float(dec))
    card("END_SHUT", end.strftime("%Y-%m-%dT%H:%M:%S"))
    if h.newer:
        card("ENDAIR", stop.airmass if sky else 1.0, "Airmass at end")
        card("ENDDOME", dome)
        card("END_RA", almanac.sexagesimal(ra, hours=True))
        card("END_DEC", almanac.sexagesimal(dec, digits=1, sign=True))
        card("END_PA", stop.parallactic)
        card("ENDBARPR", n.pressure_mbar)
        card("ELAPTIME", float(exposure.exptime + speed.readout_s))
    for key, override in exposure.cards.items():
        header[key] = override
    return header


def to_hdu(data: np.ndarray, header: fits.Header) -> fits.PrimaryHDU:
    """Primary HDU of the raw frame: unsigned 16-bit with BZERO 32768, header padded to the real file's four records."""
    hdu = fits.PrimaryHDU(data.astype(np.uint16), header=header)
    number = 0
    while len(hdu.header) + 1 < MINIMUM_CARDS:
        number += 1
        hdu.header[f"SPARE{number:03d}"] = (0.0, "Spare telemetry word")
    if len(hdu.header) > MAXIMUM_CARDS:
        raise ValueError(f"a raw header holds at most {MAXIMUM_CARDS} cards, this one has {len(hdu.header)}")
    return hdu
