"""What is graded is what is saved; where the window starts; what is remembered while the search goes on."""

from dataclasses import replace

import numpy as np
import pytest
from viewer_samples import NOD, Files, LaterJobs, do, known_cube, make_cube, make_observation, make_pair, make_presenter

from sedmd.observation.aperture import Extraction, Part, extract, fit
from sedmd.observation.decisions import Placement
from sedmd.observation.seeing import TargetPrior
from sedmd.observation.suggestion import Suggestion
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.target.aperture import Ellipse, Measured
from sedmd.reduce.target.find import RIM_ARCSEC, edge_distance
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Psf
from sedmview.concerns import LEAST_INSIDE, Graded, change, concerns_of, disagreement, has_signal
from sedmview.model import first_choice, started
from sedmview.targets import TargetStatus
from sedmview.words import aperture_words

WAVELENGTH = np.linspace(3800.0, 9200.0, 200)
STAR = ((3.0, -4.0, 200.0),)


def spectrum(level=100.0, error=1.0, *, noise=None, unit="e", **meta):
    flux = np.full(200, level) + (0 if noise is None else noise.normal(0, error, 200))
    return Spectrum(
        wavelength=WAVELENGTH, flux=flux, error=np.full(200, error), sky=np.zeros(200), unit=unit, meta=meta
    )


def of_parts(*spectra):
    nothing = Measured(spectrum=spectra[0], members=np.zeros(0, int), share=np.zeros((200, 0)), sky=np.zeros(0, int))
    return Extraction(spectrum=spectra[0], parts=tuple(Part(spectrum=one, measured=nothing) for one in spectra))


@pytest.fixture
def choice():
    return first_choice(make_observation())


@pytest.fixture
def both(choice):
    return replace(choice, b=choice.a)


# ---- the concerns, as functions


@pytest.mark.parametrize("factor", [0.5, 0.97, 1.0, 1.05, 2.8])
def test_a_change_of_the_flux_is_measured_as_it_was_made(factor):
    faint = spectrum(1.0, 1.0, noise=np.random.default_rng(3))
    assert change(replace(faint, flux=factor * faint.flux), faint) == pytest.approx(factor - 1)


@pytest.mark.parametrize(("factor", "asks"), [(1.01, False), (0.985, False), (1.03, True), (0.9, True)])
def test_what_the_search_changes_by_two_per_cent_is_another_spectrum(choice, factor, asks):
    graded = Graded.of(choice, spectrum())
    found = concerns_of(of_parts(spectrum(100.0 * factor)), choice, graded)
    assert bool(found) is asks
    assert not asks or f"{100 * (factor - 1):+.0f} %" in found[0]


def test_what_the_observer_changed_himself_is_no_surprise(choice):
    graded = Graded.of(choice, spectrum())
    assert not concerns_of(of_parts(spectrum(50.0)), replace(choice, skysub=False), graded)
    assert not concerns_of(of_parts(spectrum(50.0)), choice, None)


def test_another_unit_is_another_spectrum(choice):
    graded = Graded.of(choice, spectrum(unit="electron"))
    assert "unit" in concerns_of(of_parts(spectrum(unit="erg")), choice, graded)[0]


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_disagreement_of_a_and_b(seed):
    noise = np.random.default_rng(seed)
    assert disagreement(spectrum(1.0, 2.0, noise=noise), spectrum(1.0, 2.0, noise=noise)) is None


def test_a_and_b_disagree_beyond_their_errors_and_beyond_clouds(choice, both):
    assert disagreement(spectrum(100.0), spectrum(110.0)) is None  # clouds
    assert disagreement(spectrum(1.0, 20.0), spectrum(1.4, 20.0)) is None  # noise
    assert disagreement(spectrum(100.0), spectrum(280.0)) == pytest.approx(2.8)
    assert "2.80 times" in concerns_of(of_parts(spectrum(100.0), spectrum(280.0)), both, None)[0]
    assert not concerns_of(of_parts(spectrum(100.0)), choice, None)


@pytest.mark.parametrize("figure", ["aperture_share", "aperture_inside"])
def test_little_light_inside_is_a_concern_and_says_in_which_image(both, figure):
    enough, little = spectrum(**{figure: LEAST_INSIDE}), spectrum(**{figure: LEAST_INSIDE - 0.01})
    assert not concerns_of(of_parts(enough, enough), both, None)
    (found,) = concerns_of(of_parts(enough, little), both, None)
    assert "59 %" in found and "B" in found


def test_signal_is_flux_with_an_error_where_it_counts():
    assert has_signal(spectrum())
    none = np.full(200, np.nan)
    assert not has_signal(replace(spectrum(), flux=none)) and not has_signal(replace(spectrum(), error=none))
    edge = np.where(WAVELENGTH < 4500, 1.0, np.nan)
    assert not has_signal(replace(spectrum(), flux=edge))


# ---- in the window


def saved(presenter):
    return presenter.desk.files.saved


def test_grading_before_the_search_has_ended_and_enter_asks_again():
    jobs = LaterJobs()
    presenter = make_presenter(jobs=jobs)
    jobs.run("list"), presenter.opening.open(presenter.state.entries[0]), jobs.run("load")
    presenter.placing.place(3.0, -4.0)
    do(presenter, "2 Return")
    assert presenter.state.save_wanted
    jobs.run("search"), jobs.run("save")
    # the share of a star's light was not known when it was graded
    assert not saved(presenter) and presenter.state.warning and "changed the flux by +" in presenter.prompt
    do(presenter, "Return")
    jobs.run("save")
    assert len(saved(presenter)) == 1


def test_enter_again_is_asked_once_and_anew_after_a_change():
    presenter = make_presenter()
    do(presenter, "S")
    presenter.placing.set_aperture(2, 0.7)
    do(presenter, "2 Return")
    assert not saved(presenter) and "of a star's light lies inside the aperture" in presenter.prompt
    presenter.placing.set_aperture(2, 0.6)
    do(presenter, "Return")
    assert not saved(presenter)
    do(presenter, "Return")
    assert len(saved(presenter)) == 1


@pytest.mark.parametrize("grade", ["1", "2"])
def test_a_spectrum_without_data_is_not_good(grade):
    cube = make_cube(STAR)
    blind = make_observation(replace(cube, mask=np.ones_like(cube.mask)))
    presenter = make_presenter(files=Files({"T0": blind}))
    presenter.placing.place(3.0, -4.0)
    do(presenter, grade)
    assert presenter.state.choice.grade is None and presenter.state.warning and "no data" in presenter.prompt
    do(presenter, "3 Return")
    assert [verdict.quality for _, _, verdict in saved(presenter)] == [3]


def test_no_object_is_the_sky_where_the_target_is_expected(monkeypatch):
    edge = make_observation(known_cube(((10.0, 0.0, 900.0),)))
    monkeypatch.setattr("sedmview.opening.places_of", lambda _: (Place(x_arcsec=1.0, y_arcsec=2.0, source="x"),))
    presenter = make_presenter(files=Files({"T0": edge}))
    presenter.placing.place(10.0, 0.0)
    do(presenter, "N Return")
    ((_, placement, verdict),) = saved(presenter)
    assert (placement.a.x_arcsec, placement.a.y_arcsec) == (1.0, 2.0) and placement.fit is None
    assert verdict.quality == 4 and not verdict.object_visible
    flux = extract(edge, placement).spectrum.flux
    assert abs(np.median(flux)) < 0.1 * np.median(
        extract(edge, replace(placement, a=Ellipse(x_arcsec=10.0, y_arcsec=0.0, semi_major_arcsec=2.0))).spectrum.flux
    )


def test_s_during_the_search_is_remembered_and_no_grade_is_given_blind():
    jobs = LaterJobs()
    presenter = make_presenter(jobs=jobs)
    jobs.run("list"), presenter.opening.open(presenter.state.entries[0]), jobs.run("load")
    do(presenter, "S")
    assert presenter.state.suggestion_wanted and "remembered" in presenter.prompt
    do(presenter, "1")
    assert presenter.state.choice.grade is None
    jobs.run("search")
    assert presenter.state.choice.fitted and not presenter.state.suggestion_wanted
    do(presenter, "1 Return")
    jobs.run("save")
    assert len(saved(presenter)) == 1 and saved(presenter)[0][1].fit is not None


def test_whoever_clicks_after_s_gets_what_was_clicked():
    jobs = LaterJobs()
    presenter = make_presenter(jobs=jobs)
    jobs.run("list"), presenter.opening.open(presenter.state.entries[0]), jobs.run("load")
    do(presenter, "S")
    presenter.placing.place(-2.0, 1.0)
    jobs.run("search")
    assert not presenter.state.choice.fitted
    assert (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec) == (-2.0, 1.0)


def test_a_provisional_spectrum_is_confirmed_by_one_grade():
    presenter = make_presenter(T0={"state": TargetStatus.PROVISIONAL, "reason": "two objects"})
    assert presenter.state.choice.fitted and presenter.spectra.extraction.fitted
    do(presenter, "2 Return")
    ((_, placement, verdict),) = saved(presenter)
    assert placement.fit is not None and verdict.quality == 2


@pytest.mark.parametrize("early", ["", "X Z"])
def test_a_provisional_spectrum_waits_for_the_search_and_yields_to_the_observer(early):
    jobs = LaterJobs()
    presenter = make_presenter(jobs=jobs, T0={"state": TargetStatus.PROVISIONAL})
    jobs.run("list"), presenter.opening.open(presenter.state.entries[0]), jobs.run("load")
    do(presenter, early)
    jobs.run("search")
    assert presenter.state.choice.fitted is not bool(early)


# ---- where it starts


def at(choice):
    return choice.a.x_arcsec, choice.a.y_arcsec


def test_it_starts_where_the_target_is_expected_not_on_the_brightest_neighbour():
    observation = make_observation(known_cube(((3.0, -4.0, 900.0), (-2.0, 2.0, 50.0))))
    assert at(first_choice(observation, [Place(x_arcsec=-2.0, y_arcsec=2.5)])) == (-2.0, 2.5)
    assert at(first_choice(observation)) == pytest.approx((3.0, -4.0), abs=0.5)


def test_it_never_starts_at_the_rim():
    observation = make_observation(known_cube(((10.6, 0.0, 900.0), (-2.0, 2.0, 50.0))))
    spaxels = observation.field_cube.spaxels
    for places in ([], [Place(x_arcsec=10.8, y_arcsec=0.0)], [Place(x_arcsec=40.0, y_arcsec=0.0)]):
        start = at(first_choice(observation, places))
        assert edge_distance(spaxels, *start) > RIM_ARCSEC
        assert start == pytest.approx((-2.0, 2.0), abs=0.6)


def test_keys_pressed_early_do_not_keep_the_start_from_the_object():
    jobs = LaterJobs()
    presenter = make_presenter(jobs=jobs)
    jobs.run("list"), presenter.opening.open(presenter.state.entries[0]), jobs.run("load")
    do(presenter, "X X X")
    size = presenter.state.choice.a.semi_major_arcsec
    jobs.run("search")
    choice = presenter.state.choice
    assert at(choice) == pytest.approx((3.0, -4.0), abs=0.1) and choice.a.semi_major_arcsec == size
    assert not choice.placed and not choice.fitted


def test_the_start_on_an_object_is_no_placement(choice):
    found = Suggestion(a=Ellipse(x_arcsec=1.0, y_arcsec=2.0, semi_major_arcsec=2.4))
    assert started(choice, found, reshaped=False).a == found.a
    assert started(choice, found, reshaped=True).a.semi_major_arcsec == choice.a.semi_major_arcsec
    assert not started(choice, found, reshaped=False).placed


@pytest.mark.parametrize("pair", [False, True])
def test_alt_and_a_digit_goes_to_the_object_of_that_number(pair):
    presenter = make_presenter(pair=pair)
    presenter.state.suggestion = replace(presenter.state.suggestion, others=((1.0, 1.0), (-2.0, 3.0)))
    do(presenter, "Alt+2")
    choice = presenter.state.choice
    assert at(choice) == (-2.0, 3.0) and "A" in choice.placed and not choice.fitted and choice.grade is None
    if pair:
        assert (choice.b.x_arcsec, choice.b.y_arcsec) == (-2.0 + NOD[0], 3.0 + NOD[1]) and choice.active == "B"
    do(presenter, "Alt+3")
    assert presenter.state.choice == choice and "No object carries the number 3" in presenter.prompt


# ---- data minus model


@pytest.mark.parametrize("pair", [False, True])
def test_data_minus_model_leaves_nothing_of_the_object(pair):
    presenter = make_presenter(pair=pair)
    data = presenter.looking.picture()
    do(presenter, "D")
    left = presenter.looking.picture()
    level, peak = np.nanmedian(data), np.nanmax(np.abs(data - np.nanmedian(data)))
    # the image is fitted as a Moffat, and is a Gaussian
    assert np.nanmax(np.abs(left - level)) < 0.15 * peak and "data minus" in presenter.prompt
    do(presenter, "D")
    assert np.array_equal(presenter.looking.picture(), data)
    do(presenter, "D PgDown")
    assert not presenter.state.residual_shown


def test_without_a_model_there_is_none_to_subtract():
    presenter = make_presenter(files=Files({"T0": make_observation(known_cube(()))}))
    do(presenter, "D")
    assert not presenter.state.residual_shown and "Nothing was fitted" in presenter.prompt


# ---- light beyond the aperture


def test_the_share_inside_is_told_of_a_and_of_b():
    star_a, star_b = known_cube(STAR), known_cube(((-3.0, 4.0, 200.0),), seed=2)
    pair = make_observation(star_a, star_b, nod=NOD)
    wide, narrow = (Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=fwhm) for fwhm in (3.0, 1.9))
    apertures = {
        "a": Ellipse(x_arcsec=3.0, y_arcsec=-4.0, semi_major_arcsec=2.0),
        "b": Ellipse(x_arcsec=-3.0, y_arcsec=4.0, semi_major_arcsec=2.0),
    }
    made = extract(pair, Placement(**apertures, psf_a=narrow, psf_b=wide))
    share_a, share_b = (made.spectrum.meta[key] for key in ("aperture_share", "aperture_share_b"))
    assert share_a > share_b > 0.4
    words, cut = aperture_words(made)
    assert (
        words == [f"A {100 * share_a:.0f} %, B {100 * share_b:.0f} % of a star's light inside, corrected"] and not cut
    )
    # of both, or of none
    alone = extract(pair, Placement(**apertures, psf_b=wide)).spectrum.meta
    assert alone["aperture_share"] == pytest.approx(alone["aperture_share_b"], abs=0.02)
    assert "aperture_share_b" not in extract(pair, Placement(**apertures)).spectrum.meta


def test_what_is_left_of_a_pair_is_that_of_a_minus_that_of_b():
    pair = make_pair()
    found, made = fit(pair, TargetPrior())
    of_a, of_b = found.point.left
    np.testing.assert_allclose(made.left, of_a - of_b, rtol=1e-6)
    # the noise of these cubes is one; a median does not see the star, a Gaussian that is fitted as a Moffat
    assert 1.4826 * np.nanmedian(np.abs(of_a)) == pytest.approx(1.0, abs=0.15)
    assert 1.4826 * np.nanmedian(np.abs(made.left)) == pytest.approx(2**0.5, abs=0.2)
