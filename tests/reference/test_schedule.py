"""The training schedule equals the original's, to the last image."""

import pytest

from stylegan_tf.recipes.schedule import TICK_KIMG, training_schedule


def schedule_arguments(run):
    """Arguments of one schedule; JSON has turned the resolutions of its tables into strings."""
    arguments = {
        name: {int(resolution): entry for resolution, entry in value.items()} if isinstance(value, dict) else value
        for name, value in run["sched_args"].items()
    }
    return {"resolution": run["resolution"], "num_gpus": run.get("num_gpus", 1), **arguments}


def assert_schedule(vector, run, arguments):
    for row in run["rows"]:
        expected = dict(zip(vector.config["columns"], row, strict=True))
        phase = training_schedule(expected["cur_nimg"], **arguments)
        assert phase.resolution == expected["resolution"]
        assert phase.minibatch == expected.get("minibatch", expected.get("minibatch_size"))
        assert phase.tick_kimg == expected["tick_kimg"]
        assert phase.lod == pytest.approx(expected["lod"], rel=0, abs=1e-9)
        assert phase.fade == pytest.approx(1 - expected["lod"] % 1, rel=0, abs=1e-9)
        assert phase.G_lrate == pytest.approx(expected["G_lrate"], rel=1e-9)
        assert phase.D_lrate == pytest.approx(expected["D_lrate"], rel=1e-9)


@pytest.mark.vectors("training_schedule")
def test_schedule(vector, run):
    assert_schedule(vector, run, schedule_arguments(run))


# What StyleGAN2's schedule is where nothing else is said. Its ticks are a fifth of StyleGAN's.
STYLEGAN2_DEFAULTS = {
    "lod_initial_resolution": 1024,
    "minibatch_base": 32,
    "G_lrate_base": 0.002,
    "D_lrate_base": 0.002,
    "tick_kimg_base": 4,
    "tick_kimg_dict": {resolution: kimg / 5 for resolution, kimg in TICK_KIMG.items() if resolution > 4},
}


@pytest.mark.vectors("stylegan2-training_schedule")
def test_stylegan2_schedule(vector, run):
    arguments = schedule_arguments(run)
    # The part of a minibatch that a GPU takes at once does not change the schedule.
    beside = {name: arguments.pop(name) for name in list(arguments) if name.startswith("minibatch_gpu")}
    arguments = {name.replace("minibatch_size", "minibatch"): value for name, value in arguments.items()}
    assert_schedule(vector, run, STYLEGAN2_DEFAULTS | arguments)
    assert beside.keys() <= {"minibatch_gpu_base", "minibatch_gpu_dict"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 48}, "resolution must be a power of two, 4 or larger; received 48"),
        ({"resolution": 2}, "received 2"),
        ({"resolution": 64, "lod_initial_resolution": 12}, "lod_initial_resolution must be a power of two"),
        ({"resolution": 64, "num_gpus": 0}, "num_gpus must be at least 1"),
        ({"resolution": 64, "lod_transition_kimg": -1}, "lod_transition_kimg must be at least 0"),
        ({"resolution": 64, "minibatch_dict": {"64": 8}}, "Every key of minibatch_dict must be a power of two"),
        # 64x64 is days away at image 0; the run must not start.
        ({"resolution": 64, "num_gpus": 8, "minibatch_dict": {64: 4}}, "minibatch at 64x64"),
        ({"resolution": 64, "max_minibatch_per_gpu": {64: 0}}, "minibatch at 64x64"),
    ],
)
def test_impossible_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_schedule(0, **arguments)


def test_negative_images():
    with pytest.raises(ValueError, match="images_seen must be at least 0; received -1"):
        training_schedule(-1, resolution=64)
