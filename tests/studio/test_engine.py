"""The engine: one thing at a time, users in turn, and of a view only the newest request."""

import threading

import pytest

from studio.engine import Dropped, Engine


@pytest.fixture
def held():
    """An engine that is busy until the event is set."""
    engine, free = Engine(), threading.Event()
    engine.ask("someone", "busy", free.wait)
    yield engine, free
    free.set()
    engine.close()


def test_the_newest_request_of_a_view_replaces_the_one_that_waits(held):
    engine, free = held
    engine.ask("someone", "busy", lambda: None)  # behind the one that runs
    old, other, new = (
        engine.ask("user", view, lambda name=name: name) for view, name in (("a", 1), ("b", 2), ("a", 3))
    )
    with pytest.raises(Dropped):
        old.result(10)
    free.set()
    assert (other.result(10), new.result(10)) == (2, 3)


def test_users_take_turns(held):
    engine, free = held
    order = []
    futures = [
        engine.ask(user, view, lambda user=user: order.append(user)) for user in ("first", "second") for view in "abc"
    ]
    free.set()
    for future in futures:
        future.result(10)
    assert order == ["first", "second"] * 3


def test_errors_are_the_askers_own(held):
    engine, free = held
    wrong, right = engine.ask("a", "x", lambda: 1 / 0), engine.ask("b", "x", lambda: 1)
    free.set()
    with pytest.raises(ZeroDivisionError):
        wrong.result(10)
    assert right.result(10) == 1


def test_who_leaves_is_forgotten(held):
    engine, free = held
    gone = engine.ask("gone", "x", lambda: 1)
    engine.forget("gone")
    with pytest.raises(Dropped):
        gone.result(10)
    free.set()


def test_after_its_end():
    engine = Engine()
    engine.close()
    with pytest.raises(Dropped):
        engine.ask("user", "x", lambda: 1).result(10)
