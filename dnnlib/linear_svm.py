"""Linear support vector machines, as worker processes fit them: without importing TensorFlow."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC


class Fit(NamedTuple):
    """A linear SVM and what it says of the samples that it was fitted on.

    Attributes:
        outputs: What it takes each for, 0 or 1 [N]: 1 where normal . sample + intercept > 0.
        normal, intercept: Its plane, float64 [dim] and a number.
        converged: Whether its solver did.
    """

    outputs: np.ndarray
    normal: np.ndarray
    intercept: float
    converged: bool


def classify_by_primal(task):
    """Fits a linear SVM by the primal solver, a few Newton steps where there are many samples, and asks it again.

    Threads may do this side by side, as liblinear lets them. Where it does not converge, there is a ConvergenceWarning.

    Args:
        task: (samples, float [N, dim]; classes, 0 or 1 [N], both of them among it).

    Returns:
        Fit.
    """
    return _classify(LinearSVC(dual=False), *task)


def classify_by_dual(task):
    """The same by the dual solver, which stops after 1,000 passes over the samples, whether it has converged or not.

    Threads must not do this side by side: the solver shuffles with one random generator for the whole process, so they
    would find another solution every time. There is no warning.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _classify(LinearSVC(dual=True, random_state=0, max_iter=1000), *task)


def _classify(svm, samples, classes):
    svm.fit(samples, classes)
    return Fit(svm.predict(samples), svm.coef_[0], float(svm.intercept_[0]), bool(svm.n_iter_ < svm.max_iter))
