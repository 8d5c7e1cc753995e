"""Which spectra of a night count: one for each observation, an observer's before the pipeline's."""

import pytest
from astropy.io import fits

from sedmd.after.classify.classify import why_skipped
from sedmd.after.deliver.outgoing import why_not
from sedmd.after.spectra import final_spectra


def spectrum(folder, name, **cards):
    header = fits.Header()
    for key, value in ({"STEP": "calibrate", "TARGET": name, "QUALITY": 0, "FLUXCAL": True} | cards).items():
        header[key] = value
    fits.PrimaryHDU(header=header).writeto(folder / f"sp_{name}.fits")


@pytest.fixture
def night(tmp_path):
    folder = tmp_path / "20190612"
    folder.mkdir()
    return folder


def test_one_for_each_observation_by_name(night):
    spectrum(night, "b_obs1", REDUCER="sedmd")
    spectrum(night, "a", QUALITY=2, REDUCER="ann", STEP="observer")
    found, errors = final_spectra(night)
    assert [(one.product, one.quality, one.usable, one.by_observer) for one in found] == [
        ("a", 2, True, True),
        ("b_obs1", 0, False, False),
    ]
    assert found[0].ascii == night / "a_SEDM.txt"
    assert errors == []


def test_an_observers_spectrum_takes_the_place_of_the_pipelines(night):
    spectrum(night, "a")
    spectrum(night, "a_redo", QUALITY=1, STEP="observer")
    (only,) = final_spectra(night)[0]
    assert (only.product, only.quality) == ("a", 1)
    assert only.page == night / "a_redo_SEDM.pdf"


def test_a_target_that_is_called_redo_is_a_target(night):
    spectrum(night, "x_redo")
    assert final_spectra(night)[0][0].product == "x_redo"


@pytest.mark.parametrize("quality", [7, -1, "good", 2.5])
def test_a_quality_that_is_none_counts_as_not_graded(night, quality):
    spectrum(night, "a", QUALITY=quality)
    assert final_spectra(night)[0][0].quality == 0


def test_a_damaged_file_is_told_and_costs_itself_only(night):
    spectrum(night, "a")
    (night / "sp_b.fits").write_bytes(b"no FITS")
    found, errors = final_spectra(night)
    assert [one.product for one in found] == ["a"]
    assert "sp_b.fits cannot be read" in errors[0]
    assert final_spectra(night / "nowhere") == ([], [])


@pytest.mark.parametrize(
    ("name", "cards", "standard"),
    [
        ("STD-Feige34_obs1", {"STDSTAR": True, "STDKEY": "feige34"}, True),
        ("STD-GD999_obs1", {"STDSTAR": True, "STDKEY": ""}, True),
        # of a version that knew tabulated stars only
        ("STD-GD999_obs2", {"STDSTAR": False, "TARGET": "STD-GD999"}, True),
        ("ZTF19abc", {"STDSTAR": False}, False),
        ("STDX", {}, False),
    ],
)
def test_every_standard_star_is_one_with_or_without_a_table(night, name, cards, standard):
    spectrum(night, name, QUALITY=1, **cards)
    (only,) = final_spectra(night)[0]
    assert only.standard is standard
    assert why_not(only) == ("standard star" if standard else "")
    assert why_skipped(only, ()) == ("a standard star" if standard else "")
