# make help  lists what can be made. All of it goes into .venv and _build.

PYTHON  ?= python3
EDITION := $(or $(LRSCHED_EDITION),quick)
PORT    ?= 8000
JOBS    ?= 2
export LRSCHED_EDITION := $(EDITION)

# Notebooks run in a folder of their own: a relative path would not be found from there.
ifdef LRSCHED_DATA_DIR
export LRSCHED_DATA_DIR := $(abspath $(LRSCHED_DATA_DIR))
endif

# Two notebooks run at a time; one thread each makes training repeat bit for bit.
export MKL_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export TF_NUM_INTEROP_THREADS := 1
export TF_NUM_INTRAOP_THREADS := 1
# Keep TensorFlow's log and progress bars off the pages, and the reader's own settings out of the runs.
export TF_CPP_MIN_LOG_LEVEL := 3
export TQDM_DISABLE := 1
export KERAS_BACKEND := tensorflow
export JUPYTER_PREFER_ENV_PATH := 1

BIN      := .venv/bin
ENV      := .venv/ready
CHAPTERS := $(patsubst book/%.ipynb,%,$(wildcard book/*.ipynb))
EXECUTED := $(CHAPTERS:%=_build/executed/$(EDITION)/%.ipynb)
SITE     := _build/html
ON_ALL_CORES := env -u MKL_NUM_THREADS -u OMP_NUM_THREADS -u OPENBLAS_NUM_THREADS
say       = @echo "==> $(1)"

.PHONY: help book test test-package test-chapters serve benchmark record address clean executed FORCE
.DELETE_ON_ERROR:

help:
	@echo "make book       build the book into $(SITE) (LRSCHED_EDITION=full for the full edition)"
	@echo "make test       lint, types, unit tests, and every notebook"
	@echo "make serve      open the built book at http://localhost:$(PORT)"
	@echo "make benchmark  measure what a schedule costs, and training side by side"
	@echo "make record     train the full edition and write its records (two hours on two cores)"
	@echo "make address URL=https://github.com/you/repository"
	@echo "                set the public address everywhere"
	@echo "make clean      remove all that was made"
	@echo "PYTHON=python3.12 chooses the Python that .venv is made from"

book: $(ENV)
	@$(MAKE) --no-print-directory -j$(JOBS) executed
	$(call say,building the pages ($(EDITION) edition))
	@rm -rf _build/site && mkdir -p _build/site
	@cp -R _config.yml _toc.yml book _build/site
	@cp $(EXECUTED) _build/site/book
	@$(BIN)/jupyter-book build _build/site -W -n --keep-going -q
	@rm -rf $(SITE) && mv _build/site/_build/html $(SITE)
	$(call say,checking the pages)
	@$(BIN)/pytest -q -n $(JOBS) tests/pages
	$(call say,the book is at $(SITE)/index.html; make serve opens it)

test: test-package test-chapters
	$(call say,all tests passed)

test-package: $(ENV)
	$(call say,lint)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	$(call say,types)
	@$(BIN)/mypy
	$(call say,unit tests and doctests)
	@$(BIN)/pytest -q -n $(JOBS) -m "not colab" --ignore=tests/pages

test-chapters: $(ENV)
	@$(MAKE) --no-print-directory -j$(JOBS) executed
	$(call say,every chapter as Colab runs it)
	@$(BIN)/pytest -q -n $(JOBS) -m colab tests/test_colab.py

serve:
	@test -f $(SITE)/index.html || $(MAKE) --no-print-directory book
	$(call say,http://localhost:$(PORT) (Ctrl-C stops))
	@(sleep 1; $(PYTHON) -m webbrowser http://localhost:$(PORT) >/dev/null 2>&1) & \
	exec $(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)

benchmark: $(ENV)
	@for script in benchmarks/*.py; do \
		echo "==> $$script"; $(ON_ALL_CORES) $(BIN)/python $$script || exit 1; done

# One process on all cores. Stopped and started again, it goes on where it was.
record: $(ENV)
	@$(ON_ALL_CORES) -u TQDM_DISABLE LRSCHED_EDITION=full LRSCHED_RECORD=_build/record \
		$(BIN)/python book/record.py $$(grep -l "lab\.experiment\|lab\.planned_sweep" book/*.ipynb)

address:
	@$(PYTHON) book/address.py set "$(URL)"

clean:
	rm -rf .venv _build
	find . -name __pycache__ -prune -exec rm -rf {} +

# One execution of a notebook serves as its test and as the source of its page.
executed: $(EXECUTED)

$(EXECUTED): _build/executed/$(EDITION)/%.ipynb: _build/inputs/%.txt | $(ENV)
	@$(BIN)/python book/execute.py book/$*.ipynb $@

# All that an executed notebook rests on, by content: this file changes only with it. Time
# stamps alone would miss a removed module or an older copy put back.
$(CHAPTERS:%=_build/inputs/%.txt): _build/inputs/%.txt: FORCE
	@mkdir -p $(@D)
	@find lrsched -type f ! -path '*/__pycache__/*' | LC_ALL=C sort \
		| xargs cksum book/$*.ipynb book/execute.py pyproject.toml requirements.txt > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Matplotlib builds its font cache on first use and says so on stderr: not in a chapter.
$(ENV): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one, as in make PYTHON=python3.12"; \
		exit 1; }
	$(call say,creating the environment .venv (once; several minutes))
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -r requirements.txt
	@$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import matplotlib.font_manager'
	@touch $@
