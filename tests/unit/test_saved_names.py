"""Names of what an observer saves, former versions, and how the apertures are drawn: without any cube."""

import pytest
from astropy.io import fits

from sedmd.core.quality import OBSERVER
from sedmd.observation import saved
from sedmd.observation.decisions import Placement
from sedmd.reduce.target.aperture import Ellipse


def spectrum(folder, name, step):
    header = fits.Header({} if step is None else {"STEP": step})
    fits.PrimaryHDU(header=header).writeto(folder / f"sp_{name}.fits", overwrite=True)


@pytest.mark.parametrize(("step", "name"), [(OBSERVER, "x"), ("calibrate", "x_redo"), (None, "x_redo")])
def test_only_what_an_observer_saved_gives_its_name_to_the_next(tmp_path, step, name):
    assert saved.name_for(tmp_path, "x") == "x"
    spectrum(tmp_path, "x", step)
    assert saved.name_for(tmp_path, "x") == name


def test_a_file_that_is_no_spectrum_does_not_say_which_step_made_it(tmp_path):
    path = tmp_path / "sp_x.fits"
    assert saved.step_of(path) is None
    path.write_bytes(b"no FITS")
    assert saved.step_of(path) == ""


def test_former_versions_are_numbered_on_and_hold_what_was_there(tmp_path):
    assert saved.keep_former(tmp_path, "x") is None and saved.former_versions(tmp_path, "x") == []
    for number in range(1, 12):
        (tmp_path / "x_SEDM.txt").unlink(missing_ok=True)
        (tmp_path / "x_SEDM.txt").write_text(str(number))
        kept = saved.keep_former(tmp_path, "x")
        assert kept == tmp_path / "former" / f"x.v{number}"
        assert [path.name for path in kept.iterdir()] == ["x_SEDM.txt"]
    # the oldest first, by number and not by letter
    versions = saved.former_versions(tmp_path, "x")
    assert [(path / "x_SEDM.txt").read_text() for path in versions] == [str(n) for n in range(1, 12)]
    assert (tmp_path / "x_SEDM.txt").read_text() == "11", "until the new ones take their names the files stay"


def test_a_folder_that_is_no_version_does_not_count(tmp_path):
    (tmp_path / "former" / "x.vold").mkdir(parents=True)
    (tmp_path / "x_SEDM.pdf").write_text("page")
    assert saved.keep_former(tmp_path, "x").name == "x.v1"


def test_apertures_of_a_pair_have_letters_and_that_of_b_is_negative():
    a = Ellipse(x_arcsec=3.0, y_arcsec=-4.0, semi_major_arcsec=2.0, axis_ratio=0.8, angle_deg=20.0)
    b = Ellipse(x_arcsec=-3.0, y_arcsec=4.0, semi_major_arcsec=2.5)
    first, second = saved._marks(Placement(a=a, b=b))
    assert (first.label, first.negative, second.label, second.negative) == ("A", False, "B", True)
    assert (first.x_arcsec, first.y_arcsec, first.semi_major_arcsec) == (3.0, -4.0, 2.0)
    assert (first.axis_ratio, first.angle_deg, second.semi_major_arcsec) == (0.8, 20.0, 2.5)
    [alone] = saved._marks(Placement(a=a))
    assert (alone.label, alone.negative) == ("", False)
