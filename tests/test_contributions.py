"""What each resolution contributes: numbers of every snapshot, curves and bars, and networks that are no such sums."""

import csv
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_generators import SIZES, tiny_generator, tiny_run
from tiny_networks import normal, one_hot

from stylegan_tf.commands.generate import main
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.networks import StyleGAN2GrowingGenerator
from stylegan_tf.pictures.contributions import Contributions, deviations, draw, write_contributions
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler, latents, random_noise


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of StyleGAN2 with two snapshots."""
    folder = tmp_path_factory.mktemp("contributions")
    tiny_run(folder / "run", folder / "data", "stylegan2")
    return folder / "run"


def invoke(verb, *arguments):
    return CliRunner().invoke(main, [verb, *map(str, arguments), "--num-gpus=0"])


def expected_deviations(generator, seeds, noise=None):
    """From images of the whole network, of which all toRGB but one add nothing."""
    w = generator.mapping(latents(seeds, generator.latent_size))
    added = generator.synthesis.added_images(w, noise)
    return {resolution: np.asarray(images, np.float64).std() for resolution, images in added.items()}


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_of_a_run(run, tmp_path):
    result = invoke("contributions", f"--network={run}", "--seeds=3-9", "--minibatch=4", f"--outdir={tmp_path / 'new'}")
    assert result.exit_code == 0, (result.output, result.exception)
    path = tmp_path / "new" / "contributions.png"
    assert result.stdout == f"{path}\n"
    with Image.open(path) as figure:
        assert np.asarray(figure.convert("L")).std() > 10
    rows = read(path.with_suffix(".csv"))
    assert [(row["network"], row["kimg"], row["resolution"]) for row in rows] == [
        (f"network-snapshot-00000{number}", kimg, side)
        for number, kimg in ((1, "1.234"), (2, "2.345"))
        for side in "48"
    ]
    for number in (1, 2):
        found = [float(row["deviation"]) for row in rows if row["network"].endswith(str(number))]
        percent = [float(row["percent"]) for row in rows if row["network"].endswith(str(number))]
        generator = load_generator(run / f"network-snapshot-00000{number}" / "Gs.keras")
        expected = list(expected_deviations(generator, range(3, 10)).values())
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        np.testing.assert_allclose(percent, 100 * np.array(expected) / sum(expected), rtol=1e-4)
    assert float(rows[0]["deviation"]) != pytest.approx(float(rows[2]["deviation"]), rel=0.01)


def test_an_older_snapshot_that_is_damaged_is_passed_over(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "network-snapshot-000001" / "Gs.keras").write_bytes(b"PK")
    result = invoke("contributions", f"--network={tmp_path / 'run'}", "--seeds=3", f"--outdir={tmp_path}")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "Passed over: " in result.stderr and "network-snapshot-000001/Gs.keras is damaged" in result.stderr
    assert {row["network"] for row in read(tmp_path / "contributions.csv")} == {"network-snapshot-000002"}


def test_noise_and_classes():
    generator = tiny_generator(family="stylegan2", label_size=3)
    sampler, seeds = Sampler(generator, minibatch=2), [5, 1, 7]
    w = sampler.mapping(latents(seeds, 16), one_hot(3, 3))
    drawn = random_noise(generator.noise_shapes, np.int64(seeds))
    for noise, images in (
        ("random", drawn),
        ("off", [np.zeros(shape, np.float32) for shape in generator.noise_shapes]),
    ):
        added = generator.synthesis.added_images(w, images)
        expected = {resolution: np.asarray(image, np.float64).std() for resolution, image in added.items()}
        assert deviations(sampler, w, noise, seeds) == pytest.approx(expected, rel=1e-4)


def test_a_large_offset_costs_no_digits():
    generator = tiny_generator(family="stylegan2")
    w = normal(4, 4, 16)
    before = deviations(Sampler(generator), w)
    to_rgb = generator.synthesis.to_rgb[0]
    to_rgb.bias.assign(to_rgb.bias + 10)
    assert deviations(Sampler(generator), w) == pytest.approx(before, rel=1e-4)
    for rgb in generator.synthesis.to_rgb:
        rgb.kernel.assign(rgb.kernel * 0)
        rgb.bias.assign(rgb.bias * 0)
    with pytest.raises(ValueError, match="The network is broken: its images are of one colour"):
        deviations(Sampler(generator), w)


def test_curves_and_bars():
    found = [Contributions(str(kimg), kimg, {4: 1.0, 8: 1.0 + kimg}) for kimg in (0, 2)]
    axes = draw(found).axes[0]
    assert [line.get_label() for line in axes.lines] == ["4x4", "8x8"]
    np.testing.assert_allclose([line.get_xydata() for line in axes.lines], [[(0, 50), (2, 25)], [(0, 50), (2, 75)]])
    low, high = axes.get_ylim()
    assert low == 0 and high > 75
    axes = draw(found[1:]).axes[0]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([25, 75])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["4x4", "8x8"] and axes.get_title() == "2"


def test_what_shows_other_networks_is_not_replaced(run, tmp_path):
    """A run is drawn again; a snapshot of the same run, or a file beside another one, is something else."""
    for name in "ab":
        tiny_generator(family="stylegan2").save(tmp_path / f"{name}.keras")
    snapshots = [run / f"network-snapshot-00000{number}" for number in (1, 2)]
    files = [tmp_path / f"{name}.keras" for name in "ab"]
    for first, second in (snapshots, files, (run, snapshots[1])):
        outdir = tmp_path / "figures" / first.name
        options = ["--seeds=1", f"--outdir={outdir}"]
        for _ in range(2):
            assert invoke("contributions", f"--network={first}", *options).exit_code == 0
        before = {path: path.read_bytes() for path in outdir.glob("*")}
        result = invoke("contributions", f"--network={second}", *options)
        assert result.exit_code == 2 and "does not show these runs" in result.stderr
        assert {path: path.read_bytes() for path in outdir.glob("*")} == before


def test_networks_that_add_nothing_up(run, tmp_path):
    generators = {
        "stylegan": tiny_generator(),
        "resnet": tiny_generator(family="stylegan2", architecture="resnet"),
        "growing": StyleGAN2GrowingGenerator(8, **SIZES),
    }
    for name, generator in generators.items():
        generator.save(tmp_path / f"{name}.keras")
        result = invoke("contributions", f"--network={tmp_path / name}.keras", f"--outdir={tmp_path / 'new'}")
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
        assert result.stderr.startswith("Error: The network's image is not a sum of what each resolution adds; give")
    result = invoke("contributions", f"--network={run}", "--class=1", f"--outdir={tmp_path / 'new'}")
    assert result.exit_code == 2 and "has no classes" in result.stderr
    assert not (tmp_path / "new").exists()


def test_another_network_among_snapshots(run, tmp_path):
    targets = find_targets(run, all_snapshots=True)
    tiny_generator(resolution=16, family="stylegan2").save(tmp_path / "other.keras")
    targets.insert(0, find_targets(tmp_path / "other.keras")[0])
    sampler = Sampler(load_generator(targets[-1].path))
    with pytest.raises(ValueError, match=r"other\.keras is another kind of network than .*; measure it alone"):
        write_contributions(targets, sampler, Look("tiny", 1.0, 4), [0, 1], tmp_path / "contributions.png")
    assert not (tmp_path / "contributions.png").exists()
