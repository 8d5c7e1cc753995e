"""Light above the gaps is what numpy makes of whole arrays; image columns are those that are not scan columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sedmd.core.instrument import Sections
from sedmd.reduce.detector.overscan import image_columns, image_part
from sedmd.reduce.loops.gaps import rooted_light
from unit.reduce_scenes import rng


@given(n_y=st.integers(1, 30), n_x=st.integers(1, 20), gap=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_rooted_light_as_numpy(n_y, n_x, gap, seed):
    random = rng(seed)
    image = random.normal(20, 60, (n_y, n_x)).astype(np.float32)
    mask = ((random.uniform(size=image.shape) < 0.1) * 4).astype(np.uint8)
    out = np.full_like(image, np.nan)
    rooted_light(image, mask, np.float32(30.0), np.float32(2.0), gap, out)
    data = np.where(mask == 0, image, np.float32(0))
    expected = np.zeros_like(data)
    if n_y > 2 * gap:
        own = data[gap:-gap]
        above = own - 0.5 * (data[: -2 * gap] + data[2 * gap :])
        lit = (mask[gap:-gap] == 0) & (above > 2.0 * np.sqrt(1.5 * (30.0 + np.maximum(own, 0))))
        expected[gap:-gap] = np.sqrt(np.where(lit, above, np.float32(0)))
    assert_array_equal(out, expected)


@pytest.mark.parametrize("every", [1, 3, 4])
@pytest.mark.parametrize(
    "sections",
    [
        pytest.param(Sections(image=(0, 50), scans=((47, 50),)), id="scan columns at the edge of the image"),
        pytest.param(Sections(image=(20, 60), scans=((0, 20), (60, 66))), id="on both sides"),
        pytest.param(Sections(image=(0, 66), scans=((30, 35),)), id="amid the image"),
        pytest.param(Sections(image=(4, 5), scans=((0, 4),)), id="one column"),
    ],
)
def test_image_part_is_the_image_columns(sections, every):
    raw = np.arange(5 * 66).reshape(5, 66)
    assert_array_equal(image_part(raw, sections, every=every), raw[:, image_columns(sections)[::every]])
