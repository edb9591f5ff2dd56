# The only entrance. Needs cargo, python3 >= 3.11, node >= 20.19, a C compiler and make; brings everything else itself (redis-server,
# for the tests, by apt-get where there is none).
#
#   make demo [PROMPT="fast techno"] [TARGET=spotify]   music from words, mastered, with its report, into demo-out/
#   make demo TRACK=song.flac [TARGET=spotify]          masters that track instead
#   make demo-all                                       the same through Rust, Python and Node, compared
#   make test                                      the suites of all three languages
#   make lint bench bench-peers docs wheels fuzz clean

# One target triple and one profile for cargo, maturin and napi: the core is compiled once for all of them.
export CARGO_BUILD_TARGET ?= $(shell rustc --print host-tuple)
FEATURES := sonicforge-core/plot,sonicforge-core/opus,sonicforge-core/default-model,sonicforge-core/sqlite,sonicforge-core/redis
CORE := -p sonicforge-core --profile ci --features $(FEATURES)

# Not `npm ci`: it wants the lock file to name the native packages of every other system too, and npm leaves those out.
NPM_INSTALL := npm install --no-save --no-audit --no-fund

# The virtual environment also brings the cmake that libopus is built with, so it comes before any cargo.
VENV := $(CURDIR)/.venv
READY := $(VENV)/ready
export VIRTUAL_ENV := $(VENV)
export PATH := $(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

TRACK ?=
TARGET ?= spotify
PROMPT ?= slow ambient in D minor with warm pad and piano, 70 bpm
SECONDS ?= 20
SEED ?= 1

.PHONY: redis demo demo-all test test-rust test-python test-node build-python lint lint-rust lint-python lint-node lint-licenses \
        bench drill bench-peers golden docs wheels fuzz clean

test: test-rust test-python test-node
	@echo "all suites passed"

# The bindings have no Rust tests: they are named so that cargo gives all crates the features they have there.
# The trees that tests/dependencies.rs looks at hold crates that no build here needs: they are fetched first.
test-rust: $(READY) redis
	cargo fetch --quiet --locked
	cargo test $(CORE) -p sonicforge-default-model -p sonicforge-py -p sonicforge-node

test-python: build-python
	python -m pytest

test-node: $(READY)
	cd sonicforge-node && $(NPM_INSTALL) && npm run build:ci && npm test

demo: build-python
ifeq ($(TRACK),)
	python examples/python/song.py "$(PROMPT)" demo-out/song.wav "$(SECONDS)" "$(SEED)" "$(TARGET)"
else
	python examples/python/master.py "$(TRACK)" demo-out/master.wav "$(TARGET)"
endif

# The same through all three languages: three files that must be equal to the byte.
demo-all: build-python
	cargo build $(CORE) -p sonicforge-py -p sonicforge-node --quiet --example song
	cd sonicforge-node && $(NPM_INSTALL) && npm run build:ci
	python examples/python/song.py "$(PROMPT)" demo-out/python/song.wav "$(SECONDS)" "$(SEED)" "$(TARGET)"
	mkdir -p demo-out/rust
	target/$(CARGO_BUILD_TARGET)/ci/examples/song "$(PROMPT)" demo-out/rust/song.wav "$(SECONDS)" "$(SEED)" "$(TARGET)" >/dev/null
	node examples/node/song.mjs "$(PROMPT)" demo-out/node/song.wav "$(SECONDS)" "$(SEED)" "$(TARGET)" >/dev/null
	cmp demo-out/python/song.wav demo-out/rust/song.wav
	cmp demo-out/python/song.wav demo-out/node/song.wav
	@echo "Rust, Python and Node wrote the same file"

# The tests of the optimizer's Redis store start a server of their own. Debian and Ubuntu: installed here; elsewhere say how.
redis:
	@command -v redis-server >/dev/null || { \
	  echo "redis-server is not installed; trying apt-get"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  command -v apt-get >/dev/null && $$SUDO apt-get update -qq && \
	  $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server; \
	  command -v redis-server >/dev/null || { echo "the tests need redis-server: install it (brew install redis, apt-get install redis-server)"; exit 1; }; }

build-python: $(READY)
	maturin develop --quiet --profile ci

$(READY): sonicforge-py/requirements-dev.txt
	python3 -m venv "$(VENV)"
	"$(VENV)/bin/pip" install --quiet --requirement sonicforge-py/requirements-dev.txt
	touch "$(READY)"

lint: lint-rust lint-python lint-node lint-licenses
	@echo "all lints passed"

lint-rust: $(READY)
	cargo fmt --all --check
	cargo clippy --workspace --profile ci -- -D warnings
	cargo clippy $(CORE) -p sonicforge-benches --all-targets -- -D warnings
	cargo clippy -p sonicforge-core --no-default-features --profile ci -- -D warnings -A dead_code
	RUSTDOCFLAGS="-D warnings" cargo doc $(CORE) --no-deps
	RUSTDOCFLAGS="-D warnings" cargo doc -p sonicforge-py -p sonicforge-node --no-deps --document-private-items --profile ci

lint-python: build-python
	ruff format --check
	ruff check
	mypy
	python -m mypy.stubtest --concise sonicforge._sonicforge

lint-node: $(READY)
	cd sonicforge-node && $(NPM_INSTALL) && npm run lint

# Licences, sources and duplicates; advisories need a database from the network: `cargo deny check advisories`.
lint-licenses: $(READY)
	cargo-deny --all-features check licenses bans sources

# Writes what the library says now into the golden vectors that were born from it; read the difference.
golden: $(READY)
	SONICFORGE_GOLDEN=write cargo test $(CORE) --test golden

bench:
	cargo bench -p sonicforge-benches --features generate

# Kills, duplicates and shuffles a million rewards over the durable stores (minutes to an hour; see benches/drill.rs).
drill: $(READY) redis
	cargo run --release -p sonicforge-benches --features optimize --bin drill
	SONICFORGE_KILLS=1000 cargo test --release -p sonicforge-core --test index killed -- --nocapture

# The same work through ffmpeg, sox, pedalboard and others, on a folder of music that you name (see benches/peers/README.md).
MUSIC ?=
PEERS := .venv-peers/bin/python

bench-peers: .venv-peers/ready
	$(if $(MUSIC),,$(error say where the music is: make bench-peers MUSIC=folder))
	cargo build --release -p sonicforge-benches --bin peers
	$(PEERS) benches/peers/judge.py --self-test
	$(PEERS) benches/peers/corpus.py --music "$(MUSIC)"
	$(PEERS) benches/peers/limiter.py
	$(PEERS) benches/peers/quality.py
	$(PEERS) benches/peers/speed.py
	$(PEERS) benches/peers/targets.py --targets=-14,-16

.venv-peers/ready: benches/peers/requirements.txt
	python3 -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --requirement benches/peers/requirements.txt
	touch .venv-peers/ready

docs: $(READY)
	cargo doc -p sonicforge-core --no-deps --features $(FEATURES)

# One wheel for every Python from 3.11 on, and the Node package, both in dist/.
wheels: $(READY)
	maturin build --release --out dist
	cd sonicforge-node && $(NPM_INSTALL) && npm run build && npm pack --pack-destination ../dist

# cargo-fuzz has to be installed: `cargo install cargo-fuzz` and a nightly toolchain.
fuzz:
	cd fuzz && for door in $$(cargo fuzz list); do cargo fuzz run "$$door" -- -max_total_time=60; done

clean:
	cargo clean
	rm -rf "$(VENV)" sonicforge-node/node_modules dist demo-out bench-out
