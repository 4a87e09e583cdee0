"""Configurations that versions before 0.2 wrote, in which the name of a loss decided which penalties it has."""

# {old name: (base loss, the penalties that the name stood for, with their defaults)}. A plain "wgan" had the drift too.
OLD_LOSSES = {
    "logistic-simplegp": ("logistic", {"r1_gamma": 10.0, "r2_gamma": 0.0}),
    "wgan-gp": ("wgan", {"gradient_penalty": 10.0, "gradient_penalty_target": 1.0, "drift": 0.001}),
    "hinge-gp": ("hinge", {"gradient_penalty": 10.0, "gradient_penalty_target": 1.0}),
}
PLAIN_LOSSES = {
    "logistic": ("logistic", {}),
    "wgan": ("wgan", {"drift": 0.001}),
    "hinge": ("hinge", {}),
}
OLD_FIELDS = {
    "wgan_lambda": "gradient_penalty",
    "wgan_target": "gradient_penalty_target",
    "wgan_epsilon": "drift",
}
PENALTIES = ("r1_gamma", "r2_gamma", "gradient_penalty", "drift")


def is_old_loss(values):
    """Whether the settings of a loss are a former version's: an old name, or an old field."""
    return values.get("discriminator") in [*OLD_LOSSES] or bool(values.keys() & OLD_FIELDS.keys())


def convert_loss(values):
    """The same settings of a loss as the present `LossConfig` has them; those that are not old are left alone.

    Penalties that an old name did not stand for become 0, whatever their weights were: they had no effect.
    """
    if not is_old_loss(values):
        return values
    name = values.get("discriminator", "logistic-simplegp")
    base, penalties = (OLD_LOSSES | PLAIN_LOSSES).get(name, (name, {})) if isinstance(name, str) else (name, {})
    renamed = {OLD_FIELDS.get(key, key): value for key, value in values.items()}
    inactive = {key: 0.0 for key in PENALTIES if key not in penalties}
    if "gradient_penalty" not in penalties:
        renamed.pop("gradient_penalty_target", None)
    return penalties | renamed | inactive | {"discriminator": base}


def ask_for_old_loss(values, given):
    """Prepares settings of today for `convert_loss` where a user has asked for an old name, such as "wgan-gp".

    What the name stands for takes the name's own weights where today's configuration has none; a weight that the user
    gives as well stays.

    Args:
        values: Settings of a loss, changed in place.
        given: Names of the settings that the user gives.
    """
    if not isinstance(values, dict) or not is_old_loss(values):
        return
    simple = values.get("r1_gamma") or values.get("r2_gamma")
    for name in PENALTIES:
        if name not in given and not values.get(name) and not (simple and name.startswith("r")):
            values.pop(name, None)
