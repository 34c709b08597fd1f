# One command each. Everything is built with one Rust profile, release, into one target directory: the wheel, the
# tests and the benches share every compiled dependency (the text engine alone takes minutes). So that tests still
# trap overflow and failed debug assertions, these are switched on for the workspace's own crates when testing; Cargo
# keeps such builds beside the others, and nothing is compiled twice on the next run.

PYTHON ?= python3
BIN := .venv/bin
CHECKED := --config 'profile.release.package.pixr.overflow-checks=true' --config 'profile.release.package.pixr.debug-assertions=true'
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md \
	$(shell find python rust models -type f ! -name '*.py[co]' ! -name '*.so' ! -name '.*')

.PHONY: help build demo test lint clients fuzz-server bench bench-server bench-peers bench-scale faults faults-peers loom eval clean
help:  ## what there is to do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 16

.venv/tools: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip 'maturin>=1.9,<2' 'ruff>=0.9'
	touch $@

.venv/installed: .venv/tools $(SOURCES)
	rm -rf target/wheels && $(BIN)/maturin build --release --locked --interpreter $(BIN)/python --out target/wheels
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(ls target/wheels/*.whl)[all,dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall target/wheels/*.whl
	touch $@

build: .venv/installed  ## build and install into .venv; puts `pixr` into .venv/bin

demo: build  ## index real clips, search them, leave demo/sheet.png and demo/index.html
	$(BIN)/python -m examples.demo

lint: .venv/tools  ## formatting and lints, without building
	cargo fmt --all --check
	cargo fmt --manifest-path tests/loom/Cargo.toml --check && cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --package pixr --no-deps --locked

test: lint build  ## everything: lints, types, Rust and Python tests, README examples
	$(BIN)/mypy && $(BIN)/python -m mypy.stubtest pixr._engine --mypy-config-file pyproject.toml
	cargo test --release --package pixr --locked $(CHECKED)
	$(BIN)/python -m pytest -q

clients: build  ## other people's JavaScript clients against the server; installs them from npm into tests/clients
	npm ci --prefix tests/clients --no-audit --no-fund
	$(BIN)/python -m pytest -q tests/python/server/test_javascript_clients.py

fuzz-server: build  ## Schemathesis on every operation of the server, thousands of requests
	PIXR_SLOW_TESTS=1 $(BIN)/python -m pytest -q -s tests/python/server/test_schemathesis.py

bench-server: build  ## what the server costs and bears; ARGS="load --seconds 60" for one part
	$(BIN)/python -m pip install --quiet --disable-pip-version-check litestar
	$(BIN)/python -m benches.server $(ARGS)

bench: build  ## measure the engine
	cargo bench --locked

# In an environment of its own: the peers bring a hundred packages. The bench installs those that it needs.
bench-peers: build  ## search beside eight other engines; ARGS="--quick" is hnswlib, faiss and usearch, a few minutes
	test -x target/peers-env/bin/python || $(PYTHON) -m venv target/peers-env
	target/peers-env/bin/python -m pip install --quiet --disable-pip-version-check --upgrade numpy pyarrow
	target/peers-env/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall target/wheels/*.whl
	target/peers-env/bin/python -m benches.peers $(ARGS)

faults: build  ## power cuts, kills, failing calls, damage, fuzzing; PROFILE=slow takes hours; ends with a line of JSON
	$(BIN)/python -m tests.faults --profile $(or $(PROFILE),fast) -- \
		cargo test --release --package pixr --locked $(CHECKED) --test engine

loom:  ## a model checker on what threads share without locks; a minute
	RUSTFLAGS='--cfg loom' cargo clippy --release --locked --manifest-path tests/loom/Cargo.toml \
		--target-dir target/loom --all-targets -- -D warnings
	RUSTFLAGS='--cfg loom' cargo test --release --locked --manifest-path tests/loom/Cargo.toml \
		--target-dir target/loom -- --nocapture

faults-peers: build  ## the same faults on tantivy, LanceDB, usearch and Chroma, in an environment of their own
	test -x target/peers/bin/python || $(PYTHON) -m venv target/peers
	target/peers/bin/python -m pip install --quiet --disable-pip-version-check -r benches/faults/requirements.txt
	target/peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall target/wheels/*.whl
	target/peers/bin/python -m benches.faults $(ARGS)

bench-scale: build  ## how cost grows from 100,000 rows on; ARGS="--sizes 10000000" for more, --memory 0.25 for a limit
	$(BIN)/python -m pip install --quiet --disable-pip-version-check matplotlib
	$(BIN)/python -m benches.scale $(ARGS)

eval: build  ## measure search quality, indexing speed and query cost; writes eval/report.md and .json
	$(BIN)/python -m benches.eval

clean:  ## remove all that was built
	rm -rf target .venv demo eval peers scale dist
