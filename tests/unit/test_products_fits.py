"""Images, tables, cubes, spectra and their provenance come back from disk as they went."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

import sedmd
from sedmd.core.job import Job
from sedmd.products.cube import read_cube, write_cube
from sedmd.products.fitsio import ProductFault
from sedmd.products.image import combined_from, read_image, write_image
from sedmd.products.provenance import options_hash, provenance
from sedmd.products.spectrum import META_CARDS, read_spectrum, write_spectrum
from sedmd.products.tables import Column, read_table, write_table
from sedmd.reduce.numeric.containers import Cube, Image, Mask, Spaxels, Spectrum
from sedmd.reduce.numeric.hexagon import cell_vertices


def raw_header():
    header = fits.PrimaryHDU(np.zeros((8, 8), np.uint16)).header
    header["OBJECT"] = "ZTF18abc [A]"
    header["GAIN"] = 1.77
    header["EXPTIME"] = 900.0
    header["AIRMASS"] = 1.2
    return header


def make_image(**changes):
    rng = np.random.default_rng(1)
    return Image(
        **(
            {
                "data": rng.normal(size=(6, 5)).astype(np.float32),
                "variance": rng.random((6, 5)).astype(np.float32),
                "mask": rng.integers(0, 8, (6, 5)).astype(np.uint8),
                "read_noise": 5.25,
            }
            | changes
        )
    )


def make_spaxels(radius=2):
    q, r = np.meshgrid(np.arange(-radius, radius + 1), np.arange(-radius, radius + 1))
    q, r = q.ravel(), r.ravel()
    return Spaxels(
        ident=np.arange(len(q), dtype=np.int32) * 3 + 7,
        q=q.astype(np.int32),
        r=r.astype(np.int32),
        x_arcsec=-0.613 * q - 0.173 * r + 0.05,
        y_arcsec=-0.174 * q - 0.597 * r - 0.02,
    )


def make_cube(n_wave=7):
    spaxels = make_spaxels()
    rng = np.random.default_rng(2)
    shape = (n_wave, len(spaxels.ident))
    return Cube(
        wavelength=3700.0 * 1.02 ** np.arange(n_wave),
        flux=rng.normal(10, 1, shape).astype(np.float32),
        variance=rng.random(shape).astype(np.float32),
        mask=rng.integers(0, 2, shape).astype(np.uint8),
        spaxels=spaxels,
    )


def make_spectrum(**meta):
    wavelength = np.linspace(3700, 9300, 11)
    flux = 1e-16 * (wavelength / 5500) ** -2
    flux[3] = np.nan
    return Spectrum(
        wavelength=wavelength,
        flux=flux,
        error=0.03 * flux,
        sky=0.5 * flux,
        unit="erg / (s cm2 Angstrom)",
        meta=meta,
    )


def make_job(tmp_path, **changes):
    raw = tmp_path / "ifu20240101_01_02_03.fits"
    raw.write_bytes(b"raw bytes")
    master = tmp_path / "bias0.1.fits"
    if not master.exists():
        write_table(master, [Column(name="A", array=np.arange(3))], fits.Header({"STEP": "bias"}))
    return Job(
        **(
            {
                "step": "cube",
                "night": "20240101",
                "label": "x",
                "inputs": {"raw": (raw,), "bias": (master,)},
                "outputs": {},
                "options": {"b": 1, "a": [2.5]},
            }
            | changes
        )
    )


def test_image_round_trip(tmp_path):
    image = make_image()
    write_image(tmp_path / "i.fits", image, header=raw_header(), cards={"BIASSUB": ("Subtracted", "by sedmd")})
    back, header = read_image(tmp_path / "i.fits")
    for name in ("data", "variance", "mask"):
        assert_array_equal(getattr(back, name), getattr(image, name))
        assert getattr(back, name).dtype.isnative
    assert back.read_noise == 5.25
    assert header["GAIN"] == 1.0 and "1.77" in header.comments["GAIN"]
    assert header["BUNIT"] == "electron"
    assert header["OBJECT"] == "ZTF18abc [A]"
    assert header["BIASSUB"] == "Subtracted"
    assert header["BITPIX"] == -32 and "BZERO" not in header


def exposure(**changes):
    """An image whose variance is photon and read noise of its pixels, as the steps make it."""
    data = make_image().data * 1000
    read_noise = 5.519745963143856
    return make_image(
        data=data, variance=np.maximum(data, 0) + np.float32(read_noise**2), read_noise=read_noise, **changes
    )


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("data", "variance", "mask")
    )


def test_packed_image_comes_back_to_the_last_bit(tmp_path):
    image, noisy = exposure(), make_image()
    write_image(tmp_path / "i.fits", image, header=raw_header(), packed=True)
    back, header = read_image(tmp_path / "i.fits")
    assert same(back, image)
    assert back.read_noise == image.read_noise
    assert header["VARFROM"] == "PRIMARY"
    with fits.open(tmp_path / "i.fits") as hdul:
        assert [hdu.name for hdu in hdul] == ["PRIMARY", "MASK"]
        assert_array_equal(hdul["MASK"].data, image.mask)
    # a variance that does not follow from the pixels is kept
    write_image(tmp_path / "n.fits", noisy, header=header, packed=True)
    back, header = read_image(tmp_path / "n.fits")
    assert same(back, noisy)
    assert "VARFROM" not in header


def test_packed_image_may_have_the_variance_of_the_file_beside_it(tmp_path):
    image = exposure()
    below = replace(image, data=image.data - np.float32(3.3))
    write_image(tmp_path / "i.fits", image, packed=True)
    write_image(tmp_path / "b.fits", below, packed=True, beside=("i.fits", image))
    assert fits.getheader(tmp_path / "b.fits")["VARFROM"] == "i.fits"
    back, header = read_image(tmp_path / "b.fits")
    assert same(back, below)
    # another variance is its own
    noisy = replace(below, variance=below.variance + np.float32(1))
    write_image(tmp_path / "n.fits", noisy, packed=True, beside=("i.fits", image))
    assert same(read_image(tmp_path / "n.fits")[0], noisy)
    # written again as a whole it needs nobody
    write_image(tmp_path / "again.fits", back, header=header)
    (tmp_path / "i.fits").unlink()
    assert same(read_image(tmp_path / "again.fits")[0], below)
    with pytest.raises(ProductFault, match=r"b\.fits: .* that of i\.fits, expected beside it and not there"):
        read_image(tmp_path / "b.fits")


def test_packed_image_is_guarded_by_its_sums(tmp_path):
    path = tmp_path / "i.fits"
    write_image(path, exposure(), packed=True)
    first = path.read_bytes()
    write_image(path, exposure(), packed=True)
    assert path.read_bytes() == first
    with fits.open(path, checksum=True, disable_image_compression=True) as hdul:
        assert [hdu.verify_checksum() for hdu in hdul] == [1, 1]
    path.write_bytes(first[:-2000].replace(b"SATURATED", b"SATURATEd") + first[-2000:])
    with pytest.raises(ProductFault, match="CHECKSUM"):
        read_image(path)


def test_mask_bits_are_explained_in_the_file(tmp_path):
    write_image(tmp_path / "i.fits", make_image())
    header = fits.getheader(tmp_path / "i.fits", "MASK")
    assert {header[f"BIT{bit}"] for bit in range(5)} == {mask.name for mask in Mask}


def test_combined_image_names_its_inputs(tmp_path):
    write_image(tmp_path / "i.fits", make_image(), cards=combined_from(["a.fits", "b.fits"]))
    header = fits.getheader(tmp_path / "i.fits")
    assert (header["NCOMBINE"], header["IMCMB001"], header["IMCMB002"]) == (2, "a.fits", "b.fits")


def test_wrong_kind_of_file_is_refused_by_name(tmp_path):
    path = tmp_path / "t.fits"
    write_table(path, [Column(name="A", array=np.arange(3))])
    for read in (read_image, read_cube, read_spectrum):
        with pytest.raises(ProductFault, match=r"t\.fits: not a"):
            read(path)
    write_image(tmp_path / "i.fits", make_image())
    with pytest.raises(ProductFault, match="right product"):
        read_table(tmp_path / "i.fits")


def test_table_round_trip_keeps_every_kind_of_column(tmp_path):
    columns = [
        Column(name="ID", array=np.arange(4, dtype=np.int32), comment="number"),
        Column(name="WIDTH", array=np.linspace(0, 1, 4, dtype=np.float32), unit="pixel"),
        Column(name="COEF", array=np.random.default_rng(0).normal(size=(4, 5)), unit="Angstrom"),
        Column(name="CUBE", array=np.arange(24.0).reshape(4, 2, 3)),
        Column(name="OK", array=np.array([True, False, True, True])),
        Column(name="MASK", array=np.arange(4, dtype=np.uint8)),
        Column(name="BIG", array=np.array([1, 2, 3, 2**40])),
        Column(name="LAMP", array=np.array(["Hg", "Cd", "", "Xe"])),
    ]
    extra = fits.ImageHDU(np.arange(6.0), name="GRID")
    write_table(tmp_path / "t.fits", columns, fits.Header({"RMS": 0.5}), [extra])
    back = read_table(tmp_path / "t.fits")
    assert list(back.columns) == [column.name for column in columns]
    for column in columns:
        assert_array_equal(back[column.name], column.array)
        assert back[column.name].dtype.kind == column.array.dtype.kind
    assert back.units == {"WIDTH": "pixel", "COEF": "Angstrom"}
    assert back.header["RMS"] == 0.5
    assert_array_equal(back.extra["GRID"].data, np.arange(6.0))
    assert fits.getheader(tmp_path / "t.fits", 1)["TCOMM1"] == "number"


def test_empty_table_round_trip(tmp_path):
    write_table(
        tmp_path / "t.fits", [Column(name="A", array=np.zeros((0, 3))), Column(name="B", array=np.zeros(0, int))]
    )
    back = read_table(tmp_path / "t.fits")
    assert back["A"].shape == (0, 3) and back["B"].shape == (0,)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([Column(name="A", array=np.arange(3)), Column(name="B", array=np.arange(4))], "same number of rows"),
        ([Column(name="A", array=np.arange(3)), Column(name="a", array=np.arange(3))], "one name"),
        ([Column(name="A", array=np.array([None, 1]))], "no place in a FITS table"),
    ],
)
def test_impossible_tables_are_refused(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        write_table(tmp_path / "t.fits", columns)
    assert list(tmp_path.iterdir()) == []


def test_cube_round_trip(tmp_path):
    cube = make_cube()
    write_cube(tmp_path / "e3d.fits", cube, header=raw_header(), cards={"FLEXX": 0.3})
    back, header = read_cube(tmp_path / "e3d.fits")
    for name in ("wavelength", "flux", "variance", "mask"):
        assert_array_equal(getattr(back, name), getattr(cube, name))
        assert getattr(back, name).dtype.isnative
    for name in ("ident", "q", "r", "x_arcsec", "y_arcsec"):
        assert_array_equal(getattr(back.spaxels, name), getattr(cube.spaxels, name))
    assert header["FLEXX"] == 0.3 and header["OBJECT"] == "ZTF18abc [A]"


def test_cube_holds_what_pyifu_reads(tmp_path):
    # pyifu 0.13: two-dimensional primary (n_wave, n_spaxel); images VARIANCE, LBDA, MAPPING, SPAX_ID, SPAX_VERT
    cube = make_cube()
    write_cube(tmp_path / "e3d.fits", cube)
    with fits.open(tmp_path / "e3d.fits") as hdul:
        assert "EURO3D" not in hdul[0].header
        assert hdul[0].data.shape == hdul["VARIANCE"].data.shape == (7, 25)
        assert_array_equal(hdul["LBDA"].data, cube.wavelength)
        assert_array_equal(hdul["SPAX_ID"].data, cube.spaxels.ident)
        assert hdul["MAPPING"].data[4].tolist() == [cube.spaxels.x_arcsec[4], cube.spaxels.y_arcsec[4]]
        assert hdul["SPAX_VERT"].data.shape == (6, 2)


def test_cube_refuses_spaxels_out_of_order(tmp_path):
    cube = make_cube()
    order = np.argsort(-cube.spaxels.ident)
    spaxels = Spaxels(
        **{name: getattr(cube.spaxels, name)[order] for name in ("ident", "q", "r", "x_arcsec", "y_arcsec")}
    )
    turned = Cube(wavelength=cube.wavelength, flux=cube.flux, variance=cube.variance, mask=cube.mask, spaxels=spaxels)
    with pytest.raises(ValueError, match="order of their numbers"):
        write_cube(tmp_path / "e3d.fits", turned)


def test_cube_refuses_arrays_that_do_not_fit(tmp_path):
    cube = make_cube()
    wrong = Cube(
        wavelength=cube.wavelength, flux=cube.flux.T, variance=cube.variance, mask=cube.mask, spaxels=cube.spaxels
    )
    with pytest.raises(ValueError, match="n_wave, n_spaxel"):
        write_cube(tmp_path / "e3d.fits", wrong)


def test_regular_hexagon_has_the_corners_of_the_textbook():
    q, r = (a.ravel() for a in np.meshgrid(np.arange(3), np.arange(3)))
    spaxels = Spaxels(ident=np.arange(9), q=q, r=r, x_arcsec=q + r / 2, y_arcsec=r * np.sqrt(3) / 2)
    corners = cell_vertices(spaxels)
    assert np.hypot(*corners.T) == pytest.approx(np.full(6, 1 / np.sqrt(3)))
    x, y = corners.T
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    assert area == pytest.approx(np.sqrt(3) / 2)


def test_spectrum_round_trip(tmp_path):
    meta = {
        "target": "AT 2024x [A] 'q'",
        "exptime_s": 1800.0,
        "req_id": 1234,
        "skysub": True,
        "quality": 1,
        "airmass": 1.25,
        "seeing_arcsec": None,
        "rms": 0.25,
        "an_unforeseen_figure": 3,
        "note": "short",
    }
    spectrum = make_spectrum(**meta)
    write_spectrum(tmp_path / "sp.fits", spectrum, header=raw_header())
    back, header = read_spectrum(tmp_path / "sp.fits")
    for name in ("wavelength", "flux", "error", "sky"):
        assert_array_equal(getattr(back, name), getattr(spectrum, name))
        assert getattr(back, name).dtype.isnative
    assert back.unit == spectrum.unit
    assert back.meta == meta
    assert header["OBJECT"] == "ZTF18abc [A]"
    assert header["EXPTIME"] == 1800.0  # the figure wins over the card of the single raw frame
    assert back.correlation is None and back.calibration_error is None


def test_what_is_known_of_the_errors_of_a_spectrum_comes_back(tmp_path):
    spectrum = make_spectrum(target="x")
    n = spectrum.wavelength.size
    shared = np.column_stack([np.linspace(0.1, 0.3, n), np.linspace(0.0, 0.02, n)])
    whole = replace(spectrum, correlation=shared, calibration_error=0.01 * np.abs(spectrum.flux))
    write_spectrum(tmp_path / "sp.fits", whole)
    back, _ = read_spectrum(tmp_path / "sp.fits")
    assert_array_equal(back.correlation, shared)
    assert_array_equal(back.calibration_error, whole.calibration_error)
    with fits.open(tmp_path / "sp.fits") as hdul:
        assert hdul["SPECTRUM"].columns["CALERR"].unit == spectrum.unit


def test_the_light_of_a_host_comes_back_where_there_is_one(tmp_path):
    plain = make_spectrum()
    write_spectrum(tmp_path / "plain.fits", plain)
    assert read_spectrum(tmp_path / "plain.fits")[0].host is None
    write_spectrum(tmp_path / "host.fits", replace(plain, host=0.5 * plain.flux))
    assert_array_equal(read_spectrum(tmp_path / "host.fits")[0].host, 0.5 * plain.flux)
    with fits.open(tmp_path / "host.fits") as hdul:
        assert hdul["SPECTRUM"].columns["HOST"].unit == hdul["SPECTRUM"].columns["FLUX"].unit


def test_no_two_figures_share_a_card():
    cards = [card for card, _ in META_CARDS.values()]
    assert len(set(cards)) == len(cards)
    assert all(len(card) <= 8 for card in cards)
    assert [c for card, c in META_CARDS.values() if len(c) > 47] == []


def test_provenance_names_every_input_by_checksum(tmp_path):
    job = make_job(tmp_path)
    write_image(tmp_path / "i.fits", make_image(), provenance=provenance(job, {"NSPAX": 1500, "trace_rms_px": 0.03}))
    with fits.open(tmp_path / "i.fits") as hdul:
        header, table = hdul[0].header, hdul["PROVENANCE"].data
    assert header["STEP"] == "cube" and header["NIGHT"] == "20240101"
    assert header["SEDMVER"] == sedmd.__version__
    assert header["NUMPYVER"] == np.__version__
    assert header["NSPAX"] == 1500 and header["SEDM TRACE_RMS_PX"] == 0.03
    rows = {row["ROLE"]: (row["FILE"], row["SHA256"], row["STEP"]) for row in table}
    assert rows["raw"] == ("ifu20240101_01_02_03.fits", hashlib.sha256(b"raw bytes").hexdigest(), "raw")
    assert rows["bias"][0] == "bias0.1.fits" and rows["bias"][2] == "bias"


def test_provenance_holds_no_directory(tmp_path):
    write_image(tmp_path / "i.fits", make_image(), provenance=provenance(make_job(tmp_path)))
    assert str(tmp_path).encode() not in (tmp_path / "i.fits").read_bytes()


def test_same_job_gives_same_bytes(tmp_path):
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        job = make_job(tmp_path / name)
        digests.add(write_cube(tmp_path / name / "e3d.fits", make_cube(), provenance=provenance(job)))
    assert len(digests) == 1


def test_options_hash_sees_values_and_not_order():
    assert options_hash({"a": 1, "b": 2}) == options_hash({"b": 2, "a": 1})
    assert options_hash({"a": 1}) != options_hash({"a": 2})


def test_provenance_without_inputs_is_an_empty_table(tmp_path):
    job = make_job(tmp_path, inputs={})
    assert len(provenance(job).table.data) == 0


def test_missing_file_is_said_so():
    with pytest.raises(FileNotFoundError):
        read_cube(Path("no/such/cube.fits"))
