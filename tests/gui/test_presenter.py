"""Commands of the observer, with a window that only counts."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from viewer_samples import make_cube, make_target

from sedmd.data.extinction import extinction_mag
from sedmd.errors import SedmError
from sedmd.products.ascii import read_ascii
from sedmd.products.solution import write_sensitivity
from sedmd.products.spectrum import read_spectrum, write_spectrum
from sedmd.reduce.containers import Spectrum
from sedmd.reduce.sensitivity import Sensitivity
from sedmview import store
from sedmview.actions import ACTIONS, action_for, help_text, press
from sedmview.model import Stage, extract, first_choice, subtract_pair
from sedmview.presenter import Files, Presenter
from sedmview.store import Entry


class NullView:
    """Runs work at once and counts what it was asked to show."""

    def __init__(self):
        self.shown = Counter()

    def __getattr__(self, name):
        if not name.startswith("show_"):
            raise AttributeError(name)
        return lambda: self.shown.update([name])

    def later(self, work):
        work()


def make_presenter(*, pair=False, save=None, n=2):
    cube = make_cube([(3.0, -4.0, 200.0)])
    if pair:
        cube = subtract_pair(cube, make_cube([(-3.0, 4.0, 200.0)], seed=2), 900, 900)
    entries = [Entry(product=f"T{number}", cubes=(Path("x"),)) for number in range(n)]
    files = Files(
        load=lambda entry: make_target(cube, pair=pair, product=entry.product),
        save=save or (lambda *_, **__: (Path("sp_T.fits"),)),
    )
    presenter = Presenter(entries=entries, files=files, view=NullView(), reducer="Ada")
    presenter.open(0)
    return presenter


def make_spectrum(**meta):
    wavelength = np.linspace(3800, 9200, 60)
    ones = np.ones(60)
    return Spectrum(wavelength=wavelength, flux=ones, error=ones, sky=ones, unit="electron / (s Angstrom)", meta=meta)


def extract_entry(redux):
    target = store.load(store.entries_of(redux)[0][2])
    return extract(target, first_choice(target)).spectrum


def do(presenter, keys):
    for key in keys.split():
        assert press(presenter, key) is not None, key


def test_every_key_means_one_thing_at_a_stage():
    for stage in Stage:
        used = Counter(key for action in ACTIONS if stage in action.stages for key in action.keys)
        assert [key for key, count in used.items() if count > 1] == []
    assert len({action.ident for action in ACTIONS}) == len(ACTIONS)


def test_help_names_every_action_once():
    titles = [title for _, rows in help_text() for _, title in rows]
    assert sorted(titles) == sorted(action.title for action in ACTIONS)


@pytest.mark.parametrize("key", ["A", "Space", "9"])
def test_other_keys_do_nothing(key):
    assert action_for(key, Stage.PLACE) is None


def test_scaling_then_placing():
    presenter = make_presenter()
    assert presenter.stage is Stage.SCALE
    high = presenter.choice.scale.high
    do(presenter, "< <")
    assert presenter.choice.scale.high < high
    do(presenter, ">")
    low = presenter.choice.scale.low
    do(presenter, ".")
    assert presenter.choice.scale.low > low
    do(presenter, "X")
    assert presenter.stage is Stage.PLACE
    assert presenter.choice.a.semi_major_arcsec == 2.0  # that x accepted, it did not enlarge


def test_q_goes_on_with_the_default_scale():
    presenter = make_presenter()
    scale = presenter.choice.scale
    do(presenter, "> > Q")
    assert presenter.choice.scale == scale and presenter.stage is Stage.PLACE


def test_pair_keeps_its_colours_symmetric():
    presenter = make_presenter(pair=True)
    do(presenter, "> . , < .")
    assert presenter.choice.scale.low == pytest.approx(-presenter.choice.scale.high)


def test_shape_keys():
    presenter = make_presenter()
    do(presenter, "X X X Z [ [ ] , , .")
    a = presenter.choice.a
    assert (a.semi_major_arcsec, a.axis_ratio, a.angle_deg) == (pytest.approx(2.2), 0.9, 10.0)


@pytest.mark.parametrize(("key", "dx", "dy"), [("Left", 0.1, 0), ("Right", -0.1, 0), ("Up", 0, 0.1), ("Down", 0, -0.1)])
def test_arrows_move_on_the_sky_as_on_the_screen(key, dx, dy):
    presenter = make_presenter()
    presenter.place(1.0, 2.0)
    do(presenter, key)
    assert (presenter.choice.a.x_arcsec, presenter.choice.a.y_arcsec) == pytest.approx((1 + dx, 2 + dy))


def test_click_places_a_then_b_with_the_shape_of_a():
    presenter = make_presenter(pair=True)
    do(presenter, "X X X [")
    presenter.place(3.1, -4.1)
    assert presenter.choice.active == "B"
    presenter.place(-3.1, 4.1)
    a, b = presenter.choice.a, presenter.choice.b
    assert (a.x_arcsec, a.y_arcsec, b.x_arcsec, b.y_arcsec) == (3.1, -4.1, -3.1, 4.1)
    assert (b.semi_major_arcsec, b.axis_ratio) == (a.semi_major_arcsec, a.axis_ratio)
    do(presenter, "Tab")
    presenter.place(3.0, -4.0)
    assert presenter.choice.a.x_arcsec == 3.0 and presenter.choice.active == "A"


def test_spectrum_follows_every_change_of_the_aperture_and_no_other():
    presenter = make_presenter()
    do(presenter, "X")
    before = presenter.view.shown["show_spectrum"]
    do(presenter, "> W 1 2")
    assert presenter.view.shown["show_spectrum"] == before
    do(presenter, "X Y [ ,")
    assert presenter.view.shown["show_spectrum"] == before + 4
    assert np.array_equal(presenter.spectrum.flux, extract(presenter.target, presenter.choice).spectrum.flux)


def test_undo_restores_choice_and_spectrum():
    presenter = make_presenter()
    do(presenter, "X")
    start, flux = presenter.choice, presenter.spectrum.flux
    presenter.place(0.0, 0.0)
    do(presenter, "X [ Y 3")
    do(presenter, "U U U U U")
    assert presenter.choice == start
    assert np.array_equal(presenter.spectrum.flux, flux)
    do(presenter, "U")
    assert presenter.message == "Nothing to undo"
    do(presenter, "Ctrl+Shift+Z")
    assert (presenter.choice.a.x_arcsec, presenter.choice.a.y_arcsec) == (0.0, 0.0)


@pytest.mark.parametrize(("pair", "clicks"), [(False, [(2.2, -4.6)]), (True, [(3.6, -3.3), (-2.1, 4.4)])])
def test_c_centres_on_the_object(pair, clicks):
    presenter = make_presenter(pair=pair)
    do(presenter, "X")
    for x, y in clicks:
        presenter.place(x, y)
    do(presenter, "C")
    if pair:
        do(presenter, "Tab C")
        assert (presenter.choice.b.x_arcsec, presenter.choice.b.y_arcsec) == pytest.approx((-3.0, 4.0), abs=0.1)
    assert (presenter.choice.a.x_arcsec, presenter.choice.a.y_arcsec) == pytest.approx((3.0, -4.0), abs=0.1)


def test_c_on_empty_sky_stays_where_it_is():
    presenter = make_presenter()
    presenter.place(-5.0, 5.0)
    do(presenter, "C")
    assert presenter.choice.a.x_arcsec == -5.0 and "by hand" in presenter.message


def test_sky_toggle_is_in_the_spectrum():
    presenter = make_presenter()
    do(presenter, "X Y")
    assert presenter.spectrum.meta["skysub"] is False
    assert np.nanmean(presenter.spectrum.flux) > 0.2


def test_no_object_is_grade_four_and_can_be_undone():
    presenter = make_presenter()
    do(presenter, "N")
    assert presenter.choice.grade == 4
    do(presenter, "U")
    assert presenter.choice.grade is None


def test_an_aperture_off_the_field_says_so_and_does_not_save():
    presenter = make_presenter()
    presenter.place(40.0, 0.0)
    assert presenter.spectrum is None and "off the field" in presenter.problem
    do(presenter, "1 Ctrl+S")
    assert "Not saved" in presenter.message


def test_saving_needs_grade_and_name(tmp_path):
    saved = []

    def save(target, choice, spectrum, *, reducer):
        saved.append((target, choice, spectrum, reducer))
        return store.save(target, choice, spectrum, reducer=reducer)

    presenter = make_presenter(save=save)
    do(presenter, "X Ctrl+S")
    assert "no grade yet" in presenter.message
    presenter.set_reducer(" ")
    do(presenter, "1 Ctrl+S")
    assert "no name yet" in presenter.message
    assert presenter.unsaved


def test_an_unsaved_grade_holds_the_observer_back_once():
    presenter = make_presenter()
    do(presenter, "X 1 PgDown")
    assert presenter.index == 0 and "not saved" in presenter.message
    do(presenter, "Ctrl+S PgDown")
    assert presenter.index == 1 and presenter.entries[0].state == "1 Ada"
    do(presenter, "PgDown")
    assert presenter.index == 1 and "last target" in presenter.message


def test_a_cube_that_cannot_be_read_leaves_the_open_one():
    presenter = make_presenter()

    def broken(entry):
        raise SedmError("e3d_x.fits: damaged")

    presenter.files = Files(load=broken, save=presenter.files.save)
    do(presenter, "PgDown")
    assert presenter.index == 0 and "damaged" in presenter.message


def test_a_full_disk_is_told_and_nothing_is_marked_as_saved():
    def full(*_, **__):
        raise OSError("No space left on device")

    presenter = make_presenter(save=full)
    do(presenter, "X 1 Ctrl+S")
    assert "Not saved: No space left" in presenter.message
    assert presenter.unsaved and presenter.entries[0].state == "waiting"


def test_prompt_leads_through_a_pair():
    presenter = make_presenter(pair=True)
    presenter.set_reducer("")
    prompts = [presenter.prompt]
    do(presenter, "X")
    prompts.append(presenter.prompt)
    presenter.place(3, -4)
    prompts.append(presenter.prompt)
    presenter.place(-3, 4)
    prompts.append(presenter.prompt)
    do(presenter, "2")
    prompts.append(presenter.prompt)
    presenter.set_reducer("Ada")
    prompts.append(presenter.prompt)
    for prompt, word in zip(prompts, ("Scale", "red", "blue", "Grade", "name", "Ctrl+S saves"), strict=True):
        assert word in prompt


def test_a_night_from_the_list_to_the_files(redux):
    entries, troubles = store.entries_of(redux)
    assert troubles == []
    assert [entry.product for entry in entries] == ["STD-Feige34_obs1", "ZTF19abc", "SN2019xyz_obs1"]
    presenter = Presenter(
        entries=entries, files=Files(load=store.load, save=store.save), view=NullView(), reducer="Ada L."
    )
    presenter.open(1)
    do(presenter, "X")
    presenter.place(3.0, -4.0)
    presenter.place(-3.0, 4.0)
    do(presenter, "2 Ctrl+S")
    assert "Saved sp_ZTF19abc.fits" in presenter.message
    spectrum, header = read_spectrum(redux / "sp_ZTF19abc.fits")
    assert np.array_equal(spectrum.flux, presenter.spectrum.flux)
    assert spectrum.meta["quality"] == 2 and spectrum.meta["reducer"] == "Ada L."
    assert spectrum.meta["exptime_s"] == 1800.0 and spectrum.meta["is_pair"] is True
    assert spectrum.meta["target"] == "ZTF19abc" and spectrum.meta["frame_b"] == "ifu20190612_04_28_02"
    assert header["STEP"] == "observer" and header["NINPUT"] == 2
    text = read_ascii(redux / "ZTF19abc_SEDM.txt")
    assert text.header["QUALITY"] == "2" and text.header["EXPTIME"] == "1800" and text.header["REDUCER"] == "Ada L."
    assert (redux / "ZTF19abc_SEDM.pdf").read_bytes().startswith(b"%PDF")
    states = {entry.product: entry.state for entry in store.entries_of(redux)[0]}
    assert states == {"STD-Feige34_obs1": "waiting", "ZTF19abc": "2 Ada L.", "SN2019xyz_obs1": "waiting"}


def test_a_spectrum_of_the_pipeline_is_never_overwritten(redux):
    entries, _ = store.entries_of(redux)
    automatic = redux / "sp_STD-Feige34_obs1.fits"
    write_spectrum(automatic, make_spectrum(quality=0, reducer="sedmd"), cards={"STEP": "calibrate"})
    before = automatic.read_bytes()
    presenter = Presenter(
        entries=store.entries_of(redux)[0],
        files=Files(load=store.load, save=store.save),
        view=NullView(),
        reducer="Ada",
    )
    assert presenter.entries[0].state == "automatic"
    presenter.open(0)
    do(presenter, "X 1 Ctrl+S")
    assert automatic.read_bytes() == before
    assert (redux / "sp_STD-Feige34_obs1_redo.fits").exists() and (redux / "STD-Feige34_obs1_redo_SEDM.txt").exists()
    do(presenter, "2 Ctrl+S")
    assert store.state_of(redux, entries[0].product) == "2 Ada"


def test_the_nights_flux_calibration_is_applied(redux):
    cube = store.load(store.entries_of(redux)[0][2]).field_cube
    n = len(cube.wavelength)
    sensitivity = Sensitivity(
        wavelength=cube.wavelength,
        value=np.full(n, 2e15),
        error=np.full(n, 0.02),
        telluric=np.zeros(n),
        stars=("Feige34",),
        scales=(1.0,),
        scatter=np.full(n, np.nan),
        floor=np.zeros(n),
    )
    plain = extract_entry(redux)
    write_sensitivity(redux / "std-correction.fits", sensitivity, cards={})
    presenter = Presenter(
        entries=store.entries_of(redux)[0],
        files=Files(load=store.load, save=store.save),
        view=NullView(),
        reducer="Ada",
    )
    presenter.open(2)
    spectrum = presenter.spectrum
    assert spectrum.unit == "erg / (s cm2 Angstrom)"
    airmass = presenter.target.meta["airmass"]
    expected = plain.flux / 2e15 * 10 ** (0.4 * extinction_mag(cube.wavelength) * airmass)
    assert np.allclose(spectrum.flux, expected, rtol=1e-12)
    do(presenter, "X 1 Ctrl+S")
    text = read_ascii(redux / "SN2019xyz_obs1_SEDM.txt")
    assert text.header["FLUXCAL"] == "True"


def test_a_damaged_cube_costs_that_cube_only(redux):
    path = redux / "e3d_crr_b_ifu20190612_05_10_00_SN2019xyz.fits"
    path.write_bytes(b"not FITS at all")
    entries, troubles = store.entries_of(redux)
    assert [entry.product for entry in entries] == ["STD-Feige34_obs1", "ZTF19abc"]
    assert len(troubles) == 1 and path.name in troubles[0]
