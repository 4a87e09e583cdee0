"""What every module of the package raises for a data set, or a file on its way into one, that cannot be used."""


class DatasetError(ValueError):
    """A data set or a source that cannot be used as it is; one line: which file, what is wrong, what to do."""
