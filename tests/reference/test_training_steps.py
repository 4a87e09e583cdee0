"""Optimizer steps give the reference's weights: StyleGAN's, with a reset and a level change, and StyleGAN2's."""

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
from stylegan_tf.training.parts import Generated, RealAndGenerated, RealImages, due_parts
from stylegan_tf.training.steps import TrainingStep, order_of_rounds

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
    traced = {}
    lod_after_reset = float(re.search(r"one more step is made at lod ([\d.]+)", vector.config["notes"]).group(1))
    for i, (_, step) in enumerate(steps):
        lod = vector.config["lod"]
        if "after_reset" in step:
            lod = lod_after_reset
            models.G_optimizer.reset()
            models.D_optimizer.reset()
        run_step(vector, config, models, strategy, lod, i, traced)
        for name, network in networks.items():
            compare(vector, f"outputs/{step}/{name}/", export_variables(network), name, i + 1)


def draws(latents):
    """Draws with the stored noise, where styles are not mixed."""
    z = tf.constant(latents)
    return GeneratorDraws(z=z, z2=z, cutoff=tf.constant(0), noise=None)


def run_step(vector, config, models, strategy, lod, i, traced):
    """Step i, whose trace is kept in `traced` for others at the same level."""
    resolution, fade = growth(config.resolution, lod)
    reals = shrink(nhwc(vector["inputs/reals"][i]), resolution)
    none = tf.zeros([len(reals), 0])
    level = resolution, fade != 1.0
    if level not in traced:
        traced[level] = tf.function(TrainingStep(models, config, strategy, *level, all_labels=none).update)
    rate = tf.constant(vector.config["optimizer"]["learning_rate"])
    D_draws, G_draws = (draws(vector[f"inputs/latents_{network}"][i]) for network in "DG")
    inputs = {
        "D": RealAndGenerated(tf.constant(reals), none, D_draws, tf.zeros([len(reals), 1, 1, 1])),
        "G": Generated(none, G_draws),
    }
    traced[level](inputs, tf.constant(fade), rate, rate, vector.config["Gs_beta"])


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


def stylegan2_config(facts):
    """TrainingConfig of a file of StyleGAN2's steps."""
    G, D = facts["G"]["static_kwargs"], facts["D"]["static_kwargs"]
    own = {"resolution", "num_channels", "label_size"}
    lazy, loss = facts["lazy_regularization"], facts["G_loss"]
    assert facts["D_loss"]["name"] == "D_logistic_r1"
    r1 = {"r1_gamma": facts["D_loss"]["gamma"], "r1_interval": facts["D_reg_interval"] if lazy else 1}
    path_length = {}
    if loss["name"] == "G_logistic_ns_pathreg":
        assert lazy and loss["pl_minibatch_shrink"] == 2  # our other ways are not the reference's
        path_length = {
            "path_length_weight": loss["pl_weight"],
            "path_length_decay": loss["pl_decay"],
            "path_length_interval": facts["G_reg_interval"],
        }
    else:
        assert loss["name"].startswith("G_logistic_ns ")  # and what is left out of it
    return TrainingConfig(
        networks="stylegan2",
        resolution=G["resolution"],
        generator={k: v for k, v in G.items() if k not in own | behaviour_arguments},
        discriminator={k: v for k, v in D.items() if k not in own},
        loss=LossConfig(**r1, **path_length),
        optimizer=OptimizerConfig(**{k: v for k, v in facts["optimizer"].items() if k != "learning_rate"}),
        step_order="g-average-d",
        accumulate=facts["rounds"],
        style_mixing_prob=0.0,
        w_average_beta=G["dlatent_avg_beta"] or 1.0,
        mirror=False,
    )


class RecordedStep(TrainingStep):
    """A step that keeps the official variables of a network after each part, as `after`."""

    after = {}

    def train(self, part, *arguments):
        values = super().train(part, *arguments)
        self.after = self.after | {part.name: export_variables(getattr(self.models, part.network))}
        return values


@pytest.mark.vectors("stylegan2-train-steps")
def test_stylegan2_training_steps(vector):
    facts = vector.config
    config = stylegan2_config(facts)
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        models = Models(config, facts["G"]["static_kwargs"]["num_channels"], label_size=0)
    networks = {"G": models.G, "D": models.D, "Gs": models.Gs}
    for name, network in networks.items():
        load_variables(network, vector.below(f"weights/{name}/"))

    step = RecordedStep(models, config, strategy, config.resolution, False, all_labels=tf.zeros([1, 0]))
    updates = 0  # of a network, at most
    for i, reported in enumerate(facts["steps"]):
        inputs = stylegan2_inputs(vector, i, models.D.mbstd_group_size)
        due = due_parts(step.parts, i)
        assert ("G_path_length" in due, "D_r1" in due) == (reported["G_reg"], reported["D_reg"])
        rate = tf.constant(facts["optimizer"]["learning_rate"])
        step.update({name: inputs[name] for name in due}, tf.constant(1.0), rate, rate, facts["Gs_beta"])
        for part in ("G", "D"):
            if any(name.startswith(f"outputs/step{i + 1}_after_{part}_main/") for name in vector.names):
                compare(vector, f"outputs/step{i + 1}_after_{part}_main/{part}/", step.after[part], part, updates + 1)
        updates += 2 if reported["G_reg"] or reported["D_reg"] else 1
        for name, network in networks.items():
            compare(vector, f"outputs/step{i + 1}/{name}/", export_variables(network), name, updates)
        if models.path_length is not None:
            expected = vector["outputs/pl_mean_per_step"][i]
            np.testing.assert_allclose(models.path_length.numpy(), expected, rtol=1e-3, err_msg=f"step {i + 1}")


def stylegan2_inputs(vector, i, group_size):
    """{part: inputs of its loss} of step i, of which the file has [rounds, images a round, ...]."""

    def minibatch(name):
        values = vector[f"inputs/{name}"][i]
        rounds, count = values.shape[:2]
        whole = np.empty((rounds * count, *values.shape[2:]), values.dtype)
        whole[order_of_rounds(rounds * count, rounds, group_size)] = values
        return whole

    reals = tf.constant(nhwc(minibatch("reals")))
    none = tf.zeros([len(reals), 0])
    directions = nhwc(minibatch("pl_noise"))
    path_length = draws(minibatch("pl_latents"))._replace(directions=tf.constant(directions))
    return {
        "G": Generated(none, draws(minibatch("latents_G"))),
        "G_path_length": Generated(tf.zeros([len(directions), 0]), path_length),
        "D": RealAndGenerated(reals, none, draws(minibatch("latents_D")), tf.zeros([len(reals), 1, 1, 1])),
        "D_r1": RealImages(reals, none),
    }
