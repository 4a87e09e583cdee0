"""Layer swapping: coarse layers of one network with fine ones of another, and networks that do not fit are refused."""

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_generators import SIZES, tiny_generator

from stylegan_tf.commands.generate import main
from stylegan_tf.editing.blending import blend, share_of_fine
from stylegan_tf.files.find import load_generator
from stylegan_tf.networks import Generator


def variables(network):
    return {variable.path.partition("/")[2]: variable.numpy() for variable in network.variables}


@pytest.fixture(scope="module", params=["stylegan", "stylegan2"])
def pair(request):
    return [tiny_generator(seed, 16, family=request.param) for seed in (0, 1)]


def test_swapped_layers(pair):
    coarse, fine = map(variables, pair)
    blended = variables(blend(*pair, 8))
    assert blended.keys() == coarse.keys()
    swapped = 0
    for path, value in blended.items():
        is_fine = any(f"/{side}x{side}_" in f"/{path}" for side in (8, 16))
        np.testing.assert_array_equal(value, (fine if is_fine else coarse)[path], err_msg=path)
        swapped += is_fine
    assert 0 < swapped < len(blended)
    for one, other in zip(map(variables, pair), (coarse, fine), strict=True):
        assert all(np.array_equal(one[path], other[path]) for path in one)


def test_smooth_passage(pair):
    coarse, fine = map(variables, pair)
    path = "synthesis/16x16_to_rgb/kernel"
    share = 1 / (1 + np.exp(-1.5 / 0.7))
    expected = coarse[path] + share * (fine[path] - coarse[path])
    np.testing.assert_allclose(variables(blend(*pair, 8, 0.7))[path], expected, rtol=1e-5, atol=1e-6)


def test_share_of_fine():
    assert [share_of_fine(side, 32, 0) for side in (8, 16, 32, 64)] == [0, 0, 1, 1]
    smooth = [share_of_fine(side, 32, 1.0) for side in (8, 16, 32, 64)]
    assert smooth == sorted(smooth) and smooth[1] + smooth[2] == pytest.approx(1)
    np.testing.assert_allclose([share_of_fine(side, 32, 1e-2) for side in (16, 32)], [0, 1], atol=1e-6)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"resolution": 8}, "16x16_first/conv/kernel is (3, 3, 8, 8) in the coarse one and missing in the fine one"),
        ({"fmap_max": 4}, "4x4_first/constant/constant is (1, 4, 4, 8) in the coarse one and (1, 4, 4, 4)"),
        ({"mapping_lrmul": 0.01}, "mapping_lrmul=1.0 and 0.01"),
    ],
)
def test_networks_that_do_not_fit(changes, words):
    arguments = {**SIZES, "resolution": 16, **changes}
    with pytest.raises(ValueError) as error:
        blend(tiny_generator(resolution=16), Generator(**arguments), 8)
    assert words in str(error.value)


def test_other_families_and_resolutions():
    ours = tiny_generator(resolution=16)
    with pytest.raises(ValueError, match="A Generator and a StyleGAN2Generator do not fit"):
        blend(ours, tiny_generator(resolution=16, family="stylegan2"), 8)
    for at in (4, 12, 32):
        with pytest.raises(ValueError, match=f"no layers to swap at {at}; they have 8, 16"):
            blend(ours, ours, at)


def test_command(tmp_path):
    networks = [tiny_generator(seed, 16) for seed in (0, 1)]
    for name, network in zip("AB", networks, strict=True):
        network.save(tmp_path / f"{name}.keras")
    given = ["blend", f"--coarse={tmp_path / 'A.keras'}", f"--fine={tmp_path / 'B.keras'}", "--at=16"]
    output = f"--output={tmp_path / 'new' / 'C.keras'}"
    result = CliRunner().invoke(main, [*given, output])
    assert (result.exit_code, result.stderr) == (0, "")
    w = keras.random.normal([1, networks[0].num_layers, 16])
    pictures = [np.array(g.synthesis(w)) for g in (load_generator(tmp_path / "new" / "C.keras"), blend(*networks, 16))]
    np.testing.assert_array_equal(*pictures)
    for wrong, words in (
        ([*given, output], "C.keras already exists"),
        ([*given, output + "2"], "must be called NAME.keras"),
        ([*given, "--output=.keras"], "must be called NAME.keras"),
        ([*given, output + "/D.keras"], "C.keras is a file, and nothing can be written into it"),
    ):
        result = CliRunner().invoke(main, wrong)
        assert result.exit_code == 2 and words in result.stderr and result.stderr.count("\n") == 1
    result = CliRunner().invoke(main, [*given[:3], "--at=12", f"--output={tmp_path / 'D.keras'}"])
    assert result.exit_code == 2 and "no layers to swap at 12; they have 8, 16" in result.stderr
    assert not (tmp_path / "D.keras").exists()
