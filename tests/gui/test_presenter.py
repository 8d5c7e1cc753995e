"""Commands of the observer, with a window that only counts."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from viewer_samples import (
    NOW,
    Files,
    LaterJobs,
    do,
    entry_of,
    make_cube,
    make_header,
    make_observation,
    make_pair,
    make_presenter,
    presenter_on,
)

from sedmd.core.errors import SedmError
from sedmd.observation import decisions
from sedmd.observation.aperture import extract
from sedmd.observation.saved import former_versions, replay
from sedmd.products.cube import write_cube
from sedmd.products.spectrum import read_spectrum
from sedmview.actions import ACTIONS, action_for, help_text, keys, press, repeats
from sedmview.model import Stage, placement_of
from sedmview.pictures import LIMITS
from sedmview.targets import Filter, TargetStatus

# ---- the table of keys


def test_every_key_means_one_thing_at_a_stage():
    for stage in Stage:
        used = [key for action in ACTIONS if stage in action.stages for key in action.keys]
        assert len(used) == len(set(used))
    assert len({action.ident for action in ACTIONS}) == len(ACTIONS)


def test_help_names_every_action_but_fine_steps_once():
    titles = [title for _, rows in help_text() for _, title in rows]
    assert sorted(titles) == sorted(action.title for action in ACTIONS if not action.ident.endswith("-fine"))


def test_what_must_not_happen_twice_does_not_repeat():
    assert not any(repeats(key) for key in ("1", "2", "5", "N", "Return", "Ctrl+S", "X", "Q", "S", "Y", "Tab", "R"))
    assert all(repeats(key) for key in ("Left", "Z", "<", ">", "[", "U"))


@pytest.mark.parametrize("key", ["J", "Space", "9"])
def test_other_keys_do_nothing(key):
    assert action_for(key, Stage.PLACE) is None


def test_no_key_is_trouble_before_a_target_is_open():
    presenter = make_presenter(files=Files({}))
    for key in keys():
        press(presenter, key)
    assert presenter.state.choice is None and "No cube yet" in replace_message(presenter)


def replace_message(presenter):
    presenter.state.message = ""
    return presenter.prompt


@pytest.mark.parametrize("pair", [False, True])
def test_no_key_is_trouble_with_a_target(pair):
    presenter = make_presenter(pair=pair)
    for key in keys() * 2:
        press(presenter, key)
    assert presenter.state.choice is not None


# ---- scaling


def test_scaling_then_placing():
    presenter = make_presenter()
    assert presenter.state.stage is Stage.SCALE and presenter.state.phase == 0
    high = presenter.state.choice.scale.high
    do(presenter, "< <")
    assert presenter.state.choice.scale.high < high
    do(presenter, ">")
    low = presenter.state.choice.scale.low
    do(presenter, ".")
    step = presenter.state.choice.scale.low - low
    do(presenter, "Ctrl+.")
    assert step > 0 and presenter.state.choice.scale.low - low == pytest.approx(1.2 * step)
    do(presenter, "X")
    assert presenter.state.stage is Stage.PLACE and presenter.state.phase == 1
    size = presenter.state.choice.a.semi_major_arcsec
    do(presenter, "X")
    assert presenter.state.choice.a.semi_major_arcsec == pytest.approx(size + 0.2)


def test_q_goes_on_with_the_default_scale():
    presenter = make_presenter()
    scale = presenter.state.choice.scale
    do(presenter, "> > Q")
    assert presenter.state.choice.scale == scale and presenter.state.stage is Stage.PLACE


def test_pair_keeps_its_colours_symmetric():
    presenter = make_presenter(pair=True)
    do(presenter, "> . , < . A A A Ctrl+> T")
    scale = presenter.state.choice.scale
    assert 0.5 * (scale.low + scale.high) == pytest.approx(np.nanmedian(presenter.looking.picture()))


def test_automatic_limits_go_round():
    presenter = make_presenter()
    seen = []
    for _ in LIMITS:
        seen.append(presenter.state.choice.scale.how)
        do(presenter, "A")
    assert sorted(seen) == sorted(LIMITS) and presenter.state.choice.scale.how == seen[0]


def test_wavelengths_by_key_and_by_number():
    presenter = make_presenter()
    windows = [presenter.state.choice.window]
    for _ in range(5):
        do(presenter, "W")
        windows.append(presenter.state.choice.window)
    assert len(set(windows)) == 6
    do(presenter, "W")
    assert presenter.state.choice.window == windows[0]
    presenter.looking.set_window(5600.0, 5000.0)
    assert presenter.state.choice.window == (5000.0, 5600.0)
    do(presenter, "Ctrl+Right")
    assert presenter.state.choice.window == (5300.0, 5900.0)


def test_h_alpha_follows_the_redshift():
    presenter = make_presenter()
    presenter.looking.set_redshift(0.1)
    for _ in range(5):
        do(presenter, "W")
    low, high = presenter.state.choice.window
    assert low < 6562.8 * 1.1 < high and presenter.state.line_set > 0


# ---- placing


@pytest.mark.parametrize(
    ("key", "dx", "dy"),
    [("Left", 0.1, 0), ("Right", -0.1, 0), ("Up", 0, 0.1), ("Down", 0, -0.1), ("Shift+Left", 0.02, 0)],
)
def test_arrows_move_on_the_sky_as_on_the_screen(key, dx, dy):
    presenter = make_presenter()
    presenter.placing.place(1.0, 2.0)
    do(presenter, key)
    assert (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec) == pytest.approx((1 + dx, 2 + dy))


def test_shape_keys():
    presenter = make_presenter()
    do(presenter, "X")
    before = presenter.state.choice.a
    do(presenter, "X X Z [ [ ] , , . Shift+X Ctrl+]")
    a = presenter.state.choice.a
    assert a.semi_major_arcsec == pytest.approx(before.semi_major_arcsec + 0.25)
    assert (a.axis_ratio, a.angle_deg) == (pytest.approx(0.92), 10.0)


def test_the_ellipse_follows_the_pointer_until_the_click():
    presenter = make_presenter()
    do(presenter, "X")
    rest = presenter.state.choice.a
    presenter.placing.point(-2.0, 3.0)
    assert presenter.state.floating and (presenter.state.shown.a.x_arcsec, presenter.state.shown.a.y_arcsec) == (
        -2.0,
        3.0,
    )
    assert presenter.spectra.extraction.spectrum.meta["x_arcsec"] == -2.0  # and so does the spectrum
    presenter.placing.point(None, None)
    assert presenter.state.shown.a == rest  # the pointer left: nothing jumps anywhere else
    presenter.placing.place(2.5, -3.5)
    presenter.placing.point(-2.0, 3.0)
    assert not presenter.state.floating and presenter.state.shown.a.x_arcsec == 2.5


def test_a_key_with_the_pointer_outside_changes_no_place():
    presenter = make_presenter()
    do(presenter, "X")
    presenter.placing.point(None, None)
    place = (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec)
    do(presenter, "Z X [ ] , . Y")
    assert (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec) == place


def test_click_places_a_then_b_where_the_nod_predicts():
    presenter = make_presenter(pair=True)
    do(presenter, "X X X [")
    presenter.placing.point(3.1, -4.1)
    presenter.placing.place(3.1, -4.1)
    assert presenter.state.phase == 2 and presenter.state.choice.active == "B"
    assert (presenter.state.choice.b.x_arcsec, presenter.state.choice.b.y_arcsec) == pytest.approx((-2.9, 3.9))
    assert presenter.state.choice.b.axis_ratio == presenter.state.choice.a.axis_ratio
    presenter.placing.point(3.6, -4.0)  # still near the click: B waits at the prediction
    assert presenter.state.shown.b == presenter.state.choice.b
    presenter.placing.point(-2.0, 3.0)
    assert presenter.state.shown.b.x_arcsec == -2.0 and presenter.state.shown.a.x_arcsec == 3.1
    presenter.placing.place(-3.1, 4.1)
    assert presenter.state.phase == 3 and presenter.state.choice.b.x_arcsec == -3.1
    do(presenter, "Tab")
    presenter.placing.place(3.0, -4.0)
    assert presenter.state.choice.a.x_arcsec == 3.0 and presenter.state.choice.active == "A"
    assert presenter.state.choice.b.x_arcsec == -3.1


def test_b_that_was_not_moved_stays_at_the_prediction_when_graded():
    presenter = make_presenter(pair=True)
    do(presenter, "X")
    presenter.placing.place(3.0, -4.0)
    presenter.placing.point(8.0, 8.0)
    do(presenter, "1")
    assert (presenter.state.shown.b.x_arcsec, presenter.state.shown.b.y_arcsec) == pytest.approx((-3.0, 4.0))


def test_a_click_outside_the_field_places_nothing():
    presenter = make_presenter()
    do(presenter, "X")
    before = presenter.state.choice
    presenter.placing.place(40.0, 0.0)
    assert presenter.state.choice == before and "outside the field" in presenter.state.message


def test_one_drag_is_one_step_of_undo():
    presenter = make_presenter()
    presenter.placing.place(0.0, 0.0)
    assert presenter.placing.grab(0.2, 0.2, 0.3)
    for x in np.linspace(0.2, 3.0, 20):
        presenter.placing.drag(x, 0.2)
    presenter.placing.drop()
    assert presenter.state.choice.a.x_arcsec == pytest.approx(2.8)
    do(presenter, "U")
    assert presenter.state.choice.a.x_arcsec == 0.0
    assert not presenter.placing.grab(8.0, 8.0, 0.3)


def test_a_grip_on_the_other_aperture_makes_it_the_active_one():
    presenter = make_presenter(pair=True)
    do(presenter, "S")
    assert presenter.state.choice.active == "A" and presenter.placing.grab(-3.0, 4.0, 0.3)
    presenter.placing.drag(-3.5, 4.0)
    presenter.placing.drop()
    assert presenter.state.choice.active == "B" and presenter.state.choice.b.x_arcsec == pytest.approx(-3.5, abs=0.1)


def test_one_key_takes_the_suggestion():
    presenter = make_presenter(pair=True)
    do(presenter, "S")
    a, b = presenter.state.choice.a, presenter.state.choice.b
    assert (a.x_arcsec, a.y_arcsec, b.x_arcsec, b.y_arcsec) == pytest.approx((3.0, -4.0, -3.0, 4.0), abs=0.1)
    assert presenter.state.phase == 3 and not presenter.state.floating


def test_the_suggestion_moves_nothing_that_was_placed():
    jobs = LaterJobs()
    presenter = make_presenter(jobs=jobs)
    jobs.run()
    presenter.opening.open(presenter.state.entries[0])
    jobs.run("load")
    presenter.placing.place(-5.0, 5.0)
    jobs.run("search")
    assert presenter.state.suggestion.a is not None and presenter.state.choice.a.x_arcsec == -5.0


@pytest.mark.parametrize(("pair", "clicks"), [(False, [(2.2, -4.6)]), (True, [(3.6, -3.3), (-2.1, 4.4)])])
def test_c_centres_on_the_object(pair, clicks):
    presenter = make_presenter(pair=pair)
    do(presenter, "X")
    for x, y in clicks:
        presenter.placing.place(x, y)
    do(presenter, "C")
    if pair:
        do(presenter, "Tab C")
        assert (presenter.state.choice.b.x_arcsec, presenter.state.choice.b.y_arcsec) == pytest.approx(
            (-3.0, 4.0), abs=0.1
        )
    assert (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec) == pytest.approx((3.0, -4.0), abs=0.1)


def test_c_on_empty_sky_stays_where_it_is():
    presenter = make_presenter()
    presenter.placing.place(-5.0, 5.0)
    do(presenter, "C")
    assert presenter.state.choice.a.x_arcsec == -5.0 and "by hand" in presenter.state.message


def test_numbers_are_typed():
    presenter = make_presenter()
    presenter.placing.place(0.0, 0.0)
    for number, value in enumerate((1.5, -2.5, 3.0, 0.5, 200.0)):
        presenter.placing.set_aperture(number, value)
    a = presenter.state.choice.a
    assert (a.x_arcsec, a.y_arcsec, a.semi_major_arcsec, a.axis_ratio, a.angle_deg) == (1.5, -2.5, 3.0, 0.5, 20.0)
    presenter.placing.set_aperture(2, 0.0)  # a zero size becomes the smallest there is
    assert presenter.state.choice.a.semi_major_arcsec == 0.4 and presenter.spectra.extraction is not None


# ---- the spectrum


def test_the_spectrum_is_that_of_what_is_shown_always():
    presenter = make_presenter(pair=True)
    do(presenter, "S")
    for key in ["X", "Y", "[", ",", "Left", "U", "U", "Tab", "Z", "P", "U", "Ctrl+Y"]:
        do(presenter, key)
        own = extract(
            presenter.state.observation, placement_of(presenter.state.shown, presenter.state.suggestion)
        ).spectrum
        assert np.array_equal(presenter.spectra.extraction.spectrum.flux, own.flux), key


@pytest.mark.parametrize("pair", [False, True])
def test_s_takes_the_pipelines_own_spectrum_and_f_goes_between_it_and_the_aperture(pair):
    presenter = make_presenter(pair=pair)
    do(presenter, "X S")
    own, aperture = presenter.state.suggestion.fitted.spectrum, presenter.spectra.other
    assert presenter.spectra.extraction.fitted and np.array_equal(presenter.spectra.extraction.spectrum.flux, own.flux)
    assert np.nanmedian(aperture.flux / own.flux) == pytest.approx(1.0, abs=0.05)
    assert aperture.meta["method"] != own.meta["method"]
    do(presenter, "F")
    assert not presenter.spectra.extraction.fitted and np.array_equal(
        presenter.spectra.extraction.spectrum.flux, aperture.flux
    )
    assert np.array_equal(presenter.spectra.other.flux, own.flux)
    do(presenter, "F 1 Return")
    [(_, placement, _)] = presenter.desk.files.saved
    assert placement.fit == presenter.state.suggestion.told


@pytest.mark.parametrize("key", ["Left", "Z", "[", "Y", "P", "N"])
def test_whoever_changes_the_aperture_gets_the_spectrum_of_the_aperture(key):
    presenter = make_presenter()
    do(presenter, f"X S {key}")
    assert not presenter.spectra.extraction.fitted
    moved = key in ("Left", "Z", "[")
    do(presenter, "F")
    assert presenter.spectra.extraction.fitted == (key in ("Y", "P"))
    assert (presenter.spectra.other is None) == (moved or key == "N")
    assert not moved or "S takes those of the pipeline" in presenter.state.message
    do(presenter, "U U" if key in ("Y", "P") else "U")
    assert presenter.spectra.extraction.fitted


def test_where_the_pipeline_has_no_spectrum_f_says_so():
    presenter = make_presenter(files=Files({"empty": make_observation(make_cube(), product="empty")}))
    do(presenter, "X F")
    assert not presenter.state.choice.fitted and "has no spectrum" in presenter.state.message


def test_it_is_extracted_once_for_each_change():
    presenter = make_presenter()
    do(presenter, "S")
    first = presenter.spectra.extraction
    do(presenter, "> W 1 2 A T M I K L")
    assert presenter.spectra.extraction is first
    do(presenter, "Z")
    assert presenter.spectra.extraction is not first


def test_sky_toggle_is_in_the_spectrum():
    presenter = make_presenter()
    do(presenter, "S Y")
    assert presenter.spectra.extraction.spectrum.meta["skysub"] is False
    do(presenter, "Y")
    assert presenter.spectra.extraction.spectrum.meta["skysub"] is True


def test_too_few_sky_spaxels_are_told_and_do_not_save():
    files = Files({"T0": make_observation(make_cube([(0.0, 0.0, 200.0)], reach=2.5), product="T0")})
    presenter = make_presenter(files=files)
    do(presenter, "X")
    presenter.placing.place(0.0, 0.0)
    presenter.placing.set_aperture(2, 9.0)
    assert presenter.spectra.extraction is None and "sky" in presenter.spectra.problem
    do(presenter, "1 Return")
    assert "Not saved" in presenter.state.message and files.saved == []


def test_an_aperture_off_the_field_says_so_and_does_not_save():
    presenter = make_presenter()
    presenter.placing.place(0.0, 0.0)
    presenter.placing.set_aperture(0, 40.0)
    assert presenter.spectra.extraction is None and "off the field" in presenter.spectra.problem
    do(presenter, "1 Return")
    assert "Not saved" in presenter.state.message and presenter.desk.files.saved == []
    do(presenter, "U U")
    assert presenter.spectra.extraction is not None


# ---- undo


def test_undo_restores_choice_and_spectrum():
    presenter = make_presenter()
    do(presenter, "X")
    start = presenter.state.choice
    flux = presenter.spectra.extraction.spectrum.flux
    presenter.placing.place(0.0, 0.0)
    do(presenter, "X [ Y 3")
    do(presenter, "U U U U U")
    assert presenter.state.choice == start
    assert np.array_equal(presenter.spectra.extraction.spectrum.flux, flux)
    do(presenter, "U")
    assert presenter.state.message == "Nothing to undo"
    do(presenter, "Ctrl+Y")
    assert (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec) == (0.0, 0.0)


# ---- grade and save


def test_prompt_leads_through_a_pair():
    presenter = make_presenter(pair=True, reducer="")
    prompts, phases = [presenter.prompt], [presenter.state.phase]

    def look():
        prompts.append(presenter.prompt)
        phases.append(presenter.state.phase)

    do(presenter, "X")
    look()
    presenter.placing.place(3, -4)
    look()
    presenter.placing.place(-3, 4)
    look()
    do(presenter, "2")
    look()
    presenter.saving.set_reducer("Ada")
    look()
    do(presenter, "Return")
    look()
    words = ("Scale", "red", "blue", "Grade", "name", "Enter saves", "Saved")
    assert all(word in prompt for prompt, word in zip(prompts, words, strict=True)), prompts
    assert phases == [0, 1, 2, 3, 4, 4, 5]


def test_a_clear_pair_takes_four_keys_from_opening_to_saved():
    presenter = make_presenter(pair=True)
    strokes = ["X", "S", "1", "Return"]
    do(presenter, " ".join(strokes))
    assert len(strokes) <= 6 and [product for product, _, _ in presenter.desk.files.saved] == ["T0"]


def test_nothing_is_graded_good_before_it_is_placed():
    presenter = make_presenter()
    do(presenter, "X 1")
    assert presenter.state.choice.grade is None and "Place A first" in presenter.state.message
    do(presenter, "5")  # a bogus target has nothing to place
    assert presenter.state.choice.grade == 5


def test_saving_needs_grade_and_name():
    presenter = make_presenter(reducer="")
    do(presenter, "S Return")
    assert "no grade yet" in presenter.state.message
    do(presenter, "1 Return")
    assert "no name yet" in presenter.state.message and presenter.state.wants_name
    presenter.saving.set_reducer("  Ada   L. ")
    do(presenter, "Return")
    assert presenter.desk.files.saved[0][2].reducer == "Ada L."
    assert presenter.desk.files.settings == {"reducer": "Ada L."}


def test_no_object_is_grade_four_and_can_be_undone():
    presenter = make_presenter()
    do(presenter, "N")
    assert (
        presenter.state.choice.grade == 4 and not presenter.state.choice.object_visible and not presenter.state.floating
    )
    do(presenter, "U")
    assert presenter.state.choice.grade is None and presenter.state.choice.object_visible
    do(presenter, "N Return")
    assert presenter.desk.files.saved[0][2].object_visible is False


def test_enter_goes_on_after_saving_and_a_held_key_saves_once():
    presenter = make_presenter()
    do(presenter, "S 1 Return")
    assert presenter.state.entry.state is TargetStatus.DONE and "Enter: next" in presenter.state.message
    do(presenter, "Return")
    assert presenter.state.entry.product == "T1" and len(presenter.desk.files.saved) == 1


def test_while_it_is_saving_the_observer_goes_on():
    jobs = LaterJobs()
    presenter = make_presenter(jobs=jobs)
    jobs.run()
    presenter.opening.open(presenter.state.entries[0])
    jobs.run()
    jobs.run()
    do(presenter, "S 1 Return")
    assert "Saving T0" in presenter.state.message and presenter.desk.files.saved == []
    do(presenter, "Return")
    jobs.run("load")
    assert presenter.state.entry.product == "T1"
    jobs.run("save")
    assert entry_of(presenter, "T0").state is TargetStatus.DONE and presenter.state.entry.product == "T1"
    assert presenter.state.choice.grade is None and not presenter.state.locked


def test_a_full_disk_is_told_and_enter_tries_again():
    presenter = make_presenter()
    good = presenter.desk.files.save

    def full(*_):
        raise OSError("No space left on device")

    presenter.desk.files.save = full
    do(presenter, "S 1 Return")
    assert "Not saved: T0: No space left" in presenter.state.message and presenter.state.warning
    assert entry_of(presenter, "T0").state is TargetStatus.READY and not presenter.state.locked
    presenter.desk.files.save = good
    do(presenter, "Return")
    assert presenter.state.entry.state is TargetStatus.DONE


def test_a_partial_pair_needs_a_deliberate_choice():
    presenter = make_presenter(T0={"half": "A", "state": TargetStatus.PAIR})
    assert "Only A: B has not come yet" in presenter.prompt
    do(presenter, "S 1 Return")
    assert "one half of a pair" in presenter.state.message and presenter.desk.files.saved == []
    do(presenter, "Shift+P Return")
    assert presenter.desk.files.saved[0][2].partial is True


def test_the_ready_ones_come_first():
    presenter = make_presenter(n=3, T0={"half": "A", "state": TargetStatus.PAIR})
    presenter.state.entry = None
    presenter.opening.open_first()
    assert presenter.state.entry.product == "T1"


# ---- the list


def test_next_and_previous():
    presenter = make_presenter(n=3)
    do(presenter, "PgDown PgDown")
    assert presenter.state.entry.product == "T2"
    do(presenter, "PgDown")
    assert "last target" in presenter.state.message and presenter.state.entry.product == "T2"
    do(presenter, "PgUp")
    assert presenter.state.entry.product == "T1"


def test_what_was_chosen_last_is_what_opens():
    jobs = LaterJobs()
    presenter = make_presenter(n=3, jobs=jobs)
    jobs.run()
    do(presenter, "PgDown")
    do(presenter, "PgDown")
    waiting = [one for one in jobs.waiting if one[0] == "load"]
    for one in reversed(waiting):  # the disk answers in any order
        one[2](one[1]())
    assert presenter.state.entry.product == "T1" and presenter.state.opening is None


def test_a_cube_that_cannot_be_read_leaves_the_open_one():
    presenter = make_presenter()

    def broken(entry):
        raise SedmError(f"{entry.product}.fits: damaged")

    presenter.desk.files.load = broken
    presenter.opening._ready.clear()
    do(presenter, "PgDown")
    assert presenter.state.entry.product == "T0" and "damaged" in presenter.state.message
    assert entry_of(presenter, "T1").state is TargetStatus.FAILED


def test_trouble_with_the_list_is_told_once(caplog):
    presenter = make_presenter()
    presenter.desk.files.entries = lambda: (list(presenter.desk.files.list), ["e3d_x.fits: cut"])
    presenter.listing.refresh()
    assert presenter.state.message == "e3d_x.fits: cut" and presenter.state.warning
    do(presenter, "X")
    presenter.listing.refresh()
    assert presenter.state.message == "" and caplog.text.count("e3d_x.fits: cut") == 1


def test_what_the_pipeline_graded_does_not_ask_for_the_observer():
    presenter = make_presenter(
        n=3,
        T1={"state": TargetStatus.AUTOMATIC, "quality": 1, "reducer": "sedmd"},
        T2={"state": TargetStatus.AUTOMATIC},
    )
    assert presenter.state.entry.product == "T0"
    assert presenter.listing.next_ready().product == "T2"
    presenter.opening.open(entry_of(presenter, "T2"))
    do(presenter, "PgUp")
    assert presenter.state.entry.product == "T1", "it can be looked at all the same"


def test_a_night_from_the_list_to_the_files(redux, tmp_path):
    presenter = presenter_on(redux, tmp_path / "state", reducer="Ada L.")
    states = {entry.product: entry.state for entry in presenter.state.entries}
    assert states == {
        "STD-Feige34_obs1": TargetStatus.READY,
        "ZTF19abc": TargetStatus.READY,
        "SN2019xyz_obs1": TargetStatus.READY,
        "ZTF19half_obs1": TargetStatus.PAIR,
    }
    assert presenter.state.entries[-1].product == "ZTF19half_obs1" and presenter.state.entries[-1].partial
    pair = entry_of(presenter, "ZTF19abc")
    assert pair.pair and pair.exptime_s == 900.0 and pair.airmass == pytest.approx(1.3)
    presenter.opening.open(pair)
    do(presenter, "X S 2 Return")
    assert "Saved ZTF19abc, 2 acceptable" in presenter.state.message
    spectrum, _ = read_spectrum(redux / "sp_ZTF19abc.fits")
    assert np.array_equal(spectrum.flux, presenter.spectra.extraction.spectrum.flux, equal_nan=True)
    assert spectrum.meta["quality"] == 2 and spectrum.meta["reducer"] == "Ada L."
    assert set(replay(redux / "ZTF19abc.decision.json").values()) == {"same bytes"}
    again = presenter_on(redux, tmp_path / "state")
    done = entry_of(again, "ZTF19abc")
    assert (done.state, done.quality, done.reducer) == (TargetStatus.DONE, 2, "Ada L.")
    assert again.state.entries[1] is done, "what is saved stays where it is"


def test_a_saved_target_is_shown_as_it_was_and_redone_deliberately(redux, tmp_path):
    presenter = presenter_on(redux, tmp_path / "state")
    presenter.opening.open(entry_of(presenter, "SN2019xyz_obs1"))
    do(presenter, "S [ Y 1 Return")
    before = (redux / "sp_SN2019xyz_obs1.fits").read_bytes()
    presenter = presenter_on(redux, tmp_path / "state", reducer="Max")
    presenter.opening.open(entry_of(presenter, "SN2019xyz_obs1"))
    assert presenter.state.locked and presenter.state.choice.a.axis_ratio == 0.9 and not presenter.state.choice.skysub
    do(presenter, "Z 3 U Left")
    presenter.placing.place(0.0, 0.0)
    assert "R redoes it" in presenter.prompt and presenter.state.choice.a.axis_ratio == 0.9
    assert np.array_equal(
        presenter.spectra.extraction.spectrum.flux, read_spectrum(redux / "sp_SN2019xyz_obs1.fits")[0].flux
    )
    do(presenter, "R Y 2 Return")
    assert decisions.read(redux / "SN2019xyz_obs1.decision.json").reducer == "Max"
    [former] = former_versions(redux, "SN2019xyz_obs1")
    assert (former / "sp_SN2019xyz_obs1.fits").read_bytes() == before
    assert decisions.read(former / "SN2019xyz_obs1.decision.json").quality == 1


def test_filters_of_the_seed(redux, tmp_path):
    presenter = presenter_on(redux, tmp_path / "state")

    def shown():
        return {entry.product for entry in presenter.state.shown_entries}

    do(presenter, "F3")
    assert shown() == {"ZTF19abc", "SN2019xyz_obs1", "ZTF19half_obs1"} and presenter.state.entry.product == "ZTF19abc"
    do(presenter, "F4")
    assert shown() == {"SN2019xyz_obs1"} and presenter.state.entry.product == "SN2019xyz_obs1"
    do(presenter, "S 1 Return F6")
    assert presenter.state.filter is Filter.REDO and shown() == {"SN2019xyz_obs1"}
    do(presenter, "F2")
    assert len(shown()) == 4


def test_new_cubes_appear_by_themselves_and_b_completes_the_pair(redux, tmp_path):
    late = redux / "e3d_crr_b_ifu20190612_04_28_02_ZTF19abc.fits"
    aside = tmp_path / "late.fits"
    late.rename(aside)
    presenter = presenter_on(redux, tmp_path / "state")
    half = entry_of(presenter, "ZTF19abc_obs1")
    assert half.state is TargetStatus.READY and half.partial, "other targets followed: nobody waits for it"
    presenter.opening.open(entry_of(presenter, "SN2019xyz_obs1"))
    aside.rename(late)
    presenter.listing.refresh()
    assert entry_of(presenter, "ZTF19abc").pair and presenter.state.entry.product == "SN2019xyz_obs1"


def test_a_cube_made_anew_is_read_again_and_the_apertures_stay(redux, tmp_path):
    presenter = presenter_on(redux, tmp_path / "state")
    presenter.opening.open(entry_of(presenter, "SN2019xyz_obs1"))
    do(presenter, "S [ 1")
    path = presenter.state.entry.cubes[0]
    write_cube(path, make_cube([(-2.0, 2.0, 90.0)], seed=8), header=make_header("SN2019xyz", 0.215))
    do(presenter, "Return")
    assert "F5 opens it again" in presenter.state.message and not (redux / "sp_SN2019xyz_obs1.fits").exists()
    do(presenter, "F5")
    assert presenter.state.choice.a.axis_ratio == 0.9 and presenter.state.choice.grade == 1
    do(presenter, "Return")
    own = extract(
        presenter.state.observation, placement_of(presenter.state.choice, presenter.state.suggestion)
    ).spectrum
    assert np.array_equal(read_spectrum(redux / "sp_SN2019xyz_obs1.fits")[0].flux, own.flux)
    assert 1.1 < np.mean(own.flux) < 1.3  # the star was three times as bright before


# ---- nothing is lost


def test_what_is_not_saved_survives(redux, tmp_path):
    presenter = presenter_on(redux, tmp_path / "state")
    presenter.opening.open(entry_of(presenter, "ZTF19abc"))
    do(presenter, "> S X [ Y Tab Left 2")
    choice = presenter.state.choice
    again = presenter_on(redux, tmp_path / "state")  # nothing was closed: this is what a crash leaves
    again.opening.open(entry_of(again, "ZTF19abc"))
    assert again.state.choice == choice and again.state.stage is Stage.PLACE and "Restored" in again.state.message
    do(again, "Return")
    assert (redux / "sp_ZTF19abc.fits").exists()
    third = presenter_on(redux, tmp_path / "state")
    assert third.desk.files.draft(entry_of(third, "ZTF19abc")) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": "scale"}', '{"stage": 3, "a": null}'])
def test_a_damaged_draft_costs_the_draft_only(redux, tmp_path, content):
    presenter = presenter_on(redux, tmp_path / "state")
    entry = entry_of(presenter, "ZTF19abc")
    presenter.desk.files.keep_draft(entry, {"x": 1})
    [path] = (tmp_path / "state" / "drafts").rglob("*.json")
    path.write_text(content)
    presenter.opening.open(entry)
    assert presenter.state.choice is not None and presenter.state.stage is Stage.SCALE


def test_trouble_with_drafts_is_told_and_stops_nothing():
    presenter = make_presenter()

    def readonly(*_, **__):
        raise OSError("Read-only file system")

    presenter.desk.files.keep_draft = readonly
    do(presenter, "S")
    assert "Read-only" in presenter.state.message
    do(presenter, "1 Return")
    assert len(presenter.desk.files.saved) == 1


def test_a_pair_opens_with_its_facts():
    presenter = make_presenter(pair=True)
    assert presenter.state.choice.b is not None and presenter.desk.clock() == NOW
    assert make_pair().pair and all(a != b for a, b in pairwise(presenter.state.choice.letters))
    assert replace(presenter.state.choice, active="B").aperture == presenter.state.choice.b


# ---- a spectrum of somebody else's


def published_file(folder, name="published.txt"):
    path = folder / name
    rows = "\n".join(f"{n} {1e-15 * (2 + n % 50)} 1e-33" for n in range(3800, 9200, 25))
    path.write_text(f"# OBJECT: ZTF18abcdefg  [A]\n# HYPERGAL: 1.5.0\n{rows}\n")
    return path


def test_a_published_spectrum_is_laid_over_and_taken_away(tmp_path):
    presenter = make_presenter()
    press(presenter, "O")
    assert presenter.desk.view.shown["comparison"] == 1  # the window asks for the file
    presenter.spectra.compare(published_file(tmp_path))
    assert presenter.state.comparison.name == "ZTF18abcdefg"
    assert "third column taken as variance" in presenter.state.message
    presenter.opening.open(presenter.state.entries[1])
    assert presenter.state.comparison is not None
    press(presenter, "O")
    assert presenter.state.comparison is None and presenter.desk.view.shown["comparison"] == 1


def test_a_file_that_is_no_spectrum_costs_a_message(tmp_path):
    presenter = make_presenter()
    presenter.spectra.compare(tmp_path / "absent.txt")
    assert presenter.state.warning and "No comparison" in presenter.state.message
    (tmp_path / "x.txt").write_text("words")
    presenter.spectra.compare(tmp_path / "x.txt")
    assert presenter.state.warning and presenter.state.comparison is None and presenter.state.choice is not None
