"""What changed at the instrument between 2013 and today, as data: cameras, their read-out, and dates.

Everything else that differs from night to night is measured from the night itself. A camera is known by its serial
number, but cards can be wrong: the size of the array must agree with it, and where it does not, size and date decide.

Sources: hardware timeline of the SEDM documentation (Timeline.rst, 2024); the robot's camera drivers (pixis.py and
andor.py, 2022 to 2024) and its observing configuration (sedm_robot.json, 2024); kpy (Debias.py, StartObs.py);
sedmpy (Debias.py, AutoReduce.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sedmd.core.instrument import CCD_SHAPE, Sections
from sedmd.raw.cards import number, text_of, whole

#: Until this day (UT) targets were observed as A/B pairs (Timeline.rst); every later exposure is a single.
PAIRS_UNTIL = date(2018, 6, 30)
#: Nights on which OBSDATE and OBSTIME were Pacific local time, 7 or 8 h behind UT: first and last (headers of 76
#: exposures, 2018 to 2021).
LOCAL_TIME_CARDS = (date(2019, 3, 1), date(2020, 1, 10))


#: Cards of the Andor's scan columns, first and last of each block, counted from 1 (andor.py).
SECTION_CARDS = ("PSCANX0", "PSCANX1", "OSCANX0", "OSCANX1")

#: First nights (UT) after work on the spectrograph that moved its spectra or changed its throughput (Timeline.rst):
#: cameras changed, the new lenslet array, optics taken out and put back, the camera's stage, the read-out direction.
CHANGES = (
    date(2016, 2, 29),
    date(2016, 4, 25),
    date(2017, 9, 9),
    date(2018, 5, 8),
    date(2018, 6, 19),
    date(2019, 2, 8),
    date(2019, 4, 18),
    date(2019, 4, 23),
    date(2019, 5, 14),
    date(2019, 5, 15),
    date(2019, 5, 20),
    date(2023, 4, 7),
    date(2023, 4, 11),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera of the spectrograph.

    Attributes
    ----------
    name : str
        As messages name it.
    serial : str
        Card SER_NO.
    shape : (n_y, n_x)
        Array as it is read.
    sections : Sections
        Where image, pre-scan and over-scan lie in it, when no card says so.
    gain : float
        Electron per ADU, when no card says so.
    saturation_adu : float
        From here on a pixel is not linear any more.
    speeds_mhz : tuple of float
        Read-out speeds in use.
    dome_min_exptime_s, lamp_min_exptime_s : float
        Shorter exposures of the dome and of the arc lamps were no calibrations but trials.
    service : tuple of (first, last)
        Periods in the spectrograph, days UT; None: until today.
    """

    name: str
    serial: str
    shape: tuple[int, int]
    sections: Sections
    gain: float
    saturation_adu: float
    speeds_mhz: tuple[float, ...]
    dome_min_exptime_s: float
    lamp_min_exptime_s: float
    service: tuple[tuple[date, date | None], ...]

    def served(self, day: date) -> bool:
        """Whether the camera was in the spectrograph on that day."""
        return any(first <= day and (last is None or day <= last) for first, last in self.service)

    def days_from(self, day: date) -> int:
        """Days between `day` and the nearest of its service; 0 in service."""
        if self.served(day):
            return 0
        ends = [end for period in self.service for end in period if end is not None]
        return min(abs((day - end).days) for end in ends)


#: The PIXIS has no over-scan by design. kpy and sedmpy take its last three columns for one, and they are free of light
#: in many places; spectra of a dome frame of 2013 do run to the last column (76 of 1904). They give the level only
#: where they are dark (`sedmd.reduce.detector.ccd`).
PIXIS_SECTIONS = Sections(image=(0, 2048), scans=((2045, 2048),))
#: Pre-scan columns 1 to 20 and over-scan columns 2069 to 2088 (andor.py: PSCANX0/1, OSCANX0/1).
ANDOR_SECTIONS = Sections(image=(20, 2068), scans=((0, 20), (2068, 2088)))


def _pixis(serial: str, *service: tuple[date, date | None]) -> Camera:
    """A Princeton Instruments PIXIS 2048: e2v CCD 42-40, 0.1 MHz for science, 2.0 MHz for the rest."""
    return Camera(
        name="PIXIS",
        serial=serial,
        shape=CCD_SHAPE,
        sections=PIXIS_SECTIONS,
        gain=1.8,  # kpy, sedmpy; the camera writes 1.78
        saturation_adu=50000.0,  # kpy SExtractor configuration: 90 000 electron, the full well of the e2v CCD 42-40
        speeds_mhz=(0.1, 2.0),
        dome_min_exptime_s=60.0,  # kpy StartObs.py; the robot took 180 s
        lamp_min_exptime_s=25.0,  # kpy StartObs.py; the robot took 30 s (Hg, Cd) and 60 s (Xe)
        service=service,
    )


#: Every camera that the spectrograph has had. The loaner of 2016 is taken for one like the original.
CAMERAS = (
    _pixis(
        "2803120001",
        (date(2013, 3, 12), date(2016, 2, 28)),
        (date(2016, 4, 25), date(2018, 5, 7)),
        (date(2019, 4, 23), date(2019, 5, 13)),
    ),
    _pixis("08098513", (date(2016, 2, 29), date(2016, 3, 25))),
    _pixis("05313416", (date(2018, 5, 8), date(2019, 4, 22)), (date(2019, 5, 14), date(2023, 4, 6))),
    Camera(
        name="Andor iKon",
        serial="26265",
        shape=(2048, 2088),
        sections=ANDOR_SECTIONS,
        gain=0.9,  # andor.py
        saturation_adu=65000.0,  # 16 bits at 0.9 electron/ADU end before the CCD's full well does
        speeds_mhz=(1.0,),
        dome_min_exptime_s=30.0,  # sedmpy AutoReduce.py (more than 30); the robot takes 40 s
        lamp_min_exptime_s=15.0,  # the same (more than 15); the robot takes 20 s (Xe) and 30 s (Hg, Cd)
        service=((date(2023, 4, 7), None),),
    ),
)


def camera_of(header: Mapping[str, object], shape: tuple[int, int], start: datetime | None = None) -> Camera | None:
    """The camera that wrote a frame.

    Parameters
    ----------
    header : mapping of keyword to value
        SER_NO and the cards of the sections are used; they may be missing or wrong.
    shape : (n_y, n_x)
        Of the array as it was read. It decides among the cameras.
    start : datetime, optional
        Of the exposure; decides between cameras of one size when SER_NO does not.

    Returns
    -------
    Camera or None
        None if no camera of the spectrograph reads such an array.
    """
    alike = [camera for camera in CAMERAS if camera.shape == shape]
    if not alike and _sections_from_cards(header, shape):
        # another read-out window of a camera whose scan columns the cards tell
        alike = [camera for camera in CAMERAS if camera.shape != CCD_SHAPE]
    serial = text_of(header, "SER_NO").lstrip("0")
    named = [camera for camera in alike if serial and camera.serial.lstrip("0") == serial]
    if named or start is None:
        return next(iter(named or alike), None)
    return min(alike, key=lambda camera: camera.days_from(start.date()), default=None)


def sections_of(header: Mapping[str, object], shape: tuple[int, int], camera: Camera) -> tuple[Sections, str]:
    """Where the image and the columns without light lie in an array, and what was wrong with the cards that say so.

    Returns
    -------
    sections : Sections
        From PSCANX0/1 and OSCANX0/1 (first and last column, counted from 1) if these leave the image that the CCD has;
        else those of the camera.
    note : str
        Empty, or why the cards are rejected.
    """
    if found := _sections_from_cards(header, shape):
        return found, ""
    said = {key: header[key] for key in SECTION_CARDS if key in header}
    if not said or camera.sections.scans == PIXIS_SECTIONS.scans:
        return camera.sections, ""
    words = ", ".join(f"{key} {value!r}"[:40] for key, value in said.items())
    first, last = camera.sections.image
    wrong = f"{words}: not the sections of {shape[1]} columns"
    return camera.sections, f"{wrong}; image columns {first + 1} to {last} taken"


def gain_of(header: Mapping[str, object], camera: Camera) -> tuple[float, str]:
    """Gain of a raw frame [electron/ADU], and a note where it had to be assumed.

    The card is used when it holds a gain that one of the cameras could have. 1.0 is none: programs write it into
    frames that they have turned into electrons.
    """
    value = header.get("GAIN")
    gain = number(value)
    if gain is not None and 0.3 < gain < 8.0 and gain != 1.0:
        return gain, ""
    what = "no GAIN card" if value is None else f"GAIN {value!r}"[:40] + ", which is not this camera's"
    return camera.gain, f"{what}; {camera.gain:g} electron/ADU of the {camera.name} taken"


def changed_by(night: str) -> str:
    """First night, ``YYYYMMDD``, of the instrument as it was on `night`; empty before the first change that is known.

    What was measured before tells nothing of the instrument after.
    """
    return max((text for day in CHANGES if (text := f"{day:%Y%m%d}") <= night), default="")


def is_kitt_peak(header: Mapping[str, object]) -> bool:
    """Whether a frame is from the copy of the spectrograph at Kitt Peak, whose files are of another format.

    Its headers name the read-out by MODE_NUM instead of ADCSPEED (sedmpy-v2).
    """
    return "MODE_NUM" in header and "ADCSPEED" not in header


def _sections_from_cards(header: Mapping[str, object], shape: tuple[int, int]) -> Sections | None:
    columns = [whole(header.get(key)) for key in SECTION_CARDS]
    if None in columns:
        return None
    pre0, pre1, over0, over1 = (column for column in columns if column is not None)
    if not 1 <= pre0 <= pre1 < over0 <= over1 <= shape[1] or (shape[0], over0 - 1 - pre1) != CCD_SHAPE:
        return None
    return Sections(image=(pre1, over0 - 1), scans=((pre0 - 1, pre1), (over0 - 1, over1)))
