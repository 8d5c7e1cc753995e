"""Every setting, declared once: type, default, unit, range, whether it takes a restart, and what it means."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_type_hints

from sedmd.core.config.setting import declared, required, setting
from sedmd.core.errors import ConfigError
from sedmd.core.instrument import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG
from sedmd.core.patterns import check_pattern

#: [upload] group_ids = "all": everybody may see what is uploaded.
ALL_GROUPS = ("all",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where raw frames, products and the ledger are."""

    raw_root: Path = required("holds YYYYMMDD/ifu*.fits; never written to", example='"/data/sedm/raw"', restart=True)
    redux_root: Path = required("products go to redux_root/YYYYMMDD", example='"/data/sedm/redux"', restart=True)
    state_dir: Path | None = setting(
        None,
        "the ledger (SQLite, WAL): must be a local disk; unset: redux_root/.sedmd",
        example='"/var/lib/sedmd"',
        restart=True,
    )
    state_mode: str = setting(
        "0750",
        "rights of state_dir: 0750 lets its group ask (sedmd status), 0700 only its owner",
        choices=("0700", "0750"),
        restart=True,
    )
    group: str = setting(
        "", '"sedm": its members save into the nights (sedmview) with accounts of their own', restart=True
    )

    @property
    def state(self) -> Path:
        return self.state_dir or self.redux_root / ".sedmd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How new frames are found."""

    pattern: str = setting("ifu*.fits", "names of frames to reduce, also with .gz or .fz; all others are ignored")
    mode: str = setting(
        "auto", "auto | inotify | poll; auto polls on network file systems", choices=("auto", "inotify", "poll")
    )
    scan_interval_s: float = setting(
        10.0, "the full scan of the raw directories, which is authoritative; events only hurry it", unit="s"
    )
    archive_interval_s: float = setting(
        600.0, "the scan of older night directories, for frames that come late", unit="s"
    )
    settle_s: float = setting(
        0.5, "size and time stamp must be unchanged for this long before a frame is read", unit="s", least=0
    )
    settle_timeout_s: float = setting(
        300.0, "a frame still incomplete after this is reported (and read if it changes later)", unit="s"
    )
    header_wait_s: float = setting(
        300.0, "a whole frame with the camera's cards only waits this long for the robot's (OBJECT)", unit="s"
    )
    nights_back: int = setting(2, "newest night directories that are watched and reduced", unit="nights")
    min_hdus: int = setting(1, "HDUs of a whole frame; more for a camera that writes extensions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrations:
    """When a calibration series may be used, and what is used when it cannot."""

    bias_min_frames: int = setting(5, "per read-out speed; fewer make no master bias", unit="frames")
    bias_ideal_frames: int = setting(
        10, "with this many the master is made at once, more are not waited for", unit="frames"
    )
    lamp_min_frames: int = setting(3, "fewer dome, Hg, Cd, Xe or twilight frames make no master", unit="frames")
    lamp_ideal_frames: int = setting(5, "with this many of one of them the master is made at once", unit="frames")
    quiet_s: float = setting(
        120.0, 'between the two, a series short of its announced "n of N" waits this long', unit="s", least=0
    )
    dome_min_exptime_s: float | None = setting(
        None,
        "shorter dome frames are ignored; unset: 60 s, from 2023-04-07 on (Andor) 30 s",
        unit="s",
        least=0,
        example="60.0",
    )
    lamp_min_exptime_s: float | None = setting(
        None,
        "shorter Hg, Cd and Xe frames are ignored; unset: 25 s, from 2023-04-07 on 15 s",
        unit="s",
        least=0,
        example="25.0",
    )
    until_ut_hour: float = setting(
        10.0, "calibrations begun later are used only if the evening has no complete set", unit="h UT", most=24
    )
    fallback_after_sunset_s: float = setting(
        3600.0, "from then on the last good night's are used if tonight's are not usable", unit="s", least=0
    )
    fallback_max_age_nights: int = setting(30, "older ones are never used; 0: no fall-back", unit="nights", least=0)
    fallback_redo: str = setting(
        "offer",
        "offer | auto: redo what was reduced with a fall-back, once tonight's are there",
        choices=("offer", "auto"),
    )
    flux_earlier_nights: int = setting(
        3, "so many tell the shape of the response with tonight's stars; 0: none", unit="nights", least=0, most=9
    )
    pixel_earlier_nights: int = setting(
        5, "so many tell of bad pixels where tonight's dome is too faint; 0: none", unit="nights", least=0, most=30
    )
    line_earlier_nights: int = setting(
        5, "so many tell where the lines of a missing lamp would lie; 0: none", unit="nights", least=0, most=30
    )
    sky_flat_earlier_nights: int = setting(
        5, "so many tell the flat how the sky lights the spaxels; 0, 1: none", unit="nights", least=0, most=9
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """When a night is over, and how long one exposure of a pair waits for the other."""

    closes_after_sunrise_s: float = setting(1800.0, "the night is over so long after sunrise ...", unit="s", least=0)
    quiet_s: float = setting(
        900.0, "... and this long without a new frame: what still waits is then reduced", unit="s", least=0
    )
    partner_wait_s: float = setting(
        7200.0, "half of an A/B pair waits so long for the other, then it is extracted alone", unit="s"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the telescope stands, for sunset and sunrise."""

    latitude_deg: float = setting(LATITUDE_DEG, "North is positive", unit="deg", least=-90, most=90)
    longitude_deg: float = setting(LONGITUDE_DEG, "East is positive", unit="deg", least=-180, most=360)
    height_m: float = setting(HEIGHT_M, "above sea level", unit="m", least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """How the work is done."""

    workers: int = setting(0, "worker processes; 0: one for each processor", least=0, restart=True)
    timeout_s: float = setting(900.0, "a job that takes longer is killed and counted as failed", unit="s")
    memory_limit_mb: int = setting(
        0,
        "a job that wants more is stopped; 0: its share of 0.9 of the memory, at least 2 GB",
        unit="MB",
        least=0,
        restart=True,
    )
    retry_after_s: tuple[float, ...] = setting(
        (60.0, 300.0, 1500.0), "waits before a retry after a temporary fault (disk, memory, crash)", unit="s"
    )
    drain_timeout_s: float = setting(120.0, "how long a stopping service waits for running jobs", unit="s", least=0)
    engine: str = setting(
        "local",
        "local | dask (needs sedmd[cluster]; raw and redux roots visible to all workers)",
        choices=("local", "dask"),
        restart=True,
    )
    dask_scheduler: str = setting("", '"tcp://host:8786"', restart=True)
    dask_wait_s: float = setting(
        600.0, "a reduction without a worker for so long gives up (the service never does)", unit="s", restart=True
    )
    steps_module: str = setting("sedmd.steps", "where the recipe's functions are", restart=True)

    @property
    def worker_count(self) -> int:
        return self.workers or max(1, os.cpu_count() or 1)

    @property
    def memory_limit_bytes(self) -> int:
        """What one worker may take; by default its share of nine tenths of the machine, and 2 GB at least."""
        if self.memory_limit_mb:
            return self.memory_limit_mb * 1_000_000
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return max(2_000_000_000, int(0.9 * whole / self.worker_count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """When there is too little room to begin new work."""

    min_free_mb: int = setting(
        2000, "with less free space below redux_root or state_dir no new work is begun", unit="MB", least=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Where health and metrics are served, to this host only."""

    listen: str = setting(
        "", '"127.0.0.1:9189", "[::1]:9189" or "unix:/run/sedmd/health.sock"; empty: off', restart=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """How events are written to standard error."""

    format: str = setting(
        "text", "text | json: one JSON object a line on standard error", choices=("text", "json"), restart=True
    )


def field_centre_of(line: str) -> tuple[str, float, float]:
    """One line of ``instrument.field_centres`` as night, column, row.

    Raises
    ------
    ConfigError
        If it is not of the form ``YYYYMMDD x y``.
    """
    parts = line.split()
    try:
        night, x, y = parts[0], float(parts[1]), float(parts[2])
    except (IndexError, ValueError):
        parts = []
    if len(parts) != 3 or len(night) != 8 or not night.isdigit():
        raise ConfigError(f"{line!r} is not a night, a column and a row; write it like '20130101 1024 1024'")
    return night, x, y


def _check_field_centre(line: str) -> None:
    field_centre_of(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What an operator knows of the instrument and no frame tells."""

    field_centres: tuple[str, ...] = setting(
        (),
        'target position in the field: ["20240112 1031.5 1019"]; empty: learned',
        more="The target position in the field is learned from standard stars and clear targets."
        ' Who knows better gives lines "YYYYMMDD column row": from that night on, light of 6500 Angstrom from a target'
        " falls on this pixel as a rule, positions in the products count from there, and nothing is learned.",
        check=_check_field_centre,
    )

    def field_centre(self, night: str) -> tuple[float, float] | None:
        """Column and row where targets fall in a night, of the last entry that is not later; None: to be learned."""
        entries = sorted(field_centre_of(line) for line in self.field_centres)
        past = [entry for entry in entries if entry[0] <= night]
        return past[-1][1:] if past else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticExtraction:
    """When a spectrum is final without an observer."""

    min_confidence: float = setting(
        0.97, "a probability; below it a target waits in sedmview with its reasons", least=0, most=1
    )
    pointing_arcsec: float | None = setting(
        None,
        "scatter about the expected target position (1 sigma, each axis); unset: learned",
        unit="arcsec",
        example="1.5",
    )
    seeing_arcsec: float = setting(
        1.8, "usual FWHM of a star at 6500 Angstrom; used until the night has a standard star", unit="arcsec"
    )
    cutouts: Path | None = setting(
        None,
        "images or cubes of the fields, a folder for each target; they model a host",
        more="FOLDER/TARGET/g.fits and the like, of Pan-STARRS or the Legacy Surveys, in g, r, i, z, y, at least 12"
        " arcsec about the target, put there when it is requested: the name ends in the band, or a card BANDS has a"
        " letter for each plane. A cube of the field from another epoch, 60 nights or more away and without the target"
        " in it as far as whoever puts it there knows, goes before images: FOLDER/TARGET/e3d_....fits."
        " They are looked for when a target is extracted; after that sedmd redo takes them.",
        example='"/data/sedm/cutouts"',
    )


#: What acquisition and guider frames can be used for.
GUIDE_USES = ("position", "seeing", "transparency")


def _check_guide_use(word: str) -> None:
    if word not in GUIDE_USES:
        raise ConfigError(f"{word!r} is no use of guider frames; expected of {', '.join(GUIDE_USES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What acquisition and guider frames are used for; none of them is ever needed."""

    stars: Path | None = setting(
        None,
        "folder of the star table (sedmd stars import); unset: only the seeing is measured",
        example='"/data/sedm/stars"',
    )
    pattern: str = setting("rc*.fits", "names of the frames, beside the spectrograph's, also .gz or .fz; empty: off")
    use: tuple[str, ...] = setting(
        GUIDE_USES,
        "what the reduction takes from them; []: nothing",
        more="position: the target is looked for where the stars say that it is. seeing: their width tells that of the"
        " target's image. transparency: their brightness tells what clouds took between standard star and target.",
        check=_check_guide_use,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """What is kept of the frames between raw frame and cube."""

    frames: str = setting(
        "packed",
        "crr_b_* and bs_crr_b_*: plain | packed | none (76, 34, 0 MB an exposure)",
        choices=("plain", "packed", "none"),
    )


def _check_url(url: str) -> None:
    if "@" in url.partition("://")[2].partition("/")[0]:
        # the address is never repeated: what is before the @ is a password
        raise ConfigError(
            "holds a user or a password; expected an address without them, and the secret in a file of its own"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Where good and acceptable spectra are sent, each once: sedmd upload."""

    backend: str = setting("", '"" (off) | "skyportal" | "drop" (a directory)', choices=("", "skyportal", "drop"))
    url: str = setting("", '"https://fritz.science"; http only on this machine', check=_check_url)
    token_file: Path | None = setting(
        None, "SkyPortal's token if no unit provides it; mode 600 ...", example='"/etc/sedmd/token"'
    )
    token_env: str = setting("", "... or the environment variable that holds it")
    instrument_id: int = setting(0, "the instrument's number on the server", least=0)
    group_ids: tuple[int | str, ...] = setting(
        (), 'groups that see the spectra, or "all"; empty: only the token\'s owner', word="all"
    )
    observed_by: tuple[int, ...] = setting((), "users of the server who stand for the observers ...")
    reduced_by: tuple[int, ...] = setting((), "... and for the reducers; the reducer's name is sent with them")
    request_from: str = setting(
        "source",
        "source | header | none: the follow-up request, by the source's name or from REQ_ID",
        choices=("source", "header", "none"),
    )
    directory: Path | None = setting(None, 'of backend "drop"; must exist', example='"/data/sedm/outbox"')
    timeout_s: float = setting(30.0, "for a whole answer", unit="s")
    retry_after_s: tuple[float, ...] = setting(
        (2.0, 8.0, 60.0, 600.0, 3600.0), "waits before a retry; the command itself waits the short ones", unit="s"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The server and the recipients of the final report and of alerts: sedmd final-report, sedmd alert."""

    host: str = setting("", "the mail server; empty: off")
    port: int = setting(587, "587 with starttls, 465 with tls")
    security: str = setting(
        "starttls", "starttls | tls | none (only on this machine)", choices=("starttls", "tls", "none")
    )
    ca_file: Path | None = setting(
        None, "certificate of the observatory's own authority; unset: the system's", example='"/etc/sedmd/ca.pem"'
    )
    user: str = setting("", "empty: without authentication")
    password_file: Path | None = setting(
        None, "the password if no unit provides it; mode 600 ...", example='"/etc/sedmd/mail"'
    )
    password_env: str = setting("", "... or the environment variable that holds it")
    alert_command: tuple[str, ...] = setting((), "sedmd alert: a program that gets kind and sentence, instead of mail")
    sender: str = setting("", '"sedm@example.org"')
    recipients: tuple[str, ...] = setting((), '["team@example.org"]')
    max_attachment_mb: float = setting(
        10.0, "plots beyond this are not attached but named; 0: no plots", unit="MB", least=0
    )
    timeout_s: float = setting(30.0, "for each answer of the server", unit="s")


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """When report.txt is made again, and types and web page where [classify] engine and [web] root are set."""

    every_s: float = setting(
        120.0, "so long after a change the service makes them; 0: timers do it instead", unit="s", least=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The nights' web page, a static site with an index and a page for each night: sedmd publish."""

    root: Path | None = setting(None, "its folder; unset: only where --out says", example='"/data/sedm/web"')
    title: str = setting("SED Machine", "heading of the index")
    finders: str = setting("", 'folder of finder charts, "/data/sedm/phot/{night}/finders"; empty: none are shown')


def _check_link(template: str) -> None:
    _check_url(template)
    try:
        made = template.format(ra="1.000000", dec="1.000000", name="X")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        msg = f"{template!r} cannot be filled in ({error}); expected an address with {{ra}}, {{dec}} [deg] or {{name}}"
        raise ConfigError(msg) from error
    if made and not made.startswith(("https://", "http://")):
        raise ConfigError(f"{template!r} is no web address; expected https://...")


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Web pages on a target that the observer's window opens; {ra} and {dec} [deg] and {name} are filled in."""

    cutout: str = setting(
        "https://www.legacysurvey.org/viewer?ra={ra}&dec={dec}&zoom=16",
        "a survey's picture; empty: none",
        check=_check_link,
    )
    marshal: str = setting(
        "https://fritz.science/source/{name}", "the target's own page; empty: none", check=_check_link
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Classify:
    """Which spectra are classified, by what, and when a type is secure."""

    engine: str = setting(
        "auto",
        "auto | snid | snid-sage | none; auto: snid where it is installed, else snid-sage",
        choices=("auto", "snid", "snid-sage", "none"),
    )
    snid_program: str = setting("snid", "the program, by name or path")
    snid_parameters: tuple[str, ...] = setting(
        (
            "wmin=4000",
            "wmax=9500",
            "skyclip=1",
            "medlen=20",
            "aband=1",
            "rlapmin=4",
            "inter=0",
            "plot=2",
        ),
        "as on its command line",
        lines=True,
    )
    sage_templates: Path | None = setting(
        None,
        "snid-sage's bank; without it snid-sage is not used",
        more="The bank is a folder with template_index.json and templates_*.hdf5; sedmd bank installs one.",
        example='"/data/snid-sage/templates"',
    )
    sage_python: str = setting("", "a python that has snid-sage, if it is not the one that runs sedmd")
    sage_redshift_max: float = setting(0.3, "snid-sage looks from -0.01 to here")
    timeout_s: float = setting(300.0, "an engine that takes longer is killed with all that it started", unit="s")
    skip: tuple[str, ...] = setting(
        (
            "prefix:STD-",
            r"regex:BD[ _]?[+-]\d{1,2}[ _d]?\d{3,4}",
            r"regex:(Feige|HZ|Hiltner|Kopff|LTT)[ _-]?\d+",
            r"regex:(NGC|PGC)[ _-]?\d+[A-Z]?",
            r"regex:MCG[ _]?[+-]\d{2}-\d{2}-\d{3}[A-Z]?",
            r"regex:2MASX[ _]?J\d{8}[+-]\d{7}",
            r"regex:(TYC|Tycho)[ _-]?\d+-\d+-\d+",
            r"regex:SAO[ _]?\d+",
            r"regex:HD[ _]?\d+[A-Z]?",
        ),
        "names that are never classified",
        more="Targets that are never classified, of any quality: the whole name, lower and upper case alike, is"
        " exact:NAME, begins with prefix:NAME, or is regex:EXPRESSION."
        " Tabulated standards are known by the header as well.",
        check=check_pattern,
        lines=True,
    )
    secure_best: int = setting(5, "a type is secure if of so many best objects of the bank ...")
    secure_least: int = setting(3, "... so many are of it, at one redshift,")
    secure_weight: float = setting(0.8, "... carry this part of the scores,", least=0, most=1)
    secure_rlap: float = setting(8.0, "... and the best reaches this with snid, whose scores are rlap,")
    secure_rlap_unattended: float = setting(
        15.0,
        "... or this for a type Ia that no observer has looked at,",
        more="Of the type Ia that SNID finds in 4646 spectra of the instrument more than 98 % are right from an rlap of"
        " 15 on (Kim et al. 2024).",
    )
    secure_hslap: float = setting(5.0, "... or this with snid-sage, whose scores are HsLAP-CCC")
    secure_contrast: float = setting(
        0.2,
        "on a host, so much of the light at its place must be the target's",
        least=0,
        most=1,
        more="A target on a host is classified with and without the host's light; a type is secure only if both agree.",
    )
    secure_redshift_apart: float = setting(0.02, "further from the middle one, a redshift is another redshift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings; `origins` maps ``section.key`` to where the value comes from."""

    paths: Paths
    watch: Watch = field(default_factory=Watch)
    calibrations: Calibrations = field(default_factory=Calibrations)
    night: Night = field(default_factory=Night)
    jobs: Jobs = field(default_factory=Jobs)
    disk: Disk = field(default_factory=Disk)
    health: Health = field(default_factory=Health)
    log: Log = field(default_factory=Log)
    site: Site = field(default_factory=Site)
    instrument: Instrument = field(default_factory=Instrument)
    extraction: AutomaticExtraction = field(default_factory=AutomaticExtraction)
    guide: Guide = field(default_factory=Guide)
    products: Products = field(default_factory=Products)
    upload: Upload = field(default_factory=Upload)
    mail: Mail = field(default_factory=Mail)
    after: After = field(default_factory=After)
    web: Web = field(default_factory=Web)
    links: Links = field(default_factory=Links)
    classify: Classify = field(default_factory=Classify)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


SECTIONS: Mapping[str, type] = {name: kind for name, kind in get_type_hints(Settings).items() if name != "origins"}
#: Settings that only a restart can change: what is open already would not follow.
NEEDS_RESTART = tuple(
    f"{section}.{entry.name}"
    for section, kind in SECTIONS.items()
    for entry in dataclasses.fields(kind)
    if declared(entry).restart
)
