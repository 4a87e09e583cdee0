"""Linear support vector machines, as worker processes fit them: without importing TensorFlow."""

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC


def classify_by_primal(task):
    """Fits a linear SVM by the primal solver, a few Newton steps where there are many samples, and asks it again.

    Threads may do this side by side, as liblinear lets them. Where it does not converge, there is a ConvergenceWarning.

    Args:
        task: (samples, float [N, dim]; classes, 0 or 1 [N], both of them among it).

    Returns:
        What the SVM takes the same samples for, 0 or 1 [N]; and whether it converged.
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
    return svm.fit(samples, classes).predict(samples), bool(svm.n_iter_ < svm.max_iter)
