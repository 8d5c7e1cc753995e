"""The ASCII spectrum: header keys in their old order, three columns, nothing lost that matters."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.products.ascii import ascii_text, read_ascii, write_ascii
from sedmd.products.fitsio import ProductFault
from sedmd.reduce.numeric.containers import Spectrum

# kpy Check.check_spec writes them in this order
ORDER = (
    "TELESCOPE INSTRUMENT USER REQ_ID OBJECT OUTFILE RA DEC OBSUTC EXPTIME SKYSUB QUALITY REDUCER AIRMASS "
    "RAPASEC SKYLFWHMNM TRACEFWHMPX"
)


def make_spectrum(**meta):
    wavelength = np.linspace(3700.0, 9300.0, 220)
    flux = 3e-16 * np.cos(wavelength / 300)
    flux[[0, 100]] = np.nan
    return Spectrum(
        wavelength=wavelength,
        flux=flux,
        error=np.full(220, 1.234567e-17),
        sky=np.zeros(220),
        unit="erg / (s cm2 Angstrom)",
        meta=meta,
    )


FULL = {
    "target": "AT2019abc",
    "ra": "12:37:23.52",
    "dec": "+25:03:59.9",
    "utc": "2019-06-12 04:07:07.0",
    "exptime_s": 3600.0,
    "airmass": 1.236,
    "req_id": 77,
    "skysub": True,
    "quality": 2,
    "reducer": "Ada",
    "radius_arcsec": 2.44,
    "sky_line_fwhm_nm": 6.81,
    "trace_fwhm_px": 3.26,
}


def header_of(text):
    return dict(line[2:].split(": ", 1) for line in text.splitlines() if line.startswith("#") and ": " in line)


def test_header_keys_come_in_the_old_order():
    keys = [line[2:].split(":")[0] for line in ascii_text(make_spectrum(**FULL), outfile="x").splitlines()[:17]]
    assert keys == ORDER.split()


def test_header_values_have_the_old_forms():
    header = header_of(ascii_text(make_spectrum(**FULL), outfile="AT2019abc_SEDM.txt"))
    assert header["TELESCOPE"] == "P60" and header["INSTRUMENT"] == "SED-Machine"
    assert header["REQ_ID"] == "77" and header["OBJECT"] == "AT2019abc"
    assert header["OUTFILE"] == "AT2019abc_SEDM.txt"
    assert header["OBSUTC"] == "2019-06-12 04:07:07.0"
    assert header["EXPTIME"] == "3600" and header["AIRMASS"] == "1.24"
    assert header["SKYSUB"] == "On" and header["QUALITY"] == "2" and header["REDUCER"] == "Ada"
    assert (header["RAPASEC"], header["SKYLFWHMNM"], header["TRACEFWHMPX"]) == ("2.4", "6.8", "3.3")
    assert header["FLUXCAL"] == "True"


def test_unknown_figures_leave_the_file_readable():
    text = ascii_text(make_spectrum(req_id="none", quality=None), outfile="x")
    header = header_of(text + "")
    assert header["REQ_ID"] == "0" and header["QUALITY"] == "0" and header["REDUCER"] == "auto"
    assert "RAPASEC" not in header


def test_no_name_can_break_a_header_line():
    text = ascii_text(make_spectrum(target="a\nb: \u00e9 # [A]"), outfile="x")
    assert header_of(text)["OBJECT"] == "a?b: ? # [A]"


def test_columns_come_back_within_their_rounding(tmp_path):
    spectrum = make_spectrum(**FULL)
    write_ascii(tmp_path / "x_SEDM.txt", spectrum)
    back = read_ascii(tmp_path / "x_SEDM.txt")
    good = np.isfinite(spectrum.flux)
    assert good.sum() == 218
    assert_allclose(back.wavelength, spectrum.wavelength[good], rtol=0, atol=0.00501)
    assert_allclose(back.flux, spectrum.flux[good], rtol=5.1e-5)
    assert_allclose(back.error, spectrum.error[good], rtol=5.1e-5)
    assert back.header["OUTFILE"] == "x_SEDM.txt"
    assert np.all(np.diff(back.wavelength) > 0)


def test_numpy_reads_it_without_options(tmp_path):
    write_ascii(tmp_path / "x_SEDM.txt", make_spectrum(**FULL))
    assert np.loadtxt(tmp_path / "x_SEDM.txt").shape == (218, 3)


def test_instrumental_spectrum_says_so():
    spectrum = Spectrum(
        wavelength=np.array([5000.0]),
        flux=np.ones(1),
        error=np.ones(1),
        sky=np.ones(1),
        unit="electron / (s Angstrom)",
        meta={},
    )
    header = header_of(ascii_text(spectrum, outfile="x"))
    assert header["FLUXCAL"] == "False" and "electron" in header["UNITS"]


def test_two_columns_of_the_old_pipeline_are_read(tmp_path):
    (tmp_path / "old.txt").write_text("# OBJECT: SN1\n#QUALITY: 1\n  3800.0 1.0e-16\n  3825.5 2.0e-16\n")
    back = read_ascii(tmp_path / "old.txt")
    assert back.header == {"OBJECT": "SN1", "QUALITY": "1"}
    assert back.flux.tolist() == [1e-16, 2e-16]
    assert np.isnan(back.error).all()


def test_an_unreadable_line_is_named(tmp_path):
    (tmp_path / "bad.txt").write_text("# OBJECT: x\n5000 what\n")
    with pytest.raises(ProductFault, match=r"bad\.txt line 2"):
        read_ascii(tmp_path / "bad.txt")
