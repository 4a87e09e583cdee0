"""Files of many seeds: what is in them, and what happens when they are there already."""

import re

import numpy as np
import pytest
from PIL import Image
from tiny_generators import tiny_generator

from dnnlib.image_files import read_text, save_image
from stylegan_tf.files.identity import network_hash
from stylegan_tf.pictures import gallery
from stylegan_tf.pictures.gallery import Look, is_there, write_images
from stylegan_tf.pictures.sampler import Sampler, latents

LOOK = Look("tiny.keras", psi=0.5, cutoff=3)


@pytest.fixture(scope="module")
def sampler():
    return Sampler(tiny_generator(), minibatch=2)


def pixels(path):
    return np.asarray(Image.open(path))


def modified(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("seed*")}


def test_images(sampler, tmp_path):
    assert write_images(sampler, LOOK, [7, 0, 12345, 7], tmp_path / "new" / "folder") == 3
    folder = tmp_path / "new" / "folder"
    names = ["seed0007.png", "seed0000.png", "seed12345.png"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "grid.png", "index.html"])
    w = sampler.truncate(sampler.mapping(latents([7, 0, 12345], 16)), 0.5, 3)
    expected = sampler.synthesis(w)
    for name, image in zip(names, expected, strict=True):
        assert np.abs(pixels(folder / name).astype(int) - image).max() <= 1
    assert read_text(folder / names[2]) == {
        "network": "tiny.keras",
        "network sha256": network_hash(sampler.generator),
        "precision": "fp32",
        "seed": "12345",
        "truncation psi": "0.5 on the first 3 layers",
        "noise": "fixed",
    }
    grid = pixels(folder / "grid.png")
    assert grid.shape == (16, 16, 3)
    np.testing.assert_array_equal(grid[:8, :8], pixels(folder / names[0]))
    np.testing.assert_array_equal(grid[8:, :8], pixels(folder / names[2]))
    assert not grid[8:, 8:].any()
    assert re.findall(r'<img src="(.*?)"', (folder / "index.html").read_text()) == names


def test_the_same_again(sampler, tmp_path):
    write_images(sampler, LOOK, [1, 2], tmp_path)
    before = modified(tmp_path)
    assert write_images(sampler, LOOK, range(1, 6), tmp_path) == 3
    assert {name: modified(tmp_path)[name] for name in before} == before
    again = {name: pixels(tmp_path / name) for name in modified(tmp_path)}
    assert write_images(sampler, LOOK, range(1, 6), tmp_path / "at once") == 5
    for name, image in again.items():
        assert np.abs(image.astype(int) - pixels(tmp_path / "at once" / name)).max() <= 1


@pytest.mark.parametrize("change", [{"psi": 0.7}, {"cutoff": 2}, {"noise": "off"}, {"precision": "bf16"}])
def test_another_look_is_not_overwritten(sampler, tmp_path, change):
    write_images(sampler, LOOK, [1], tmp_path)
    before = modified(tmp_path)
    with pytest.raises(ValueError, match=r"seed0001\.png is another image: its .* is '.*', not '.*'; choose another"):
        write_images(sampler, LOOK._replace(**change), [0, 1], tmp_path)
    assert modified(tmp_path) == before
    save_image(tmp_path / "seed0001.png", np.zeros((8, 8, 3), np.uint8), {"seeds": "1, " * 5000})
    with pytest.raises(ValueError, match=r"its seeds is '1, .{50,99} \.\.\., not '2'; choose another"):
        is_there(tmp_path / "seed0001.png", {"seeds": "2"})
    with pytest.raises(ValueError, match=r"seed0001\.png is another image: .* another network, None \(which it has no"):
        write_images(sampler, LOOK, [1], tmp_path)
    (tmp_path / "seed0001.png").write_bytes(b"P6")
    with pytest.raises(ValueError, match=r"seed0001\.png is no readable PNG file"):
        write_images(sampler, LOOK, [1], tmp_path)


def test_what_is_in_a_network_counts_and_not_its_name(sampler, tmp_path):
    """A file of the same name may hold another network, and the same network may have another name."""
    assert write_images(sampler, LOOK, [1], tmp_path) == 1
    assert write_images(sampler, LOOK._replace(network="copy.keras"), [1, 2], tmp_path) == 1
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = Sampler(tiny_generator(seed=1), minibatch=2)
    with pytest.raises(ValueError, match=r"was made by another network, tiny\.keras \(hash [0-9a-f]{8}, not"):
        write_images(other, LOOK, [0, 1], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["grid.png", "index.html"])
def test_files_of_others_are_not_overwritten(sampler, tmp_path, name):
    (tmp_path / name).write_bytes(b"my own")
    with pytest.raises(ValueError, match=f"{name} would be overwritten, and was not made here"):
        write_images(sampler, LOOK, [0], tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"my own"]


def test_random_noise_is_that_of_the_seed(sampler):
    look = LOOK._replace(noise="random")
    a, b = look.images(sampler, [4, 5]), look.images(sampler, [5, 6])
    assert np.abs(a[1].astype(int) - b[0]).max() <= 1
    assert np.abs(look.images(sampler, [4]).astype(int) - LOOK.images(sampler, [4])).max() > 1


def test_classes(tmp_path):
    sampler = Sampler(tiny_generator(label_size=3))
    np.testing.assert_array_equal(LOOK.labels(sampler, [0, 5, 3]), np.eye(3)[[0, 2, 0]])
    of_one = LOOK._replace(label=1)
    np.testing.assert_array_equal(of_one.labels(sampler, [0, 5, 3]), np.eye(3)[[1, 1, 1]])
    w = sampler.mapping(latents([5], 16), np.eye(3)[[1]])
    np.testing.assert_allclose(of_one.styles(sampler, [5]), sampler.truncate(w, 0.5, 3), atol=1e-6)
    write_images(sampler, LOOK, [5], tmp_path)
    assert read_text(tmp_path / "seed0005.png")["class"] == "2"
    with pytest.raises(ValueError, match=r"There is no class 3; the network's are 0 to 2"):
        write_images(sampler, LOOK._replace(label=3), [0], tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("noise", ["random", "fine", "coarse"])
def test_no_noise(tmp_path, noise):
    with pytest.raises(ValueError, match=f"The network has no noise; leave --noise={noise} out"):
        write_images(Sampler(tiny_generator(use_noise=False)), LOOK._replace(noise=noise), [0], tmp_path)


def test_no_classes(sampler, tmp_path):
    with pytest.raises(ValueError, match=r"The network has no classes"):
        write_images(sampler, LOOK._replace(label=0), [0], tmp_path)


def test_big_grids_are_reduced(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "_GRID", 20)
    for seed in range(5):
        image = np.full((16, 16, 1), 10 * seed, np.uint8)
        image[::2] += 2
        save_image(tmp_path / f"{seed}.png", image)
    gallery.write_grid(tmp_path / "grid.png", [tmp_path / f"{seed}.png" for seed in range(5)], 16, {})
    # Three columns of 16 pixels would be 48.
    grid = pixels(tmp_path / "grid.png")
    assert grid.shape == (8, 12)
    np.testing.assert_array_equal(grid, np.kron([[1, 11, 21], [31, 41, 0]], np.ones((4, 4))))
