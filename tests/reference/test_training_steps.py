"""Three optimizer steps, a reset and one step at another level give the reference's weights."""

import re

import numpy as np
import pytest
import tensorflow as tf
from reference_losses import discriminator_loss_of
from reference_vectors import growth, nhwc, shrink

from stylegan_tf.files.official import behaviour_arguments, export_variables, load_variables
from stylegan_tf.recipes.settings import LossConfig, OptimizerConfig, TrainingConfig
from stylegan_tf.runtime.draws import GeneratorDraws
from stylegan_tf.training.models import Models
from stylegan_tf.training.parts import Generated, RealAndGenerated
from stylegan_tf.training.steps import TrainingStep

G_LOSSES = {
    "G_wgan": "wgan",
    "G_logistic_saturating": "logistic-saturating",
    "G_logistic_nonsaturating": "logistic-nonsaturating",
}


def training_config(config):
    G, D = config["G"]["static_kwargs"], config["D"]["static_kwargs"]
    D_loss, penalties = discriminator_loss_of(config["D_loss"]["name"], config["D_loss"]["kwargs"])
    own = {"resolution", "num_channels", "label_size"}
    return TrainingConfig(
        resolution=G["resolution"],
        generator={k: v for k, v in G.items() if k not in own | behaviour_arguments},
        discriminator={k: v for k, v in D.items() if k not in own},
        loss=LossConfig(generator=G_LOSSES[config["G_loss"]], discriminator=D_loss, **{"r1_gamma": 0.0} | penalties),
        optimizer=OptimizerConfig(**{k: v for k, v in config["optimizer"].items() if k != "learning_rate"}),
        style_mixing_prob=0.0,
        # The reference's None, no average at all.
        w_average_beta=G.get("dlatent_avg_beta", 0.995) or 1.0,
        mirror=False,
    )


@pytest.mark.vectors("train-steps")
def test_training_steps(vector):
    config = training_config(vector.config)
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        models = Models(config, vector.config["G"]["static_kwargs"]["num_channels"], label_size=0)
    networks = {"G": models.G, "D": models.D, "Gs": models.Gs}
    for name, network in networks.items():
        load_variables(network, vector.below(f"weights/{name}/"))

    steps = sorted({re.match(r"outputs/(step(\d+)\w*)/", n).groups()[::-1] for n in vector.names if "/step" in n})
    lod_after_reset = float(re.search(r"one more step is made at lod ([\d.]+)", vector.config["notes"]).group(1))
    for i, (_, step) in enumerate(steps):
        lod = vector.config["lod"]
        if "after_reset" in step:
            lod = lod_after_reset
            models.G_optimizer.reset()
            models.D_optimizer.reset()
        run_step(vector, config, models, strategy, lod, i)
        for name, network in networks.items():
            compare(vector, f"outputs/{step}/{name}/", export_variables(network), name, i + 1)


def run_step(vector, config, models, strategy, lod, i):
    resolution, fade = growth(config.resolution, lod)
    reals = shrink(nhwc(vector["inputs/reals"][i]), resolution)
    none = tf.zeros([len(reals), 0])

    def draws(latents):
        z = tf.constant(latents)
        return GeneratorDraws(z=z, z2=z, cutoff=tf.constant(0), noise=None)

    step = TrainingStep(models, config, strategy, resolution, fade != 1.0, all_labels=none)
    rate = tf.constant(vector.config["optimizer"]["learning_rate"])
    D_draws, G_draws = (draws(vector[f"inputs/latents_{network}"][i]) for network in "DG")
    inputs = {
        "D": RealAndGenerated(tf.constant(reals), none, D_draws, tf.zeros([len(reals), 1, 1, 1])),
        "G": Generated(none, G_draws),
    }
    tf.function(step.update)(inputs, tf.constant(fade), rate, rate, vector.config["Gs_beta"])


def compare(vector, prefix, ours, name, steps):
    """With beta1 = 0 Adam starts like a sign step: entries with a tiny gradient may differ by 2 lr a step."""
    rate = vector.config["optimizer"]["learning_rate"]
    differences = []
    for variable, reference in vector.below(prefix).items():
        if variable.split("/")[-1] == "lod":
            continue
        difference = np.abs(ours[variable] - reference)
        start = vector[f"weights/{name}/{variable}"]
        if np.array_equal(reference, start) and variable != "dlatent_avg":
            assert np.array_equal(ours[variable], start), f"{prefix}{variable} must not change"
        assert difference.max() <= 2 * rate * steps, f"{prefix}{variable} is off by {difference.max()}"
        differences.append(difference.ravel())
    assert np.mean(np.concatenate(differences) <= 1e-4) >= 0.99, f"{prefix}: too many entries differ"
