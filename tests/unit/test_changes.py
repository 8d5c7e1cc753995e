"""A spectrum against its former version: scaled, shifted, noisy and lost ones are told as what they are."""

import os

import numpy as np
import pytest

from sedmd.products.spectrum import write_spectrum
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reprocess.changes import Change, changes_of, compare, read_changes, spectra_in, table, write_changes

WAVELENGTH = np.linspace(3800.0, 9200.0, 216)
STEP = WAVELENGTH[1] - WAVELENGTH[0]


def shape(wavelength):
    lines = sum(np.exp(-0.5 * ((wavelength - centre) / 60.0) ** 2) for centre in (4200, 5100, 5900, 6563, 7600, 8500))
    return 3.0 + 1e-4 * wavelength + lines


def spectrum(flux=None, *, wavelength=WAVELENGTH, error=0.01, quality=1) -> Spectrum:
    flux = shape(wavelength) if flux is None else flux
    unit = "erg / (s cm2 Angstrom)"
    return Spectrum(
        wavelength=wavelength,
        flux=flux,
        error=np.full(len(wavelength), error),
        sky=np.zeros(len(wavelength)),
        unit=unit,
        meta={"quality": quality},
    )


def test_a_factor_is_the_ratio_and_no_shift():
    told = compare(spectrum(), spectrum(1.03 * shape(WAVELENGTH)))
    assert told["ratio"] == pytest.approx(1.03, rel=1e-6)
    assert told["scatter"] == pytest.approx(0, abs=1e-9)
    assert told["shift_a"] == pytest.approx(0, abs=0.01 * STEP)
    assert told["sigma"] == pytest.approx(1.4826 * 0.03 * np.median(shape(WAVELENGTH)) / 0.01, rel=1e-6)


@pytest.mark.parametrize("shift", [-61.0, -4.0, 0.0, 1.5, 20.0, 80.0])
def test_a_shift_is_found_to_a_fraction_of_a_sample(shift):
    told = compare(spectrum(), spectrum(shape(WAVELENGTH - shift)))
    assert told["shift_a"] == pytest.approx(shift, abs=0.05 * STEP)


def test_noise_is_scatter_and_a_difference_of_error_bars():
    noise = np.random.default_rng(1).normal(0, 0.1, len(WAVELENGTH))
    told = compare(spectrum(error=0.1), spectrum(shape(WAVELENGTH) + noise, error=0.1))
    assert told["sigma"] == pytest.approx(1.0, abs=0.2)
    assert told["scatter"] == pytest.approx(0.1 / np.median(shape(WAVELENGTH)), rel=0.3)
    assert told["ratio"] == pytest.approx(1.0, abs=0.01)


def test_other_wavelengths_are_compared_where_both_have_data():
    other = np.linspace(4100.0, 9900.0, 400)
    told = compare(spectrum(), spectrum(2 * shape(other), wavelength=other))
    assert told["ratio"] == pytest.approx(2.0, rel=1e-3)


def test_samples_without_data_and_below_the_noise_do_not_count():
    flux = shape(WAVELENGTH)
    flux[::7] = np.nan
    assert compare(spectrum(), spectrum(flux))["ratio"] == pytest.approx(1.0)
    faint = compare(spectrum(error=100.0), spectrum(error=100.0))
    assert faint["ratio"] is None and faint["sigma"] == 0.0
    empty = compare(spectrum(), spectrum(np.full(len(WAVELENGTH), np.nan)))
    assert set(empty.values()) == {None}


def test_spectra_without_anything_in_common_have_no_shift():
    rng = np.random.default_rng(2)
    one, other = (spectrum(10 + rng.normal(size=len(WAVELENGTH)), error=1.0) for _ in range(2))
    assert compare(one, other)["shift_a"] is None


def test_every_spectrum_of_a_night_has_a_state(tmp_path):
    before, now = tmp_path / "before", tmp_path / "now"
    for folder, names in ((before, "same moved gone broken"), (now, "same moved fresh broken")):
        folder.mkdir()
        for name in names.split():
            moved = folder is now and name == "moved"
            flux = 1.5 * shape(WAVELENGTH) if moved else None
            write_spectrum(folder / f"sp_{name}.fits", spectrum(flux, quality=3 if moved else 1))
    (now / "sp_broken.fits").write_bytes(b"SIMPLE  = no")
    changes = changes_of("20190612", spectra_in(before), spectra_in(now))
    states = {one.product: one.state for one in changes}
    assert states == {
        "same": "same",
        "moved": "changed",
        "gone": "vanished",
        "fresh": "appeared",
        "broken": "unreadable",
    }
    (moved,) = [one for one in changes if one.state == "changed"]
    assert moved.quality == (1, 3) and moved.ratio == pytest.approx(1.5)
    text = table(changes)
    assert text.startswith("1 same, 1 changed, 1 appeared, 1 vanished, 1 unreadable")
    assert "1 to 3" in text and "gone" in text
    write_changes(changes, tmp_path / "changes.json")
    assert read_changes(tmp_path / "changes.json") == changes


def test_a_pipe_among_the_products_is_unreadable_and_not_waited_for(tmp_path):
    for name in ("before", "now"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "before" / "sp_x.fits")
    write_spectrum(tmp_path / "now" / "sp_x.fits", spectrum())
    (change,) = changes_of("20190612", spectra_in(tmp_path / "before"), spectra_in(tmp_path / "now"))
    assert (change.state, "a pipe" in change.why) == ("unreadable", True)
    assert read_changes(tmp_path / "before" / "sp_x.fits") == []


def test_a_header_that_differs_is_no_change_of_the_spectrum(tmp_path):
    paths = {}
    for name, reducer in (("before", "x"), ("now", "y")):
        one = spectrum()
        one.meta["reducer"] = reducer
        paths[name] = tmp_path / f"{name}.fits"
        write_spectrum(paths[name], one)
    (told,) = changes_of("20190612", {"a": paths["before"]}, {"a": paths["now"]})
    assert told.state == "same"


def test_nothing_is_read_from_what_is_no_list_of_changes(tmp_path):
    for text in ("", "{}", "[1]", '[{"night": "x"}]'):
        (tmp_path / "changes.json").write_text(text)
        assert read_changes(tmp_path / "changes.json") == []
    assert table([]) == "no spectra"
    fresh = [Change(night="20190612", product=str(k), state="appeared") for k in range(50)]
    assert table(fresh) == "50 appeared: no former version"
    assert "..." in table([Change(night="20190612", product=str(k), state="vanished") for k in range(50)])
