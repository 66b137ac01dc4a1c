"""Walks through a migration function in the order in which it would run, noting what it does."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rollback_tasks.drivers.alembic_calls import ALEMBIC_NAMES, note_on, read_call
from rollback_tasks.drivers.alembic_operations import Operation, OperationKind
from rollback_tasks.drivers.alembic_values import UNKNOWN, Scope, Value, argument, called_name, value_of

_BUDGET = 200_000
_MAX_LOOP = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleReading:
    """What stands at the top of a script: its functions, its constants, where its names come from."""

    functions: Mapping[str, ast.FunctionDef]
    scope: Scope
    operators: frozenset[str]
    foreign: frozenset[str]
    others: frozenset[str]


@dataclass(slots=True)
class Walk:
    """One walk through a function; ``budget`` bounds it, whatever the script's helpers do to each other."""

    module: ModuleReading
    operations: list[Operation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raises: str | None = None
    may_raise: bool = False
    has_autocommit: bool = False
    budget: int = _BUDGET
    stack: list[str] = field(default_factory=list)

    def block(self, body: Iterable[ast.stmt], scope: dict[str, Value], *, conditional: bool) -> bool:
        """Walk statements in order. True where what follows is never reached, or not always."""
        maybe = conditional
        for statement in body:
            self.budget -= 1
            if self.budget < 0:
                return True
            if self._statement(statement, scope, maybe):
                if isinstance(statement, (ast.Return, ast.Raise)) or self.raises:
                    return True
                maybe = True
        return maybe and not conditional

    def _statement(self, statement: ast.stmt, scope: dict[str, Value], conditional: bool) -> bool:
        match statement:
            case ast.Expr(value=value):
                self._calls(value, scope, conditional, is_statement=True)
                return self.raises is not None
            case ast.Assign(targets=targets, value=value):
                self._calls(value, scope, conditional)
                for target in targets:
                    _bind(target, UNKNOWN if conditional else value_of(value, scope), scope)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._calls(value, scope, conditional)
                _bind(target, UNKNOWN if conditional else value_of(value, scope), scope)
            case ast.AugAssign(target=target, value=value):
                self._calls(value, scope, conditional)
                _bind(target, UNKNOWN, scope)
            case ast.Return(value=value):
                self._calls(value, scope, conditional)
                return True
            case ast.Raise(exc=raised):
                if conditional:
                    self.may_raise = True
                else:
                    self.raises = _exception(raised, scope)
                return True
            case ast.If(test=test, body=body, orelse=orelse) | ast.While(test=test, body=body, orelse=orelse):
                self._calls(test, scope, conditional)
                self.block(body, scope, conditional=True)
                self.block(orelse, scope, conditional=True)
                return _leaves(body) or _leaves(orelse)
            case ast.For(target=target, iter=iterable, body=body, orelse=orelse):
                self._calls(iterable, scope, conditional)
                items = value_of(iterable, scope)
                if isinstance(items, tuple) and len(items) <= _MAX_LOOP:
                    for item in items:
                        _bind(target, item, scope)
                        self.block(body, scope, conditional=conditional or _leaves(body))
                else:
                    _bind(target, UNKNOWN, scope)
                    self.block(body, scope, conditional=True)
                self.block(orelse, scope, conditional=conditional)
                return self.raises is not None
            case ast.With(items=managers, body=body):
                for manager in managers:
                    self._calls(manager.context_expr, scope, conditional)
                    if manager.optional_vars is not None:
                        _bind(manager.optional_vars, value_of(manager.context_expr, scope), scope)
                return self.block(body, scope, conditional=conditional)
            case (
                ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody)
                | ast.TryStar(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody)
            ):
                # A handler may swallow what its body raises.
                self._tried(body, scope, conditional, is_caught=bool(handlers))
                for handler in handlers:
                    self.block(handler.body, scope, conditional=True)
                self.block(orelse, scope, conditional=True)
                self.block(finalbody, scope, conditional=conditional)
                return self.raises is not None
            case ast.Match(subject=subject, cases=cases):
                self._calls(subject, scope, conditional)
                for case in cases:
                    self.block(case.body, scope, conditional=True)
                return any(_leaves(case.body) for case in cases)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._unknown(conditional=True)
                self.notes.append(f"{statement.name} inside of a function is not looked into")
            case _:
                for child in ast.iter_child_nodes(statement):
                    if isinstance(child, ast.expr):
                        self._calls(child, scope, conditional)
        return False

    def _tried(self, body: list[ast.stmt], scope: dict[str, Value], conditional: bool, *, is_caught: bool) -> None:
        already = self.raises
        self.block(body, scope, conditional=conditional)
        if is_caught and self.raises != already:
            self.raises, self.may_raise = already, True

    def _calls(
        self, node: ast.expr | None, scope: dict[str, Value], conditional: bool, *, is_statement: bool = False
    ) -> None:
        """Walk the calls of an expression, inner ones first, as they run."""
        if node is None:
            return
        self.budget -= 1
        if self.budget < 0:
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._calls(child, scope, conditional)
            elif isinstance(child, ast.keyword):
                self._calls(child.value, scope, conditional)
            elif isinstance(child, ast.comprehension):
                _bind(child.target, UNKNOWN, scope)
                self._calls(child.iter, scope, conditional)
        if isinstance(node, ast.Call):
            self._call(node, scope, conditional, is_statement)

    def _call(self, call: ast.Call, scope: dict[str, Value], conditional: bool, is_statement: bool) -> None:
        name = called_name(call)
        if isinstance(call.func, ast.Name) and name in self.module.functions:
            self._inline(self.module.functions[name], call, scope, conditional)
            return
        if isinstance(call.func, ast.Name) and name not in ALEMBIC_NAMES:
            if is_statement and name in self.module.foreign:
                self._unknown(conditional)
                self.notes.append(f"{name}() comes from another file, which is not looked into")
            return
        self.has_autocommit |= name == "autocommit_block"
        note = note_on(call, scope)
        if note:
            self.notes.append(note)
        for found in read_call(call, scope, operators=self.module.operators, is_statement=is_statement):
            self.operations.append(replace(found, conditional=True) if conditional else found)

    def _inline(self, function: ast.FunctionDef, call: ast.Call, scope: dict[str, Value], conditional: bool) -> None:
        if function.name in self.stack:
            self._unknown(conditional)
            return
        inner: dict[str, Value] = dict(self.module.scope)
        words = function.args.posonlyargs + function.args.args
        for position, word in enumerate(words):
            missing = position - (len(words) - len(function.args.defaults))
            default = value_of(function.args.defaults[missing], inner) if missing >= 0 else UNKNOWN
            inner[word.arg] = argument(call, position, word.arg, scope, default)
        for word, fallback in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
            inner[word.arg] = argument(call, -1, word.arg, scope, value_of(fallback, inner))
        for rest in (function.args.vararg, function.args.kwarg):
            if rest is not None:
                inner[rest.arg] = UNKNOWN
        self.stack.append(function.name)
        self.block(function.body, inner, conditional=conditional)
        self.stack.pop()

    def _unknown(self, conditional: bool) -> None:
        self.operations.append(Operation(kind=OperationKind.UNKNOWN, conditional=conditional))


def _bind(target: ast.expr, value: Value, scope: dict[str, Value]) -> None:
    match target:
        case ast.Name(id=name):
            scope[name] = value
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            values = value if isinstance(value, tuple) and len(value) == len(parts) else (UNKNOWN,) * len(parts)
            for part, one in zip(parts, values, strict=True):
                _bind(part, one, scope)
        case _:
            return


def _leaves(body: list[ast.stmt]) -> bool:
    """Some statement in ``body`` may leave it early."""
    leave = (ast.Return, ast.Break, ast.Continue)
    return any(isinstance(node, leave) for statement in body for node in ast.walk(statement))


def _exception(raised: ast.expr | None, scope: Scope) -> str:
    if isinstance(raised, ast.Call):
        message = value_of(raised.args[0], scope) if raised.args else ""
        said = "".join(c for c in message if c.isprintable())[:200] if isinstance(message, str) else ""
        return f"{called_name(raised)}: {said}" if said else called_name(raised) or "an exception"
    return raised.id if isinstance(raised, ast.Name) else "an exception"
