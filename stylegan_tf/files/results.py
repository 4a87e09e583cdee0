"""What results of metrics are called, where that depends on what was measured."""

# Results of linear separability, by the space that their details are of.
SEPARABILITY = {"z": "ls_z", "w": "ls_w"}


def separability_name(space, skipped, per_class=False):
    """What linear separability is called: ls_w, or ls_w_9of10 where only 9 of 10 attributes are in the sum.

    With fewer attributes the score is lower, that is better, and no longer the same measure; nor is it with other
    samples, which ls_w_per_class says.

    Args:
        space: "z" or "w".
        skipped: Whether each attribute was left out, a list of bools.
        per_class: Whether the most confident samples were kept of each class by itself.
    """
    name, counted = SEPARABILITY[space] + ("_per_class" if per_class else ""), len(skipped) - sum(skipped)
    return name if counted == len(skipped) else f"{name}_{counted}of{len(skipped)}"


def named_results(record):
    """{result: value} of a record of metrics.jsonl, by today's names: before, ls_w also stood for ls_w_9of10."""
    results, details = dict(record["results"]), record.get("details") or {}
    for space, old in SEPARABILITY.items():
        if old in results and isinstance(details.get(space), list):
            new = separability_name(space, [bool(attribute.get("skipped")) for attribute in details[space]])
            results = {new if name == old else name: value for name, value in results.items()}
    return results
