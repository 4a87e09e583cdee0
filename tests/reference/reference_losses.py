"""The reference's discriminator losses, whose names say which penalties they have, as our base loss and penalties."""

GRADIENT_PENALTY = {"wgan_lambda": 10.0, "wgan_target": 1.0}
# {name: (ours, keywords with their defaults)}.
D_LOSSES = {
    "D_wgan": ("wgan", {"wgan_epsilon": 0.001}),
    "D_wgan_gp": ("wgan", GRADIENT_PENALTY | {"wgan_epsilon": 0.001}),
    "D_hinge": ("hinge", {}),
    "D_hinge_gp": ("hinge", GRADIENT_PENALTY),
    "D_logistic": ("logistic", {}),
    "D_logistic_simplegp": ("logistic", {"r1_gamma": 10.0, "r2_gamma": 0.0}),
}
# The keywords that we call otherwise.
OURS = {"wgan_lambda": "gradient_penalty", "wgan_target": "gradient_penalty_target", "wgan_epsilon": "drift"}


def discriminator_loss_of(name, kwargs):
    """(name, penalties) of `discriminator_loss` for a loss of the reference and its keywords."""
    base, defaults = D_LOSSES[name]
    return base, {OURS.get(key, key): value for key, value in (defaults | kwargs).items()}
