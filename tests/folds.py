"""What every plan and every step has to hold, whatever it does."""

from __future__ import annotations

from rollback_tasks.model.plan import Check, Compensation, Gate, HostPlan, Irreversible, Step
from rollback_tasks.shell import Effect, standalone


def assert_undone_from_any_beginning(made: HostPlan) -> None:
    """Undoing ends at the start: after any number of steps, whether the last one acted or not, and done twice."""
    assert made.start is not None
    for reached in range(len(made.steps) + 1):
        for has_acted in (True, False):
            state = made.start
            for step in made.steps[: reached - (not has_acted)] if reached else ():
                state = step.project(state)
            for _ in range(2):
                for step in reversed(made.steps[:reached]):
                    state = step.unproject(state)
                assert state.without_kept() == made.start.without_kept(), made.steps[reached - 1].kind


def assert_reads_and_stands_alone(step: Step) -> None:
    """A step's conditions only read and say so in a sentence; its way back needs nobody but the host."""
    checks: tuple[Check, ...] = (*step.precondition(), *step.postcondition())
    assert {check.command.effect for check in checks} <= {Effect.READ}
    assert all(check.says and check.says[0].islower() and not check.says.endswith(".") for check in checks)
    undo = step.compensation()
    assert not isinstance(undo, Irreversible)
    if isinstance(undo, Compensation):
        assert undo.command.effect is not Effect.READ
        assert standalone(undo.command)
    gates = [action for action in step.forward() if isinstance(action, Gate)]
    assert all(gate.watch is not None and gate.watch.effect is Effect.READ for gate in gates)
    assert all(gate.find is None or gate.find.effect is Effect.READ for gate in gates)
