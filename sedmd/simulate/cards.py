"""Which cards a raw frame of each epoch has, in their order, and which of them a failure spoils.

Sources: headers of 76 exposures 2018-07 to 2021-12 (github.com/JeremyLezmy/hypergal, comment lines of
its spectra); the robot's camera drivers and header code of 2022 to 2024 (github.com/scizen9/SEDM_robot: andor.py,
sedmHeader.py); what the pipelines of 2016 to 2018 read (kpy).
"""

from __future__ import annotations

from dataclasses import dataclass


def _keys(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_DETECTOR = _keys("EXPTIME ADCSPEED TEMP GAIN_SET ADC MODEL INTERFC SNSR_NM SER_NO TELESCOP GAIN")
_TELESCOPE = _keys(
    "LST MJD_OBS JD APPEQX EQUINOX TEL_HA RA TEL_RA DEC TEL_DEC TEL_AZ TEL_EL AIRMASS TEL_PA RA_RATE DEC_RATE RA_OFF "
    "DEC_OFF TELHASP TELDECSP RA_REFR DEC_REFR FOCPOS IFUFOCUS IFUFOC2 DOMEST DOMEMO DOME_GAP DOMEAZ WSCRMO TELCONT "
    "LAMPSTAT LAMPCUR HG_LAMP XE_LAMP CD_LAMP TELPOWST OILSTAT WEASTAT SUNSTAT REMOTST TELRDST HAAX_ST FOCSTAT DEC_AX "
    "OBJECT OBJTYPE IMGTYPE OBJNAME OBJEQX OBJRA OBJDEC ORA_RAT ODEC_RAT SUNRISE SUNSET TEL_MO WSCR_EL SOL_RA SOL_DEC"
)
_WEATHER = _keys(
    "WIND_DIR WSP_CUR WSP_AVG OUT_AIR OUT_HUM OUT_DEW IN_AIR IN_HUM IN_DEW MIR_TEMP TOP_AIR PRI_TEMP SEC_TEMP FLO_TEMP "
    "BOT_TEMP MID_TEMP TOP_TEMP WETNESS"
)
_PROGRAM = _keys("P60PRID P60PRNM P60PRPI EMAIL")
_SKY = _keys("CRPIX1 CRPIX2 CDELT1 CDELT2 CTYPE1 CTYPE2")
_END = _keys("ENDAIR ENDDOME END_RA END_DEC END_PA ENDBARPR ENDSECPR ELAPTIME")
_OLD_MIDDLE = (*_PROGRAM, "INSTRUME", "REQ_ID", "OBJ_ID", "CAM_NAME", *_SKY, "CRVAL1", "CRVAL2")
_NEW_ROBOT = (
    *_TELESCOPE, *_WEATHER, "FILTER", "ABPAIR", "IMGSET", "NAME", *_PROGRAM, "REQ_ID", "OBJ_ID", "CRVAL1", "CRVAL2",
    "BARPRESS", "SECPRESS", *_END,
)  # fmt: skip

#: Names that the control software before 2018-07 used instead.
OLD_NAMES = {"TEL_HA": "HA", "TEL_PA": "PRLLTC"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Cards of one epoch: those that the camera writes with the pixels, then those that the robot adds."""

    camera: tuple[str, ...]
    robot: tuple[str, ...]


STYLES = {
    "2017": Style(
        camera=_DETECTOR,
        robot=tuple(
            OLD_NAMES.get(key, key)
            for key in (*_TELESCOPE, *_WEATHER, "FILTER", "ABPAIR", "NAME", "UTC", "OBSDATE", "OBSTIME", *_OLD_MIDDLE)
        ),
    ),
    "2018": Style(
        camera=_DETECTOR,
        robot=(*_TELESCOPE, *_WEATHER, "FILTER", "ABPAIR", "NAME", "UTC", "OBSDATE", "OBSTIME", *_OLD_MIDDLE),
    ),
    "2019": Style(
        camera=_DETECTOR,
        robot=(
            *_TELESCOPE, *_WEATHER, "FILTER", "ABPAIR", "IMGSET", "NAME", "UTC", "OBSDATE", "OBSTIME", *_OLD_MIDDLE,
            "BARPRESS", "SECPRESS", "END_SHUT", *_END,
        ),
    ),
    "2021": Style(
        camera=(*_DETECTOR, "CAM_NAME", "INSTRUME", "UTC", "END_SHUT", "OBSDATE", "OBSTIME", *_SKY),
        robot=_NEW_ROBOT,
    ),
    "2024": Style(
        camera=(
            *_DETECTOR[:-1], "VSSPEED", "PAGAIN", "SHUTMODE", "PSCANX0", "PSCANX1", "OSCANX0", "OSCANX1", "GAIN",
            "CAM_NAME", "INSTRUME", "UTC", "END_SHUT", "END_READ", "OBSDATE", "OBSTIME", *_SKY,
        ),
        robot=_NEW_ROBOT,
    ),
}  # fmt: skip

#: Cards that are missing together when the telescope did not answer a question for its position (until 2020-01).
UNANSWERED = _keys("AIRMASS FOCPOS DOMEAZ OBJNAME OBJEQX ORA_RAT ODEC_RAT SUNRISE SUNSET TEL_MO SOL_RA SOL_DEC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failure of the telescope's software: cards that are missing, and cards with a value that says unknown."""

    missing: tuple[str, ...] = ()
    values: tuple[tuple[str, object], ...] = ()
    short: bool = False


_OLD = ("2017", "2018", "2019")
_NEW = ("2021", "2024")
#: By name: the styles in which a failure occurs, what it does.
FAULTS: dict[str, tuple[tuple[str, ...], Fault]] = {
    "position not answered": (_OLD, Fault(missing=UNANSWERED)),
    "status not answered": (
        _NEW,
        Fault(values=(("LAMPCUR", -999.0), ("LAMPSTAT", "NA"), ("DOMEST", "NA"), ("AIRMASS", -999.0))),
    ),
    "telescope's clock lost": (_NEW, Fault(values=(("JD", -999.0), ("MJD_OBS", -2400999.5), ("LST", "NA")))),
    "position unknown": (
        _NEW,
        Fault(
            values=(
                ("RA", "NA"), ("DEC", "NA"), ("TEL_RA", "NA"), ("TEL_DEC", "NA"), ("TEL_HA", "NA"), ("TEL_PA", -999.0),
                ("CRVAL1", -999.0), ("CRVAL2", -999.0),
            )
        ),
    ),
    "end not answered": (
        _NEW,
        Fault(
            values=(
                ("ENDAIR", -1), ("ENDDOME", "NA"), ("END_RA", "NA"), ("END_DEC", "NA"), ("END_PA", -999.0),
                ("ENDBARPR", -999.0), ("ENDSECPR", -999.0),
            )
        ),
    ),
    "dew point as text": (("2024",), Fault(values=(("OUT_DEW", "NaN"), ("IN_DEW", "NaN")))),
    "short header": (("2018", "2019", *_NEW), Fault(short=True)),
}  # fmt: skip
