"""Names of files, classes and label columns: how they are shown and stored, and in which order classes come."""

import decimal
import re
import unicodedata

from datasets.errors import DatasetError

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_NOT_SHOWN = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories: controls, surrogates, separators of lines and paragraphs


def readable(name):
    r"""Returns a name in one line of valid text: controls, ends of lines and bytes that are no UTF-8 become \n, \xff.

    Args:
        name: Text; bytes of file names that are no UTF-8 are in it as Python has them, surrogates.
    """
    return "".join(_escaped(letter) if unicodedata.category(letter) in _NOT_SHOWN else letter for letter in name)


def _escaped(letter):
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def ordered_classes(names):
    """Returns the names of classes in the order of their columns: numbers, also those inside of names, as numbers.

    0, 1, 2, 10; class-2, class-10. Names without digits are sorted as text, as are equal numbers, 1 and 01.
    """
    numbers = all(map(_NUMBER.fullmatch, names))
    return sorted(names, key=lambda name: (decimal.Decimal(name) if numbers else _natural(name), name))


def _natural(name):
    """What compares texts with texts and numbers with numbers, however long they are."""
    parts = _DIGITS.split(name)
    parts[1::2] = [(len(digits.lstrip("0")), digits.lstrip("0")) for digits in parts[1::2]]
    return parts


def stored_names(names, where):
    """Returns names of label columns as a data set stores them; DatasetError if two are alike.

    Args:
        names: List of names.
        where: Where they are from, for the message.
    """
    stored, known = [readable(name) for name in names], set()
    for name in stored:
        if name in known:
            raise DatasetError(f"{where} has two classes or columns called {name!r}. Give each a name of its own.")
        known.add(name)
    return stored
