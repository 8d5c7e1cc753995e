"""Instrument profiles: every shipped one loads, and a wrong key is named."""

from importlib.resources import files

import pytest

from sedmd.errors import ConfigError
from sedmd.simulate import PROFILES, load_profile


def toml(name: str = "kpy") -> str:
    return (files("sedmd.simulate") / "profiles" / f"{name}.toml").read_text()


def test_the_known_epochs_are_shipped() -> None:
    assert {"kpy", "pysedm", "shifted"} <= set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_profile_loads_with_its_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert len(profile.throughput.wavelength) == len(profile.throughput.efficiency)
    assert len(profile.scatter.scales) == len(profile.scatter.weights)
    assert {speed.mhz for speed in profile.detector.speeds} == ({1.0} if name == "2024" else {0.1, 2.0})


def test_profiles_differ_where_it_matters() -> None:
    first, second, third = (load_profile(name) for name in ("kpy", "pysedm", "shifted"))
    for section, key in (("lattice", "step_q"), ("width", "trace"), ("sky", "arcsec_per_pixel"), ("lamps", "hg_rate")):
        values = {getattr(getattr(p, section), key) for p in (first, second)}
        assert len(values) == 2, (section, key)
    assert third.lattice.rotation_deg != first.lattice.rotation_deg


def test_profile_from_a_file(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml().replace("gain = 1.8", "gain = 2"))
    assert load_profile(path).detector.gain == 2.0
    assert load_profile(path).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gain = 1.8", "gian = 1.8", "detector.gian"),
        ("gain = 1.8", "", "detector.gain is missing"),
        ("gain = 1.8", 'gain = "high"', "detector.gain must be float"),
        ("gain = 1.8", "gain = true", "detector.gain must be float"),
        ("step_q = [48.0, 14.5]", "step_q = 48.0", "lattice.step_q must be a list"),
        ("gain = 1.8", "gain = = 1", "not valid TOML"),
    ],
)
def test_a_wrong_profile_names_its_fault(tmp_path, old: str, new: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(toml().replace(old, new))
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        load_profile(path)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="kpy, pysedm, shifted"):
        load_profile("keck")


def test_an_unknown_speed_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"0\.1, 2\.0"):
        load_profile("kpy").detector.speed(1.0)
