"""Directions: known answers, files of several networks, images that go along them, and wrong input."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_generators import tiny_generator

from dnnlib.image_files import read_text
from metrics.linear_separability import planes_of, separability
from stylegan_tf.commands.generate import main
from stylegan_tf.editing.directions import (
    FILE,
    Directions,
    closed_form,
    holding,
    principal_components,
    read_planes,
    write_planes,
)
from stylegan_tf.editing.edit import edited_styles, make_edit, sampled_latents
from stylegan_tf.editing.projected import RESULT, write_result
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler


@pytest.fixture(scope="module", params=["stylegan", "stylegan2"])
def sampler(request):
    return Sampler(tiny_generator(resolution=8, family=request.param, label_size=2))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A saved network with the planes of two attributes beside it, and its Sampler."""
    folder = tmp_path_factory.mktemp("network")
    generator = tiny_generator(resolution=8)
    generator.save(folder / "Gs.keras")
    sampler = Sampler(generator)
    write_planes(folder / FILE, sampler.network_hash, {"z": planes(3), "w": planes(4)})
    return folder / "Gs.keras", sampler


def planes(seed, names=("glasses=none", "hat:red"), size=16):
    random = np.random.default_rng(seed)
    shape = len(names), size
    return {
        "names": np.array(names),
        "normals": random.standard_normal(shape),
        "intercepts": random.standard_normal(len(names)),
        "accuracies": np.array([0.75, 0.5]),
    }


def invoke(*arguments):
    return CliRunner().invoke(main, ["edit", "--num-gpus=0", *map(str, arguments)])


def test_principal_components():
    random = np.random.default_rng(0)
    axes, _ = np.linalg.qr(random.standard_normal((5, 5)))
    w = random.standard_normal((20_000, 5)) * [5, 3, 1, 0.5, 0.1] @ axes.T + 7
    found = principal_components(w, 3)
    assert found.names == ["pca-0", "pca-1", "pca-2"]
    np.testing.assert_allclose(np.abs(np.sum(found.normals * axes.T[:3], axis=1)), 1, atol=1e-3)
    assert found.remarks[2].endswith("% of w's variance") and 2 < float(found.remarks[2].partition("%")[0]) < 4
    assert all(row[np.abs(row).argmax()] > 0 for row in found.normals)


@pytest.mark.parametrize("layers", [slice(0, 1), slice(1, 4), slice(None)])
def test_closed_form_changes_styles_most(sampler, layers):
    """The change of all styles of these layers, by a step along each direction and by random ones."""
    found = closed_form(sampler.generator, layers, 16)
    chosen = sampler.generator.synthesis.styles[layers]
    w = np.zeros((1, sampler.generator.dlatent_size), np.float32)

    def change(step):
        moved = [np.asarray(dense(w + step)) - np.asarray(dense(w)) for dense_of in chosen for dense in dense_of]
        return sum(float(np.sum(x**2)) for x in moved)

    np.testing.assert_allclose(found.normals @ found.normals.T, np.eye(len(found.names)), atol=1e-6)
    changes = [change(normal.astype(np.float32)) for normal in found.normals]
    assert np.diff(changes).max() < 1e-5
    random = np.random.default_rng(0).standard_normal((20, w.shape[1])).astype(np.float32)
    others = [change(step / np.linalg.norm(step)) for step in random]
    assert changes[-1] < min(others) < max(others) < changes[0]


def test_every_style_of_a_layer_is_known(sampler):
    """w of one layer alone changes what its dense layers say, and nothing else does: the image changes with them."""
    generator = sampler.generator
    assert len(generator.synthesis.styles) == generator.num_layers
    w = sampler.mapping(np.ones((1, 16)), np.eye(2)[:1])
    before = sampler.synthesis(w)
    for layer in range(generator.num_layers):
        kernels = [dense.kernel for dense in generator.synthesis.styles[layer]]
        kept = [kernel.numpy() for kernel in kernels]
        for kernel in kernels:
            kernel.assign(kernel * 0)
        still = sampler.synthesis(w)
        moved = w.copy()
        moved[:, layer] += 1
        np.testing.assert_array_equal(sampler.synthesis(moved), still)
        for kernel, value in zip(kernels, kept, strict=True):
            kernel.assign(value)
        assert not np.array_equal(still, before)


def test_holding():
    random = np.random.default_rng(0)
    normal, *held = (x / np.linalg.norm(x) for x in random.standard_normal((4, 8)))
    found = holding(normal, np.array(held))
    np.testing.assert_allclose([np.linalg.norm(found), *(held @ found)], [1, 0, 0, 0], atol=1e-12)
    assert found @ normal > 0
    np.testing.assert_array_equal(holding(normal, np.array([])), normal / np.linalg.norm(normal))
    with pytest.raises(ValueError, match="Nothing is left"):
        holding(normal, np.array([held[0], normal]))


def test_planes_of_several_networks(tmp_path):
    path = tmp_path / FILE
    assert read_planes(path, "one", "w") is None
    write_planes(path, "one", {"z": planes(0), "w": planes(1)})
    write_planes(path, "two", {"z": planes(2), "w": planes(3)})
    write_planes(path, "one", {"z": planes(4), "w": planes(5)})
    for network, space, seed in (("one", "z", 4), ("one", "w", 5), ("two", "z", 2), ("two", "w", 3)):
        found, normals = read_planes(path, network, space), planes(seed)["normals"]
        np.testing.assert_allclose(found.normals, normals / np.linalg.norm(normals, axis=1, keepdims=True))
        assert found.names == ["glasses=none", "hat:red"]
        assert found.remarks == ["told by a plane in 75.0%", "told by a plane in 50.0%"]
    assert read_planes(path, "three", "w") is None
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"directions\.npz is damaged; remove it"):
        read_planes(path, "one", "w")


def test_separability_points_to_the_attribute():
    """Along the plane's normal an attribute becomes more probable, whatever its number."""
    random = np.random.default_rng(0)
    latents = random.standard_normal((500, 4)).astype(np.float32)
    logits = latents[:, [2, 1]] * [9, -9]
    arrays = planes_of(separability(latents, logits, ["third", "not second"], 400))
    assert arrays["names"].tolist() == ["third", "not second"] and (arrays["accuracies"] > 0.98).all()
    normals = arrays["normals"] / np.linalg.norm(arrays["normals"], axis=1, keepdims=True)
    np.testing.assert_allclose(normals, [[0, 0, 1, 0], [0, -1, 0, 0]], atol=0.1)
    scores = latents @ arrays["normals"].T + arrays["intercepts"]
    assert np.mean((scores > 0) == (logits > 0)) > 0.98


def test_edited_styles(sampler):
    """Steps in deviations of the samples, in these layers only; of z, they go through the mapping network."""
    look = Look("network", psi=0.8, cutoff=2)
    normal = np.eye(16)[3]
    samples = sampled_latents(sampler, "w")
    step = make_edit("third", 2.0, normal, samples, "w")
    amounts, layers = np.array([-1, 0, 0.5]), slice(1, 3)
    moved = edited_styles(sampler, look, [4, 5], step, amounts, layers)
    w = look.styles(sampler, [4, 5])
    expected = np.repeat(w[:, None], 3, axis=1)
    expected[:, :, layers, 3] += (2 * samples[:, 3].std() * amounts)[:, None]
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-6)
    z_step = make_edit("third", 2.0, normal, sampled_latents(sampler, "z"), "z")
    moved = edited_styles(sampler, look, [4, 5], z_step, amounts, layers)
    np.testing.assert_allclose(moved[:, 1], w, rtol=1e-6)
    assert (np.abs(moved - w[:, None])[:, [0, 2]][:, :, layers].max(axis=(1, 2, 3)) > 1e-3).all()
    np.testing.assert_array_equal(
        np.delete(moved, [1, 2], axis=2), np.repeat(w[:, None, [0, 3, *range(4, w.shape[1])]], 3, 1)
    )


def test_rows_from_one_side_to_the_other(network, tmp_path):
    path, sampler = network
    steps = "--direction=glasses:2", "--direction=pca-1:3"
    result = invoke(
        f"--network={path}", "--seeds=7,8", *steps, "--hold=hat:red", "--layers=1-2", f"--outdir={tmp_path}"
    )
    assert result.exit_code == 0, result.output
    picture = np.asarray(Image.open(tmp_path / "edit.png"))
    assert picture.shape == (4 * 8, 5 * 8, 3)
    look = Look(str(path), sampler.usual_psi, sampler.truncated_layers)
    for row, seed in enumerate((7, 8, 7, 8)):
        cells = np.split(picture[8 * row : 8 * row + 8].astype(int), 5, axis=1)
        assert np.abs(cells[2] - look.images(sampler, [seed])[0]).max() <= 1
        assert not np.array_equal(cells[0], cells[4])
    text = read_text(tmp_path / "edit.png")
    assert text["edits"].startswith("glasses:2 in w (sha256 ") and "pca-1:3" in text["edits"]
    # The opposite of none of them, without that of the hat.
    held = read_planes(path.parent / FILE, sampler.network_hash, "w")
    normal = holding(held.find("glasses"), held.normals[1:])
    assert normal @ held.normals[0] < 0
    expected = make_edit("glasses", 2.0, normal, sampled_latents(sampler, "w"), "w")
    assert str(expected) in text["edits"]


def test_projected_pictures_are_edited_with_their_own_noise(network, tmp_path):
    path, sampler = network
    w = sampler.mapping(np.ones((1, 16)))
    noise = [np.full((1, *shape[1:]), 0.5, np.float32) for shape in sampler.generator.noise_shapes]
    (tmp_path / "face").mkdir()
    write_result(tmp_path / "face" / RESULT, w, noise, {"network sha256": sampler.network_hash})
    given = f"--w={tmp_path / 'face'}", "--direction=pca-0:2", "--columns=3", f"--outdir={tmp_path}"
    result = invoke(f"--network={path}", *given)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    cells = np.split(np.asarray(Image.open(tmp_path / "edit.png")).astype(int), 3, axis=1)
    samples = sampled_latents(sampler, "w")
    step = make_edit("pca-0", 2.0, principal_components(samples, 1).normals[0], samples, "w").step
    for cell, amount in zip(cells, (-1, 0, 1), strict=True):
        assert np.abs(cell - sampler.synthesis(w + np.float32(amount) * step, noise)[0]).max() <= 1
    assert not np.array_equal(cells[0], cells[2])


def test_list(network):
    path, _ = network
    result = invoke(f"--network={path}", "--list")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "glasses=none  told by a plane in 75.0%" and lines[2].startswith("pca-0 ")
    assert len(lines) == 2 + 16 + 16 and result.stderr == ""


def test_a_network_that_comes_with_the_project_has_its_own(tmp_path, monkeypatch):
    """In any folder, with nothing measured in it: every factor that a plane tells, and images that go along one."""
    monkeypatch.chdir(tmp_path)
    dark = "skinColor=7d4a26"
    result = invoke("--network=avatars-64", "--list")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert {"glasses=none", dark, "pca-0", "sefa-15"} < set(names)
    result = invoke("--network=avatars-64", "--seeds=0", f"--direction={dark}:3", "--columns=3", "--outdir=edited")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    left, middle, right = np.split(np.asarray(Image.open("edited/edit.png")).astype(int), 3, axis=1)
    assert left.shape == (64, 64, 3)
    face = slice(24, 36), slice(16, 40)
    assert right[face].mean() < middle[face].mean() - 5 < left[face].mean() - 30
    assert f"{dark}:3 in w" in read_text(tmp_path / "edited" / "edit.png")["edits"]


WRONG = [
    (["--seeds=0"], "Give --direction; --list names"),
    (["--seeds=0", "--direction=pca-0:1"], "Give --outdir"),
    (["--direction=pca-0:1", "--outdir=x"], "Give --seeds or --w"),
    (["--seeds=0", "--direction=pca-0", "--outdir=x"], "'pca-0' is not a name and a strength"),
    (["--seeds=0", "--direction=pca-0:nan", "--outdir=x"], "nan is no finite number"),
    (["--seeds=0", "--direction=nose:1", "--outdir=x"], "There is no direction nose; --list names"),
    (["--seeds=0", "--direction=pca-0:1", "--hold=pca-0", "--outdir=x"], "Nothing is left of the direction"),
    (["--seeds=0", "--direction=pca-0:1", "--space=z", "--outdir=x"], "pca-0 is a direction of w"),
    (["--seeds=0", "--direction=pca-0:1", "--layers=3-4", "--outdir=x"], "There are no 3-4 styles"),
    (["--seeds=0", "--direction=pca-0:1", "--columns=4", "--outdir=x"], "--columns must be odd"),
    (["--w=y", "--direction=hat:red:1", "--space=z", "--outdir=x"], "has no z"),
]


@pytest.mark.parametrize("arguments, message", WRONG)
def test_wrong_input(network, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = invoke(f"--network={network[0]}", *arguments)
    assert result.exit_code == 2 and message in result.output and result.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_attributes(tmp_path):
    tiny_generator().save(tmp_path / "Gs.keras")
    result = invoke(f"--network={tmp_path / 'Gs.keras'}", "--list")
    assert result.exit_code == 0 and "run_metrics.py --metric=ls finds them" in result.stderr
    result = invoke(f"--network={tmp_path / 'Gs.keras'}", "--list", "--space=z")
    assert result.exit_code == 2 and "or leave --space=z out" in result.output


def test_find():
    found = Directions(["a=none", "a"], np.eye(2), ["", ""])
    np.testing.assert_array_equal(found.find("a"), [0, 1])
    np.testing.assert_array_equal(Directions(["a=none"], np.eye(1), [""]).find("a"), [-1])
