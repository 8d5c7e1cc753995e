"""Names of raw files: one stem, whatever the packing."""

from pathlib import Path

import pytest

from sedmd.raw.rawname import RAW_SUFFIXES, Packing, packing_of, stem_of
from sedmd.run.ingest import is_frame_name, night_by_name, raw_files

STEM = "ifu20190612_04_00_00"


@pytest.mark.parametrize("suffix", RAW_SUFFIXES)
def test_stem_is_the_same_for_every_packing(suffix):
    assert stem_of(STEM + suffix) == STEM
    assert stem_of(Path("/raw/20190612") / (STEM + suffix)) == STEM
    assert packing_of(STEM + suffix) is Packing(suffix)
    assert is_frame_name(Path(STEM + suffix), "ifu*.fits")
    assert night_by_name(Path(STEM + suffix)) == "20190612"


@pytest.mark.parametrize(
    "name", ["x.fits.bz2", "x.fit", "x.gz", "x.fits.gz.gz", "x", ".fits", ".fits.gz", "x.txt", "x.fits.fz.part"]
)
def test_other_names_have_no_packing_and_keep_themselves(name):
    assert packing_of(name) is None
    assert stem_of(name) == name
    assert not is_frame_name(Path(name))


@pytest.mark.parametrize(
    "name",
    [
        f".{STEM}.fits.Ab12Cd",
        f".{STEM}.fits",
        f"{STEM}.fits~",
        f"{STEM}.fits.tmp",
        f"{STEM}.fits.gz.part",
        f"{STEM}.part.fits",
        f"{STEM}.tmp.fits.gz",
        f"{STEM}\n.fits",
        f"{STEM}\x1b[2J.fits",
        f"{STEM}\udcff.fits",
        f"{STEM}é.fits",
        "rc20190612_04_00_00.fits",
        "rc20190612_04_00_00.fits.gz",
    ],
)
def test_names_of_copying_programs_and_of_other_cameras_are_no_frames(name):
    assert not is_frame_name(Path(name), "ifu*.fits")


def test_raw_files_are_found_in_every_packing(tmp_path):
    for name in ("ifu1.fits", "ifu2.fits.gz", "ifu3.fits.fz", ".ifu4.fits", "rc5.fits", "ifu6.fits.part", "notes.txt"):
        (tmp_path / name).touch()
    found = raw_files([tmp_path, tmp_path / "missing"], "ifu*.fits")
    assert [path.name for path in found] == ["ifu1.fits", "ifu2.fits.gz", "ifu3.fits.fz"]


@pytest.mark.parametrize(
    "place, night",
    [
        ("20190612/ifu20190611_23_00_00.fits", "20190612"),
        ("20190612/ifu99991231_23_00_00.fits", "20190612"),
        ("20190612/ifu20191399_23_00_00.fits", "20190612"),
        ("20190612/ifu.fits", "20190612"),
        ("elsewhere/ifu.fits", ""),
    ],
)
def test_night_of_a_file_that_cannot_be_read(place, night):
    assert night_by_name(Path(place)) == night
