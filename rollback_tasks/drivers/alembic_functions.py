"""Reads ``upgrade()`` and ``downgrade()`` of a migration script from its syntax tree, never by running it."""

from __future__ import annotations

import ast

from rollback_tasks.drivers.alembic_operations import FunctionReading, Operation, OperationKind
from rollback_tasks.drivers.alembic_values import Value, value_of
from rollback_tasks.drivers.alembic_walk import ModuleReading, Walk

_MESSENGERS = frozenset({"print", "log", "logger", "logging", "warnings", "_logger", "LOG", "LOGGER"})


def read_module(tree: ast.Module) -> ModuleReading:
    """Collect the functions and literal names of a script."""
    functions: dict[str, ast.FunctionDef] = {}
    scope: dict[str, Value] = {}
    operators, foreign, others = {"op"}, set[str](), set[str]()
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name):
                functions[name] = statement
                others.discard(name)
            case ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                others.add(name)
            case ast.ImportFrom(module=module, names=names, level=level):
                for alias in names:
                    local = alias.asname or alias.name
                    others.add(local)
                    root = (module or "").partition(".")[0]
                    if level or root not in ("alembic", "sqlalchemy", "typing", "datetime", "logging"):
                        foreign.add(local)
                    elif root == "alembic" and alias.name == "op":
                        operators.add(local)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        scope[target.id] = value_of(value, scope)
                        others.add(target.id)
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                scope[name] = value_of(value, scope)
                others.add(name)
    return ModuleReading(
        functions=functions,
        scope=scope,
        operators=frozenset(operators),
        foreign=frozenset(foreign),
        others=frozenset(others),
    )


def read_function(module: ModuleReading, name: str) -> FunctionReading:
    """Say what the function called ``name`` does, following the functions of the same file that it calls.

    :raises RecursionError: the script is nested too deeply to be read.
    """
    function = module.functions.get(name)
    if function is None:
        if name in module.others:
            note = f"{name}() is not written in the file itself"
            return FunctionReading(operations=(Operation(kind=OperationKind.UNKNOWN),), notes=(note,))
        return FunctionReading(exists=False)
    if all(_says_nothing(statement) for statement in function.body):
        return FunctionReading(is_empty=True)
    walk = Walk(module)
    walk.block(function.body, dict(module.scope), conditional=False)
    if walk.budget < 0:
        walk.operations.append(Operation(kind=OperationKind.UNKNOWN))
        walk.notes.append(f"{name}() is too long to be read")
    return FunctionReading(
        raises=walk.raises,
        may_raise=walk.may_raise,
        has_autocommit=walk.has_autocommit,
        operations=tuple(walk.operations),
        notes=tuple(dict.fromkeys(walk.notes)),
    )


def _says_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Return(value=None) | ast.Return(value=ast.Constant()) | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=called)):
            while isinstance(called, ast.Attribute):
                called = called.value
            return isinstance(called, ast.Name) and called.id in _MESSENGERS
        case _:
            return False
