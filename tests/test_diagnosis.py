"""What a run that has diverged says: the first tensor that is not finite."""

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import TrainingConfig
from stylegan_tf.training.diagnosis import advice, diagnose
from stylegan_tf.training.models import Models
from stylegan_tf.training.steps import TrainingStep

CONFIG = TrainingConfig(
    resolution=8,
    generator={"fmap_base": 32, "fmap_max": 8, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 1},
    discriminator={"fmap_base": 32, "fmap_max": 8},
)


@pytest.fixture(scope="module")
def step():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        models = Models(CONFIG, num_channels=3, label_size=0)
    return TrainingStep(models, CONFIG, strategy, 8, fading=True, all_labels=tf.zeros([1, 0]))


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (None, None, "nothing any more: the same step now gives finite numbers"),
        (lambda models: models.D.output_layer.bias, np.nan, "the weight D/4x4_output/bias"),
        (lambda models: models.G.w_average, np.inf, "the weight G/w_average"),
        (lambda models: models.G.synthesis.to_rgb[-1].kernel, 3e38, "the generated images"),
        (lambda models: models.D.dense.kernel, 3e38, "D's scores of real images"),
        # The gradient's square is 1e40 times what it would be, the scores are finite.
        (lambda models: models.D.output_layer.kernel, 1e20, "the penalty on D's gradient"),
    ],
)
def test_names_the_first_tensor(step, variable, value, expected):
    images = tf.constant(np.random.RandomState(0).randint(256, size=(8, 8, 8, 3)), tf.uint8)
    variable = variable and variable(step.models)
    before = variable is not None and variable.numpy()
    if variable is not None:
        variable.assign(np.full(variable.shape, value))
    try:
        found = diagnose(step, images, tf.zeros([8, 0]), tf.constant(0, tf.int64), tf.constant(0.5))
    finally:
        if variable is not None:
            variable.assign(before)
    assert found == expected


@pytest.mark.parametrize(
    ("resolution", "setting"),
    [
        (64, "--set schedule.G_lrate_base=0.001"),
        (128, "--set schedule.G_lrate_dict, which has 0.0015 for 128x128"),
    ],
)
def test_advice_names_what_decides(resolution, setting):
    text = advice(make_config("f", "ffhq"), "G", resolution)
    assert f"a lower learning rate than that of {setting}, with a larger --gamma than 10" in text
    assert text.endswith("or with --precision=fp32 instead of tf32.")
