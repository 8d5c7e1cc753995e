"""Instrument profiles: every shipped one loads, and a wrong key is named."""

from importlib.resources import files

import pytest

from sedmd.core.errors import ConfigError
from sedmd.simulate import PROFILES, load_profile
from sedmd.simulate.cards import STYLES
from sedmd.simulate.profiles import profile_of


def toml(name: str = "2017") -> str:
    return (files("sedmd.simulate") / "profiles" / f"{name}.toml").read_text()


def test_the_known_epochs_are_shipped() -> None:
    assert {"2017", "2018", "2019", "2021", "2024", "design", "shifted"} == set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_profile_loads_with_its_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert len(profile.throughput.wavelength) == len(profile.throughput.efficiency)
    assert len(profile.scatter.scales) == len(profile.scatter.weights)
    assert {speed.mhz for speed in profile.detector.speeds} == ({1.0} if name == "2024" else {0.1, 2.0})
    assert profile.nights[0] <= profile.example <= profile.nights[1]
    assert profile.header.style in STYLES


def test_a_night_has_one_epoch_and_the_dates_of_the_epochs_meet() -> None:
    # last A/B pair, new cards, new control software, Andor camera turned round (hardware timeline)
    for profile, first, last in (
        ("2017", "20131001", "20180630"),
        ("2018", "20180701", "20181031"),
        ("2019", "20181101", "20200110"),
        ("2021", "20200111", "20230406"),
        ("2024", "20230411", "20251118"),
    ):
        assert profile_of(first) == profile_of(last) == profile
    with pytest.raises(ConfigError, match="20120101"):
        profile_of("20120101")


def test_a_profile_like_another_states_only_what_differs(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('like = "2021"\n[detector]\ngain = 2.5\n')
    mine, base = load_profile(path), load_profile("2021")
    assert mine.detector.gain == 2.5 and mine.detector.speeds == base.detector.speeds
    assert mine.lattice == base.lattice and mine.name == "mine"
    path.write_text('like = "mine"\n')
    with pytest.raises(ConfigError, match="must be like one of"):
        load_profile(path)


def test_profiles_differ_where_it_matters() -> None:
    epochs = [load_profile(name) for name in ("2017", "2019", "2021", "2024")]
    for section, key in (("lattice", "step_q"), ("night", "place"), ("dispersion", "stretch"), ("trace", "tilt_deg")):
        values = {getattr(getattr(p, section), key) for p in epochs}
        assert len(values) == len(epochs), (section, key)
    assert {p.lamps.strengths for p in epochs} == {"pen", "2013"}
    assert len({p.dispersion.kind for p in epochs}) == 3


def test_profile_from_a_file(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml().replace("gain = 1.78", "gain = 2"))
    assert load_profile(path).detector.gain == 2.0
    assert load_profile(path).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gain = 1.78", "gian = 1.8", "detector.gian"),
        ("gain = 1.78", "", "detector.gain is missing"),
        ("gain = 1.78", 'gain = "high"', "detector.gain must be float"),
        ("gain = 1.78", "gain = true", "detector.gain must be float"),
        ("step_q = [50.3, 14.8]", "step_q = 50.3", "lattice.step_q must be a list"),
        ("gain = 1.78", "gain = = 1", "not valid TOML"),
    ],
)
def test_a_wrong_profile_names_its_fault(tmp_path, old: str, new: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(toml().replace(old, new))
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        load_profile(path)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="2017, 2018, 2019, 2021, 2024, design, shifted"):
        load_profile("keck")


def test_an_unknown_speed_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"0\.1, 2\.0"):
        load_profile("2017").detector.speed(1.0)
