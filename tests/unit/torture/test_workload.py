"""What is ordered is decided by the seed, and has handlers."""

from datetime import timedelta
from itertools import pairwise

from schedora_torture.handlers import app
from schedora_torture.workload import OrderKind, orders
from tests.unit.torture.plans import a_plan

MANY = list(orders(a_plan(duration=timedelta(minutes=5), rate=20)))


def test_the_same_seed_orders_the_same() -> None:
    assert list(orders(a_plan(duration=timedelta(minutes=5), rate=20))) == MANY


def test_another_seed_orders_otherwise() -> None:
    assert list(orders(a_plan(duration=timedelta(minutes=5), rate=20, seed=2))) != MANY


def test_orders_come_in_time_and_of_every_kind() -> None:
    assert all(earlier.at_seconds <= later.at_seconds for earlier, later in pairwise(MANY))
    assert {order.kind for order in MANY} == set(OrderKind)


def test_there_is_a_handler_for_every_job_and_it_takes_the_payload() -> None:
    for order in MANY:
        for job in order.jobs:
            app.prepare(job.type, job.payload, **job.options)
            assert job.type in app.functions


def test_keys_name_one_job_each_and_steps_depend_on_steps() -> None:
    keys = [job.key for order in MANY if order.workflow is None for job in order.jobs]
    assert len(set(keys)) == len(keys)
    for order in MANY:
        if order.workflow is not None:
            steps = {job.key for job in order.jobs}
            assert all(set(job.depends_on) <= steps for job in order.jobs)
