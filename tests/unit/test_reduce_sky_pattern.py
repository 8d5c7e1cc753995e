"""What nights agree on is corrected and nothing else: closed forms, and patterns that were put in."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.cube.sky_pattern import night_pattern, shared, sky_pattern
from sedmd.reduce.cube.sky_share import sky_share
from unit.reduce_scenes import rng
from unit.sky_nights import SPAXELS, N, exposure, night, share, slope_of

COMPLETE = np.ones(N, bool)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


# --- what witnesses share ---


def witnesses(k, p, *, common, apart, noise, seed):
    random = rng(seed)
    truth = random.normal(0.0, common, p)
    return truth, truth + random.normal(0.0, np.hypot(apart, noise), (k, p)), np.full((k, p), noise**2)


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("common, apart, noise", [(0.01, 0.0, 0.003), (0.005, 0.004, 0.01), (0.002, 0.01, 0.0)])
def test_common_and_own_parts_come_out(k, common, apart, noise):
    truth, values, variance = witnesses(k, 4000, common=common, apart=apart, noise=noise, seed=k)
    found = shared(values, variance)
    each = common**2 + apart**2 + noise**2
    assert found.common == pytest.approx(common**2, abs=0.1 * each)
    assert found.apart == pytest.approx(apart**2, abs=0.1 * each)
    # the closed form with the variances as found, and hardly worse than with the true ones
    own = (found.apart + noise**2) / k
    assert_allclose(found.mean, values.mean(axis=0) * found.common / (found.common + own), atol=1e-9)
    assert_allclose(found.error**2, found.common * own / (found.common + own), rtol=1e-6)
    best = values.mean(axis=0) * common**2 / (common**2 + (apart**2 + noise**2) / k)
    assert rms(found.mean - truth) < 1.03 * rms(best - truth)
    assert rms(best - truth) < rms(truth)
    assert rms(found.error) == pytest.approx(rms(found.mean - truth), rel=0.35)


def test_what_only_one_witness_has_is_not_believed():
    random = rng(3)
    values = np.stack([random.normal(0.0, 0.02, 2000), np.zeros(2000)]) + random.normal(0.0, 0.002, (2, 2000))
    found = shared(values, np.full((2, 2000), 0.002**2))
    assert rms(found.mean) < 0.001


@pytest.mark.parametrize("p", [5, 2000])
def test_noise_alone_is_hardly_ever_corrected(p):
    """In the mean over many draws far less is added than the noise of the mean has."""
    added = []
    for seed in range(200):
        _, values, variance = witnesses(3, p, common=0.0, apart=0.0, noise=0.01, seed=seed)
        added.append(np.mean(shared(values, variance).mean ** 2))
    assert np.mean(added) < 0.1 * 0.01**2 / 3


def test_nothing_is_more_than_hidden_by_chance_where_nothing_is_shared():
    _, values, variance = witnesses(2, 500, common=0.0, apart=0.0, noise=0.01, seed=2)
    found = shared(values - values.mean(), variance)
    if found.common == 0.0:
        # the standard error of a mean of 500 products of two values of 0.01
        assert_allclose(found.error**2, 0.01**2 / np.sqrt(500), rtol=0.3)
    assert (found.error > 0).all()


def test_who_does_not_know_has_no_say_and_what_nobody_knows_is_not_corrected():
    truth, values, variance = witnesses(3, 1000, common=0.01, apart=0.0, noise=0.002, seed=4)
    values[0, :10], variance[0, :10] = np.nan, np.inf
    values[:, 10:20], variance[:, 10:20] = np.nan, np.inf
    found = shared(values, variance)
    assert (found.mean[10:20] == 0).all()
    assert_allclose(found.error[10:20], np.sqrt(found.common))
    assert rms(found.mean[:10] - truth[:10]) < 0.004
    assert found.error[5] > found.error[500]


def test_error_bars_that_are_wrong_do_not_make_what_is_shared():
    _, values, variance = witnesses(3, 3000, common=0.0, apart=0.0, noise=0.01, seed=6)
    assert rms(shared(values, variance / 25.0).mean) < 0.002


# --- a night ---


def test_a_night_undoes_what_its_flat_was_corrected_by():
    light = 1.0 + slope_of(SPAXELS, 0.02, 0.01) + rng(1).normal(0.0, 0.01, N)
    applied = 1.0 + slope_of(SPAXELS, -0.01, 0.02) + rng(2).normal(0.0, 0.02, N)
    assert_allclose(
        night(light, 1e-6, seed=3, applied=applied).value, night(light, 1e-6, seed=3).value, rtol=0, atol=2e-5
    )


def test_a_night_is_the_mean_of_its_exposures_with_its_error():
    light = 1.0 + slope_of(SPAXELS, 0.01, -0.01) + rng(1).normal(0.0, 0.01, N)
    found = night_pattern([share(light, 0.01, seed=seed) for seed in range(9)], np.ones(N), SPAXELS)
    assert_allclose(found.error, 0.01 / 3, rtol=1e-6)
    pull = (found.value - light / light.mean()) / found.error
    assert pull.std() == pytest.approx(1.0, abs=0.1)
    assert found.exposures == 9


def test_slopes_of_the_sky_itself_average_out_and_are_in_the_error():
    """Twilight and moonlight slope otherwise in each exposure; what they have in common is the dome's."""
    random = rng(8)
    exposures = [
        share(1.0 + slope_of(SPAXELS, 0.01, 0.0) + slope_of(SPAXELS, *random.normal(0.0, 0.02, 2)), 0.004, seed=seed)
        for seed in range(16)
    ]
    found = night_pattern(exposures, np.ones(N), SPAXELS)
    one = night_pattern(exposures[:1], np.ones(N), SPAXELS)
    wanted = slope_of(SPAXELS, 0.01, 0.0)
    assert rms(found.value - 1.0 - wanted) < 0.02 * rms(slope_of(SPAXELS, 1.0, 1.0)) / 2
    # two of the five terms scatter by the slope's rms, in the mean over the field
    each = 0.02 * rms(slope_of(SPAXELS, 1.0, 0.0)) * np.sqrt(2 / 5) / 4
    assert found.smooth_error == pytest.approx(each, rel=0.4)
    assert one.smooth_error < found.smooth_error  # nothing tells yet


def test_an_exposure_with_something_in_it_does_not_spoil_the_night():
    light = 1.0 + rng(1).normal(0.0, 0.01, N)
    exposures = [share(light, 0.003, seed=seed) for seed in range(5)]
    exposures[2].share[40:60] += 0.2
    found = night_pattern(exposures, np.ones(N), SPAXELS)
    assert np.max(np.abs(found.value - light / light.mean())[40:60]) < 0.01


def test_what_no_exposure_saw_is_not_known():
    unseen = np.arange(N) < 30
    found = night(np.ones(N), 0.003, seed=1, unseen=unseen)
    assert np.isnan(found.value[unseen]).all() and np.isinf(found.error[unseen]).all()
    few = share(np.ones(N), 0.003, seed=1, unseen=np.arange(N) > 210)
    assert night_pattern([few], np.ones(N), SPAXELS) is not None
    assert night_pattern([], np.ones(N), SPAXELS) is None


# --- the correction ---

TRUE = 1.0 + slope_of(SPAXELS, 0.008, -0.012, 0.004) + rng(11).normal(0.0, 0.006, N)
TRUE /= TRUE.mean()


@pytest.mark.parametrize("nights, better", [(2, 1.8), (5, 2.8)])
def test_the_pattern_that_was_put_in_is_corrected_with_the_error_that_is_told(nights, better):
    told = [night(TRUE, 0.006, seed=20 + k) for k in range(nights)]
    found = sky_pattern(told, SPAXELS, COMPLETE)
    left = rms(found.factor - TRUE)
    assert left < rms(TRUE - 1.0) / better
    assert rms(found.error) == pytest.approx(left, rel=0.15)
    assert np.mean(found.factor) == pytest.approx(1.0, abs=1e-9)
    assert found.parts["single"] == pytest.approx(0.006, rel=0.3)
    assert found.parts["smooth"] == pytest.approx(rms(slope_of(SPAXELS, 0.008, -0.012, 0.004)), rel=0.1)


def test_what_neighbours_share_is_seen_where_single_spaxels_are_lost_in_noise():
    """Patches of 2 arcsec, 0.5 %, on dark nights whose spaxels are known to 1.5 % each."""
    x, y = SPAXELS.x_arcsec, SPAXELS.y_arcsec
    near = np.exp(-0.5 * ((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2) / 2.0**2)
    patches = near @ rng(12).normal(0.0, 1.0, N)
    light = 1.0 + 0.005 * (patches - patches.mean()) / patches.std()
    found = sky_pattern([night(light, 0.015, seed=60 + k) for k in range(3)], SPAXELS, COMPLETE)
    # spaxel by spaxel no estimate could leave less than sqrt(A v / (A + v)) with v = 0.015**2 / 3: 0.87 of it
    left = rms(found.factor - light)
    assert left < 0.55 * rms(light - 1.0)
    assert found.parts["local"] > 3 * found.parts["single"]
    assert rms(found.error) == pytest.approx(left, rel=0.35)
    # and where each spaxel is known well, it is not counted twice
    known = sky_pattern([night(light, 0.002, seed=60 + k) for k in range(3)], SPAXELS, COMPLETE)
    assert rms(known.factor - light) < 0.3 * rms(light - 1.0)


def test_faults_of_each_nights_own_flat_are_not_handed_on():
    """A night's flat is wrong by 1 % in each spaxel, another way every night, and its photons would allow 0.1 %."""
    told = [night(TRUE + rng(50 + k).normal(0.0, 0.01, N), 0.001, seed=k) for k in range(3)]
    found = sky_pattern(told, SPAXELS, COMPLETE)
    assert found.nightly["single"] == pytest.approx(0.01, rel=0.15)
    plain = np.mean([one.value for one in told], axis=0)
    assert rms(found.factor - TRUE) < 0.8 * rms(plain - TRUE)
    alone = [night(1.0 + rng(50 + k).normal(0.0, 0.01, N), 0.001, seed=k) for k in range(3)]
    assert rms(sky_pattern(alone, SPAXELS, COMPLETE).factor - 1.0) < 0.0015


def test_one_night_corrects_nothing():
    assert sky_pattern([night(TRUE, 0.003, seed=1)], SPAXELS, COMPLETE) is None
    assert sky_pattern([], SPAXELS, COMPLETE) is None


def test_where_the_target_always_lands_the_smooth_part_alone_corrects():
    under = np.hypot(SPAXELS.x_arcsec, SPAXELS.y_arcsec) < 3.0
    told = [night(TRUE, 0.003, seed=k, unseen=under) for k in range(4)]
    found = sky_pattern(told, SPAXELS, COMPLETE)
    smooth = 1.0 + slope_of(SPAXELS, 0.008, -0.012, 0.004)
    assert rms((found.factor - smooth)[under]) < 0.0015
    assert found.error[under].min() > 2 * np.median(found.error[~under])
    assert rms(found.error[under]) == pytest.approx(rms((found.factor - TRUE)[under]), rel=0.25)


def test_targets_that_always_land_there_leave_nothing_in_the_pattern():
    """From cubes: five nights of three exposures, a target of another brightness within 0.7 arcsec of one place."""
    random = rng(77)
    told = []
    for number in range(5):
        shares = []
        for k in range(3):
            target = (float(10 ** random.uniform(0.5, 3.5)), *random.normal(0.0, 0.5, 2), 1.8)
            cube = exposure(np.ones(N), objects=[target], seed=10 * number + k)
            shares.append(sky_share(cube, place=(0.0, 0.0), within_arcsec=3.7))
        told.append(night_pattern(shares, np.ones(N), SPAXELS))
    found = sky_pattern(told, SPAXELS, COMPLETE)
    around = np.hypot(SPAXELS.x_arcsec, SPAXELS.y_arcsec) < 5.0
    # the nights' photons allow 0.003 in the mean, and nothing was put in
    assert abs(np.mean(found.factor[around]) - np.mean(found.factor[~around])) < 0.0015
    assert rms(found.factor - 1.0) < 0.002


def test_more_than_any_illumination_is_refused():
    wild = TRUE.copy()
    wild[SPAXELS.x_arcsec > 0] *= 1.5
    with pytest.raises(ValueError, match=r"differs from the dome's flat by up to \d+ %, at most 15 % expected"):
        sky_pattern([night(wild, 0.003, seed=k) for k in range(3)], SPAXELS, COMPLETE)
