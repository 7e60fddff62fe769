import pytest

from nnunet_mamba.planning.batch_size import given_batch, largest_batch


class Memory:
    """A made-up training step: a constant and so much per case, and from some batch on more per case or a crash."""

    def __init__(self, *, constant=700, per_case=10, bend=10**9, after_bend=0, crash=10**9):
        self.measured = []
        self.line = (constant, per_case)
        self.bend, self.after_bend, self.crash = bend, after_bend, crash

    def true(self, batch_size):
        constant, per_case = self.line
        return constant + per_case * batch_size + self.after_bend * max(0, batch_size - self.bend)

    def __call__(self, batch_size):
        self.measured.append(batch_size)
        return None if batch_size >= self.crash else self.true(batch_size)


@pytest.mark.parametrize("budget", [721, 735, 800, 1000, 3000])
@pytest.mark.parametrize("constant", [0, 700])
def test_takes_the_largest_batch_that_fits(budget, constant):
    memory = Memory(constant=constant)
    found = largest_batch(memory, budget=budget, ceiling=1000)
    assert memory.true(found.batch_size) <= budget < memory.true(found.batch_size + 1)
    assert found.measured == memory.true(found.batch_size)
    assert len(memory.measured) <= 4


def test_the_estimate_is_what_smaller_batches_foretold_and_the_step_is_really_measured():
    memory = Memory(bend=8, after_bend=1)
    found = largest_batch(memory, budget=10**6, ceiling=28)
    assert memory.measured == [2, 8, 28]
    assert (found.batch_size, found.estimate, found.measured) == (28, 980, 1000)


def test_a_batch_that_takes_more_than_foretold_is_lowered_until_its_own_step_fits():
    memory = Memory(bend=10, after_bend=20)
    found = largest_batch(memory, budget=1000, ceiling=100)
    assert found.measured <= 1000
    assert memory.true(found.batch_size + 2) > 1000
    assert max(memory.measured) > found.batch_size


def test_a_batch_whose_process_died_is_lowered_too():
    found = largest_batch(Memory(crash=20), budget=10**6, ceiling=100)
    assert 2 <= found.batch_size < 20


@pytest.mark.parametrize("budget", [1000, 3000, 10_000])
def test_on_a_device_that_ends_at_the_budget_few_steps_are_tried_in_vain(budget):
    steps = Memory(bend=8, after_bend=3)

    def measure(batch_size):
        taken = steps(batch_size)
        return taken if taken <= budget else None

    found = largest_batch(measure, budget=budget, ceiling=1000)
    assert found.measured == steps.true(found.batch_size) <= budget < steps.true(round(1.1 * found.batch_size) + 1)
    assert len(steps.measured) <= 6


@pytest.mark.parametrize("ceiling", [2, 3, 5, 8])
def test_never_measures_beyond_the_ceiling(ceiling):
    memory = Memory()
    assert largest_batch(memory, budget=10**6, ceiling=ceiling).batch_size == ceiling
    assert max(memory.measured) == ceiling


def test_the_second_probe_is_one_that_cannot_exceed_the_budget():
    memory = Memory(constant=0, per_case=100)
    largest_batch(memory, budget=450, ceiling=100)
    assert memory.measured[:2] == [2, 4]
    assert [size for size in memory.measured if memory.true(size) > 450] == []


@pytest.mark.parametrize("memory", [Memory(per_case=200), Memory(crash=2)])
def test_none_where_not_even_two_fit(memory):
    assert largest_batch(memory, budget=1000, ceiling=50) is None
    assert memory.measured == [2]


@pytest.mark.parametrize(
    ("batch_size", "probes", "estimate"), [(1, [1], None), (2, [2], None), (5, [2, 5], None), (16, [2, 8, 16], 860)]
)
def test_a_given_batch_is_taken_and_measured(batch_size, probes, estimate):
    memory = Memory()
    found = given_batch(memory, batch_size)
    assert memory.measured == probes
    assert (found.batch_size, found.estimate, found.measured) == (batch_size, estimate, memory.true(batch_size))


def test_a_given_batch_whose_process_died_is_taken_without_a_measurement():
    found = given_batch(Memory(crash=10), 16)
    assert (found.batch_size, found.estimate, found.measured) == (16, 860, None)
