"""The benchmark that looks for droplets: a known peak, the layers' own feature maps, the table and the figure."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_generators import FAMILIES, tiny_generator
from tiny_networks import normal

from benchmarks import droplets


def test_energy():
    spot = np.zeros((1, 8, 8, 5))
    spot[0, 2, 3] = [1, -2, 3, 100, 0]
    # One pixel that differs in P has the energy P - 1; the last map, the same everywhere, does not count.
    found = droplets.energy(spot)
    assert found.shape == (1, 8, 8)
    assert found.argmax() == 2 * 8 + 3
    assert found[0, 2, 3] == pytest.approx(63) and found.mean() == pytest.approx(1)
    features = normal(3, 16, 16, 4)
    found = droplets.energy(features)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 1)
    assert found.max() < 10
    np.testing.assert_allclose(droplets.energy(features * [1, -5, 0.1, 2] + [3, 0, -1, 9]), found, rtol=1e-4)
    assert (droplets.energy(np.ones((2, 4, 4, 3))) == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_feature_maps(family):
    synthesis = tiny_generator(resolution=8, family=family).synthesis
    w = normal(2, synthesis.num_layers, 16)
    found, images = droplets.feature_maps(synthesis, w)
    np.testing.assert_allclose(images, synthesis(w), rtol=1e-5, atol=1e-5)
    sides = [shape[1] for shape in synthesis.noise_shapes]
    assert [x.shape for x in found] == [(2, side, side, 8) for side in sides]
    first = synthesis.layers_by_resolution[0][0]
    start = synthesis.constant(w) if hasattr(synthesis, "constant") else w[:, 0]
    np.testing.assert_allclose(found[0], first(start, w[:, 0], synthesis.noise_images[0]), rtol=1e-5, atol=1e-5)
    # Nothing is left of what watched.
    assert len(droplets.feature_maps(synthesis, w)[0]) == len(found)


def test_places_of_layers():
    assert droplets.places([4, 4, 8, 8]) == [0, 1, 2, 3]
    assert droplets.places([4, 8, 8]) == [1, 2, 3]


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """{family: .keras file}; the feature maps of the first have a droplet, which its noise draws."""
    folder = tmp_path_factory.mktemp("droplets")
    for family in FAMILIES:
        generator = tiny_generator(resolution=8, family=family)
        if family == "stylegan":
            noise = generator.noise_images[-1].numpy()
            noise[0, 5, 6] = 1000
            generator.noise_images[-1].assign(noise)
        generator.save(folder / f"{family}.keras")
    return {family: folder / f"{family}.keras" for family in FAMILIES}


def test_table_and_figure(networks, tmp_path):
    output = tmp_path / "new" / "droplets.png"
    arguments = [*map(str, networks.values()), "--images=3", f"--output={output}"]
    result = CliRunner().invoke(droplets.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    header, *lines, last = result.stdout.splitlines()
    assert header.split() == ["network", "peak", "4x4", "8x8"] and last == str(output)
    rows = [line.split() for line in lines]
    names = [f"{family}.keras" for family in networks]
    assert [row[:2] for row in rows] == [[name, word] for name in names for word in ("mean", "highest")]
    values = {tuple(row[:2]): [float(value) for value in row[2:]] for row in rows}
    # A lone pixel of 64 has a peak of sqrt(63).
    assert 7.5 < values["stylegan.keras", "highest"][1] < 63**0.5
    assert 1 < values["stylegan2.keras", "highest"][1] < 6
    assert all((np.array(values[name, "mean"]) <= values[name, "highest"]).all() for name in names)
    with Image.open(output) as figure:
        assert np.asarray(figure.convert("L")).std() > 10


def test_wrong_input(networks, tmp_path):
    for arguments, words in [
        (["nowhere"], "nowhere does not exist"),
        ([str(networks["stylegan"]), "--images=0"], "--images"),
        ([], "NETWORK"),
    ]:
        result = CliRunner().invoke(droplets.main, [*arguments, f"--output={tmp_path / 'droplets.png'}"])
        assert result.exit_code == 2 and result.stderr.count("\n") == 1 and words in result.stderr
    assert not list(tmp_path.iterdir())
