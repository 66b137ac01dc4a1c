# Thin names for commands that README shows. Each makes its environment first, where it is not there yet.
.PHONY: demo test lint format unit process postgres ssh sandbox-test bench surface lock clean long-test
.NOTPARALLEL:

with = venv=$$(tools/bootstrap $(1)) && PATH="$$venv/bin:$$PATH" && export PATH

lint_commands = ruff check . && ruff format --check . && mypy

demo: ## break a real deployment on this machine and roll it back
	@$(call with,) && exec tools/demo

test: ## everything, the fastest first
	@$(call with,--tests) && $(lint_commands) && exec pytest

lint:
	@$(call with,) && $(lint_commands)

format:
	@$(call with,) && ruff check --fix . && exec ruff format .

unit: ## needs nothing but Python
	@$(call with,) && exec pytest tests/unit tests/test_architecture.py tests/test_surface.py

process: ## against the shell, the git and the `inv` of this machine
	@$(call with,) && exec pytest tests/process

postgres: ## against a real PostgreSQL of its own
	@$(call with,--tests) && exec pytest tests/postgres

ssh: ## against a real sshd of its own
	@$(call with,--tests) && exec pytest tests/ssh

sandbox-test: ## against real deployment hosts
	@$(call with,--tests) && exec pytest tests/sandbox

long-test: ## many minutes on real hosts: fleets, and laptops and hosts that die at every step
	@$(call with,--tests) && exec pytest tests/sandbox -m long

bench:
	@$(call with,--tests) && exec python -m benchmarks

surface: ## write down the task names and flags as they are now; look at the difference before committing it
	@$(call with,) && exec pytest tests/test_surface.py --write-changes

lock: ## newest versions into constraints.txt
	@exec tools/lock

clean: ## the cached environments of every checkout
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/rollback-tasks"
