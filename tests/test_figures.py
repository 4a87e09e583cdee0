"""The paper's figures: every cell is the image that the figure says it is."""

import numpy as np
import pytest
from tiny_generators import SIZES, tiny_generator
from tiny_networks import scattered

from dnnlib.image_files import read_text
from stylegan_tf.networks import ProGANGenerator
from stylegan_tf.pictures import paper_figures
from stylegan_tf.pictures.figures import (
    COMPONENTS,
    DRAWS,
    PSIS,
    close_up,
    noise_components,
    noise_detail,
    noise_deviation,
    noise_draws,
    style_layers,
    style_mixing,
    truncation,
    uncurated,
)
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.paper_figures import PAPER, Figure, paper_set, save_paper_figures
from stylegan_tf.pictures.sampler import Sampler, latents

LOOK = Look("tiny", psi=0.8, cutoff=5)
SIDE = 16


@pytest.fixture(scope="module")
def sampler():
    """Of 16x16 images in colour, 6 layers, whose minibatches do not divide the numbers of images."""
    return Sampler(tiny_generator(resolution=SIDE), minibatch=7)


@pytest.fixture(scope="module")
def conditional():
    """Of 8x8 images in grey, of 3 classes."""
    return Sampler(tiny_generator(resolution=8, num_channels=1, label_size=3), minibatch=7)


@pytest.fixture(scope="module")
def progan():
    generator = scattered(ProGANGenerator(8, 3, fmap_base=64, fmap_max=8, latent_size=SIZES["latent_size"]))
    return Sampler(generator, minibatch=7)


def cells(picture, side=SIDE):
    """A picture's squares, [rows, columns, side, side, C]."""
    height, width, channels = picture.shape
    return picture.reshape(height // side, side, width // side, side, channels).swapaxes(1, 2)


# Style mixing.


@pytest.mark.parametrize(
    ("name", "num_layers", "first", "last"),
    [
        ("coarse", 18, 0, 3),
        ("middle", 18, 4, 7),
        ("fine", 18, 8, 17),
        ("coarse", 2, 0, 1),
        ("middle", 6, 4, 5),
        ("fine", 10, 8, 9),
        ("2-5", 6, 2, 5),
        ("3", 4, 3, 3),
    ],
)
def test_styles_are_layers(name, num_layers, first, last):
    assert list(range(num_layers))[style_layers(name, num_layers)] == list(range(first, last + 1))


@pytest.mark.parametrize(
    ("name", "num_layers", "message"),
    [
        ("fine", 8, "no fine styles; the network's layers are 0 to 7 .*begin at layer 8"),
        ("middle", 4, "no middle styles"),
        ("2-6", 6, "no 2-6 styles; the network's layers are 0 to 5"),
        ("5-2", 6, "no 5-2 styles"),
        ("rough", 6, "Styles are coarse, middle, fine, or layers such as 2-5; received 'rough'"),
        ("coarse", 1, "single style"),
    ],
)
def test_styles_that_are_not_there(name, num_layers, message):
    with pytest.raises(ValueError, match=message):
        style_layers(name, num_layers)


def test_mixed_styles_come_from_b_and_the_others_from_a(sampler):
    rows, columns, layers = [3, 4, 5], [6, 7], [(0, 1, 2, 3), (4, 5), (2,)]
    picture = cells(style_mixing(sampler, LOOK, rows, columns, ["coarse", "middle", "2"]))
    assert picture.shape == (4, 3, SIDE, SIDE, 3)
    assert (picture[0, 0] == 255).all()
    a, b = LOOK.styles(sampler, rows), LOOK.styles(sampler, columns)
    np.testing.assert_array_equal(picture[1:, 0], sampler.synthesis(a))
    np.testing.assert_array_equal(picture[0, 1:], sampler.synthesis(b))
    expected = [
        [b[column, layer] if layer in layers[row] else a[row, layer] for layer in range(6)]
        for row in range(3)
        for column in range(2)
    ]
    mixed = sampler.synthesis(np.array(expected)).reshape(3, 2, SIDE, SIDE, 3)
    np.testing.assert_array_equal(picture[1:, 1:], mixed)
    for row in range(3):
        for column in range(2):
            assert (mixed[row, column] != picture[row + 1, 0]).any()
            assert (mixed[row, column] != picture[0, column + 1]).any()


def test_all_styles_of_b_give_b(sampler):
    picture = cells(style_mixing(sampler, LOOK, [3, 4], [6, 7], ["0-5"]))
    np.testing.assert_array_equal(picture[1:, 1:], np.stack([picture[0, 1:]] * 2))


def test_as_many_styles_as_rows(sampler):
    with pytest.raises(ValueError, match=r"3 rows and 2 styles; give one for all rows"):
        style_mixing(sampler, LOOK, [1, 2, 3], [4], ["coarse", "middle"])


def test_classes_are_mixed(conditional):
    picture = cells(style_mixing(conditional, LOOK, [3, 4], [5], ["1"]), 8)
    np.testing.assert_array_equal(picture[1:, 0], LOOK.images(conditional, [3, 4]))


# Truncation.


def test_psi_0_gives_one_face_and_psi_1_each_seeds_own(sampler):
    seeds = [1, 2, 3]
    picture = cells(truncation(sampler, LOOK, seeds))
    assert picture.shape == (3, len(PSIS), SIDE, SIDE, 3)
    mean = picture[:, PSIS.index(0)]
    np.testing.assert_array_equal(mean, np.stack([mean[0]] * 3))
    w = sampler.mapping(latents(seeds, sampler.latent_size))
    average = sampler.generator.w_average.numpy()
    np.testing.assert_array_equal(picture[:, PSIS.index(1)], sampler.synthesis(w))
    np.testing.assert_array_equal(picture[:, PSIS.index(-1)], sampler.synthesis(average - (w - average)))
    assert len({image.tobytes() for image in picture[0]}) == len(PSIS)


def test_layers_beyond_the_cutoff_are_not_truncated(sampler):
    picture = cells(truncation(sampler, LOOK, [1, 2], (0.0, 1.0), cutoff=4))
    w = sampler.mapping(latents([1, 2], sampler.latent_size))
    w[:, :4] = sampler.generator.w_average.numpy()
    np.testing.assert_array_equal(picture[:, 0], sampler.synthesis(w))
    np.testing.assert_array_equal(picture[:, 1], LOOK._replace(psi=1.0).images(sampler, [1, 2]))


def test_psi_of_each_layer(sampler):
    psi = (1.0, 0.5, 0.0, -0.5, 0.2, 0.9)
    picture = cells(truncation(sampler, LOOK, [1, 2], [psi, (0.0,) * 6]))
    average = sampler.generator.w_average.numpy()
    w = sampler.mapping(latents([1, 2], sampler.latent_size))
    expected = average + np.float32(psi)[None, :, None] * (w - average)
    np.testing.assert_array_equal(picture[:, 0], sampler.synthesis(expected))
    np.testing.assert_array_equal(picture[0, 1], picture[1, 1])
    with pytest.raises(ValueError, match=r"one number, 6 numbers \(one a layer\)"):
        truncation(sampler, LOOK, [1], [psi[:3]])


# Noise.


def test_standard_deviation_does_not_depend_on_minibatches():
    images = np.random.RandomState(0).randint(0, 256, (23, 4, 5, 3)).astype(np.uint8)
    expected = images.astype(float).std(axis=0).mean(axis=-1)
    for size in (1, 7, 23):
        batches = (images[start : start + size] for start in range(0, 23, size))
        np.testing.assert_allclose(noise_deviation(batches), expected, rtol=1e-12)
    assert (noise_deviation([images[:1]] * 100) == 0).all()


def test_noise_detail(sampler):
    picture = noise_detail(sampler, LOOK, [1, 2], crop=(2, 5, 8))
    assert picture.shape == (2 * SIDE, 4 * SIDE, 3)
    for seed, (image, detail, others, deviation) in zip([1, 2], cells(picture), strict=True):
        w = LOOK.styles(sampler, [seed])
        np.testing.assert_array_equal(image, sampler.synthesis(w)[0])
        np.testing.assert_array_equal(detail[::2, ::2], image[5:13, 2:10])
        np.testing.assert_array_equal(detail[1::2, 1::2], image[5:13, 2:10])
        draws = np.concatenate(list(noise_draws(sampler, w)))
        assert len({draw.tobytes() for draw in draws}) == DRAWS
        np.testing.assert_array_equal(cells(others, 8).reshape(4, 8, 8, 3), draws[:4, 5:13, 2:10])
        expected = np.minimum(draws.astype(float).std(axis=0).mean(axis=-1, keepdims=True) * 10, 255)
        np.testing.assert_allclose(deviation, np.broadcast_to(expected, deviation.shape), atol=0.5001)
        assert deviation.max() > 0


def test_noise_of_strength_0_has_no_deviation(conditional):
    generator = tiny_generator(resolution=8)
    for layers in generator.synthesis.layers_by_resolution:
        for layer in layers:
            layer.noise.strength.assign(layer.noise.strength * 0)
    picture = cells(noise_detail(Sampler(generator), LOOK, [1]), 8)
    assert (picture[0, 3] == 0).all()
    np.testing.assert_array_equal(picture[0, 0, 2:6, 2:6], picture[0, 1, ::2, ::2])
    assert cells(noise_detail(conditional, LOOK, [1]), 8)[0, 3].max() > 0


def test_noise_components(sampler):
    picture = cells(noise_components(sampler, LOOK, [1, 2], crop=(4, 0, 5)))
    assert picture.shape == (4, 4, SIDE, SIDE, 3)
    w = LOOK.styles(sampler, [1, 2])
    for column, noise in enumerate(COMPONENTS):
        images = picture[::2, column]
        # A pixel that rounding has moved by one: the figure makes another number of images at a time.
        np.testing.assert_allclose(images.astype(int), sampler.synthesis(w, noise), atol=1)
        np.testing.assert_array_equal(picture[1::2, column], [close_up(image, (4, 0, 5), SIDE) for image in images])
    assert len({image.tobytes() for image in picture[0]}) == 4
    np.testing.assert_array_equal(cells(noise_components(sampler, LOOK, [1, 2])), picture[::2])


def test_close_up():
    image = np.arange(36).reshape(6, 6, 1)
    assert close_up(image, (1, 2, 3), 6)[..., 0].tolist()[0] == [13, 13, 14, 14, 15, 15]
    assert close_up(image, (1, 2, 3), 3)[..., 0].tolist() == [[13, 14, 15], [19, 20, 21], [25, 26, 27]]
    assert close_up(image, (0, 0, 6), 3)[..., 0].tolist() == [[0, 2, 4], [12, 14, 16], [24, 26, 28]]


@pytest.mark.parametrize("function", [noise_detail, noise_components])
def test_what_noise_figures_refuse(sampler, progan, function):
    with pytest.raises(ValueError, match="has no noise"):
        function(progan, LOOK, [1])
    with pytest.raises(ValueError, match=r"crop of 9x9 at 8,0 is not inside the images of 16x16"):
        function(sampler, LOOK, [1], crop=(8, 0, 9))


# Uncurated images.


def expected_cells(sampler, look, seed, count):
    z = np.random.RandomState(seed).randn(count, sampler.latent_size)
    w = sampler.mapping(z, look.labels(sampler, range(count)))
    return sampler.synthesis(sampler.truncate(w, look.psi, look.cutoff), look.noise, range(count)).astype(float)


def check_columns(picture, images, rows, lods):
    """Each column shows the next rows * 2^lod images, boxes of 2^lod pixels averaged."""
    height, width = images.shape[1:3]
    assert picture.shape == (rows * height, sum(width // 2**lod for lod in lods), images.shape[-1])
    left = 0
    for lod in lods:
        size, count = 2**lod, rows * 2**lod
        column = picture[:, left : left + width // size]
        boxes = images[:count].reshape(count * height // size, size, width // size, size, -1).mean(axis=(1, 3))
        np.testing.assert_allclose(column, boxes, atol=0.5001)
        images, left = images[count:], left + width // size
    assert not len(images)


def test_uncurated(sampler):
    picture = uncurated(sampler, LOOK, seed=5, rows=2, lods=(0, 1, 2, 2, 0))
    check_columns(picture, expected_cells(sampler, LOOK, 5, 24), 2, (0, 1, 2, 2, 0))


@pytest.mark.parametrize("noise", ["fixed", "random"])
def test_uncurated_grey_images_of_classes_cropped(conditional, noise):
    look = LOOK._replace(noise=noise)
    picture = uncurated(conditional, look, seed=1, rows=3, lods=(0, 1), crop=(2, 1, 4, 6))
    images = expected_cells(conditional, look, 1, 9)
    check_columns(picture, images[:, 1:7, 2:6], 3, (0, 1))
    # Of one class, they are others.
    assert (uncurated(conditional, look._replace(label=2), 1, 3, (0, 1), (2, 1, 4, 6)) != picture).any()


def test_uncurated_of_progressive_gan(progan):
    picture = uncurated(progan, LOOK, seed=1, rows=1, lods=(0, 3))
    check_columns(picture, expected_cells(progan, LOOK, 1, 9), 1, (0, 3))
    assert truncation(progan, LOOK, [1, 2]).shape == (16, 48, 3)


def test_what_uncurated_refuses(sampler):
    with pytest.raises(ValueError, match=r"16x16 cannot be shown at lods 0, 5"):
        uncurated(sampler, LOOK, 0, 1, (0, 5))
    with pytest.raises(ValueError, match=r"crop of 16x12 at 0,5 is not inside"):
        uncurated(sampler, LOOK, 0, 1, (0,), (0, 5, 16, 12))
    with pytest.raises(ValueError, match=r"2,560,000,000 pixels; choose fewer"):
        uncurated(sampler, LOOK, 0, 10**7, (0,))


# The paper's set.


def test_sets_of_networks():
    assert paper_set("ffhq-1024") == paper_set("results/00012-digits-f") == paper_set("cartoons") == "faces"
    assert paper_set("karras2019stylegan-bedrooms-256x256.pkl") == paper_set("LSUN Bedroom") == "bedrooms"
    assert paper_set("lsun-car") == "cars"
    assert paper_set("cats-256") == "cats"


def test_figures_that_a_network_can_show(sampler, tmp_path, monkeypatch):
    look = Look("tiny", 0.7, 8)
    made = dict(save_paper_figures(sampler, look, "faces", tmp_path / "faces"))
    reasons = {path.stem: reason for path, reason in made.items()}
    assert list(reasons) == list(PAPER["faces"])
    assert "no fine styles" in reasons.pop("figure03-style-mixing")
    assert set(reasons.values()) == {None}
    assert {path.stem for path in (tmp_path / "faces").iterdir()} == set(reasons)
    text = read_text(tmp_path / "faces" / "figure02-uncurated.png")
    expected = {
        "network": "tiny",
        "seed": "5",
        "lods": "0, 1, 2, 2, 3, 3",
        "truncation psi": "0.7 on the first 8 layers",
    }
    assert expected.items() <= text.items()
    text = read_text(tmp_path / "faces" / "figure08-truncation.png")
    assert {"seeds": "91, 388", "psis": "1.0, 0.7, 0.5, 0.0, -0.5, -1.0"}.items() <= text.items()
    assert "truncation psi" not in text

    # What is there is neither made again nor replaced.
    monkeypatch.setattr(paper_figures, "save_image", None)
    assert dict(save_paper_figures(sampler, look, "faces", tmp_path / "faces")) == made
    assert dict(save_paper_figures(sampler, look._replace(network="renamed"), "faces", tmp_path / "faces")) == made
    with pytest.raises(ValueError, match=r"is another image: it was made by another network, tiny \(hash"):
        list(save_paper_figures(Sampler(tiny_generator(seed=1)), look, "faces", tmp_path / "faces"))
    with pytest.raises(ValueError, match=r"is another image: its precision is 'fp32', not 'bf16'"):
        list(save_paper_figures(sampler, look._replace(precision="bf16"), "faces", tmp_path / "faces"))


def test_no_figure_of_a_set(sampler, tmp_path):
    with pytest.raises(ValueError, match=r"None of the figures of cars can be shown: The crop of 512x384"):
        list(save_paper_figures(sampler, Look("tiny", 0.7, 8), "cars", tmp_path / "cars"))
    assert not (tmp_path / "cars").exists()


def test_a_class_that_is_not_there(sampler, tmp_path):
    with pytest.raises(ValueError, match="has no classes"):
        Figure(truncation, {"seeds": [1]}).save(tmp_path / "x.png", sampler, Look("tiny", 0.7, 8, label=1))
