"""Spectra of others as text: every kind of header, and a third column that is the error or its square."""

import os

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sedmd.cli import main
from sedmd.host.foreign_file import ForeignFault
from sedmd.products.ascii import CALIBRATED_UNIT, write_ascii
from sedmd.products.fitsio import ProductFault
from sedmd.products.published import MOST_BYTES, Third, read_published
from sedmd.reduce.numeric.containers import Spectrum
from unit.snid_stand_in import write_stand_in

WAVELENGTH = 3776.7 + 25.57 * np.arange(214)
PYSEDM = ["# SIMPLE: True", "# OBJECT: ZTF20abcdefg [A]", "# AIRMASS: 1.019", "# PYSEDMV: 0.27.4"]
HYPERGAL = ["# OBJECT: ZTF18abcdefg  [A]", "# CTYPE1: RA---TAN", "# HYPERGAL: 1.5.0"]


def drawn(relative=0.05, *, level=5e-16, seed=3):
    """Flux with broad features and its error."""
    truth = level * (1 + 0.4 * np.sin(WAVELENGTH / 180.0)) * (WAVELENGTH / 6000.0) ** -1
    error = relative * truth
    return np.random.default_rng(seed).normal(truth, error), error


def put(path, columns, head=()):
    rows = [" ".join(f"{value:.6g}" for value in row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def test_a_pipe_or_a_file_without_end_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "long.txt").touch()
    os.truncate(tmp_path / "long.txt", MOST_BYTES + 1)
    for name, why in (("pipe.txt", "a pipe"), ("long.txt", f"at most {MOST_BYTES}"), (".", "a directory")):
        with pytest.raises(ForeignFault, match=why):
            read_published(tmp_path / name)


@pytest.mark.parametrize(("head", "name"), [(PYSEDM, "ZTF20abcdefg"), (HYPERGAL, "ZTF18abcdefg")])
def test_variances_of_the_pipelines_that_write_them(tmp_path, head, name):
    flux, error = drawn()
    found = read_published(put(tmp_path / "spec.txt", (WAVELENGTH, flux, error**2), head))
    assert (found.name, found.third) == (name, Third.VARIANCE)
    assert found.why.startswith(head[-1][2:].partition(":")[0])
    np.testing.assert_allclose(found.spectrum.error, error, rtol=1e-4)
    np.testing.assert_allclose(found.spectrum.flux, flux, rtol=1e-4)


def test_our_own_text_has_errors(tmp_path):
    flux, error = drawn()
    ours = Spectrum(
        wavelength=WAVELENGTH, flux=flux, error=error, sky=flux, unit=CALIBRATED_UNIT, meta={"target": "ZTF19aaa"}
    )
    write_ascii(tmp_path / "ours_SEDM.txt", ours)
    found = read_published(tmp_path / "ours_SEDM.txt")
    assert (found.name, found.third) == ("ZTF19aaa", Third.ERROR)
    np.testing.assert_allclose(found.spectrum.error, error, rtol=1e-3)


@pytest.mark.parametrize(
    ("title", "third"),
    [
        ("# wavelength flux variance", Third.VARIANCE),
        ("# WAVE FLUX FLUX_ERR", Third.ERROR),
        ("wavelength,flux,sigma", Third.ERROR),
        ("#lambda  f  var", Third.VARIANCE),
    ],
)
def test_the_names_of_the_columns_are_believed(tmp_path, title, third):
    flux, error = drawn()
    column = error if third is Third.VARIANCE else error**2  # against what the scatter says
    assert read_published(put(tmp_path / "x.txt", (WAVELENGTH, flux, column), [title])).third is third


@given(
    relative=st.floats(0.01, 0.3),
    level=st.sampled_from([1e-17, 3e-15, 0.02, 30.0]),
    wrong=st.floats(0.5, 2.0),
    power=st.sampled_from([1, 2]),
    seed=st.integers(0, 999),
)
def test_without_a_header_the_scatter_tells(tmp_path_factory, relative, level, wrong, power, seed):
    # quoted errors of published spectra are 0.3 to 1.2 of the scatter
    flux, error = drawn(relative, level=level, seed=seed)
    log_error, off = np.log(np.median(error)), np.log(wrong)
    off_as_the_other = abs(2 * off + log_error) if power == 2 else 0.5 * abs(off - log_error)
    # errors near 1 in the file's unit are near their own square: with wrong ones nothing can tell
    assume(off_as_the_other > abs(off) + 0.9)
    path = put(tmp_path_factory.mktemp("x") / "x.txt", (WAVELENGTH, flux, (wrong * error) ** power))
    assert read_published(path).third is (Third.ERROR if power == 1 else Third.VARIANCE)


def test_a_few_samples_with_an_error_of_their_own_do_not_decide(tmp_path):
    # extractions with other sources masked have every third variance five orders too small
    flux, error = drawn()
    variance = np.where(np.arange(len(flux)) % 3 == 0, 1e-5, 1.0) * error**2
    assert read_published(put(tmp_path / "x.txt", (WAVELENGTH, flux, variance))).third is Third.VARIANCE


@pytest.mark.parametrize("column", [np.zeros(214), np.full(214, 1e3), -np.ones(214), np.full(214, np.nan)])
def test_a_third_column_that_is_neither_is_left_alone(tmp_path, column):
    found = read_published(put(tmp_path / "x.txt", (WAVELENGTH, drawn()[0], column)))
    assert found.third is Third.NONE
    assert np.isnan(found.spectrum.error).all()


def test_two_columns_have_no_error(tmp_path):
    found = read_published(put(tmp_path / "SN2011fe.txt", (WAVELENGTH, drawn()[0])))
    assert (found.name, found.third) == ("SN2011fe", Third.NONE)
    assert "two columns" in found.how_read


@pytest.mark.parametrize("third", list(Third))
def test_what_was_told_counts(tmp_path, third):
    flux, error = drawn()
    found = read_published(put(tmp_path / "x.txt", (WAVELENGTH, flux, error**2), PYSEDM), third)
    assert (found.third, found.why) == (third, "as given")
    wanted = {Third.VARIANCE: error, Third.ERROR: error**2, Third.NONE: np.full(214, np.nan)}[third]
    np.testing.assert_allclose(found.spectrum.error, wanted, rtol=1e-4)


def test_order_repeats_and_gaps_do_not_matter(tmp_path):
    flux, error = drawn()
    flux[5] = np.nan
    path = put(tmp_path / "x.txt", (WAVELENGTH[::-1], flux[::-1], error[::-1]))
    path.write_text(path.read_text() + path.read_text())
    found = read_published(path).spectrum
    assert (np.diff(found.wavelength) > 0).all()
    assert len(found.wavelength) == 213


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected wavelength, flux"),
        ("# only\n# words\n", "expected wavelength, flux"),
        ("\n".join(f"{0.4 + n / 100} 1 1" for n in range(50)), "expected Angstrom"),
        ("\n".join(str(4000 + n) for n in range(50)), "expected wavelength, flux"),
        ("4000 1 1\n" * 50, "rows with a wavelength"),
    ],
)
def test_what_is_no_spectrum_says_why(tmp_path, text, message):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(ProductFault, match=message):
        read_published(tmp_path / "x.txt")


def test_a_third_column_that_is_not_there_is_asked_for_in_vain(tmp_path):
    path = put(tmp_path / "x.txt", (WAVELENGTH, drawn()[0]))
    with pytest.raises(ProductFault, match="expected a third, the error"):
        read_published(path, Third.ERROR)


# sedmd classify --file


@pytest.fixture
def config(tmp_path):
    program = write_stand_in(tmp_path / "bin", "answers")
    path = tmp_path / "sedmd.toml"
    path.write_text(
        f'[paths]\nraw_root = "{tmp_path}/raw"\nredux_root = "{tmp_path}/redux"\n'
        f'[classify]\nengine = "snid"\nsnid_program = "{program}"\n'
    )
    return path


def test_a_file_is_classified_and_nothing_is_written(tmp_path, config, capsys):
    flux, error = drawn()
    path = put(tmp_path / "spec.txt", (WAVELENGTH, flux, error**2), PYSEDM)
    before = sorted(one.name for one in tmp_path.iterdir())
    assert main(["classify", "--file", str(path), "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ZTF20abcdefg")
    assert "Ia-norm z=0.0512" in out
    assert "S/N 20 per bin, third column taken as variance: PYSEDMV in the header" in out
    assert sorted(one.name for one in tmp_path.iterdir()) == before


def test_one_bad_file_costs_itself(tmp_path, config, capsys):
    good, bad = put(tmp_path / "good.txt", (WAVELENGTH, *drawn()), PYSEDM), tmp_path / "bad.txt"
    bad.write_text("nothing")
    assert main(["classify", "--file", str(bad), str(good), "--third", "error", "--config", str(config)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("bad.txt:") and "third column taken as error: as given" in second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--third", "error", "--redux", "."], "--file"),
        ([], "--config or --redux"),
        (["20190612", "--file", "x"], "no NIGHT"),
        (["--file", "x", "--dry-run"], "no NIGHT"),
    ],
)
def test_options_that_do_not_go_together(words, message, capsys):
    assert main(["classify", *words]) == 2
    assert message in capsys.readouterr().err
