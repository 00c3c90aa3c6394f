# make help  lists what can be made. All of it goes into .venv and _build.

PYTHON  ?= python3
PORT    ?= 8000
JOBS    ?= 2

# Notebooks run in a folder of their own: a relative path would not be found from there.
ifdef LRSCHED_DATA_DIR
export LRSCHED_DATA_DIR := $(abspath $(LRSCHED_DATA_DIR))
endif

# Pages are of the quick edition, whatever the reader's shell says; make record trains the full one.
export LRSCHED_EDITION := quick
# Two notebooks run at a time; one thread each makes training repeat bit for bit.
export MKL_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export TF_NUM_INTEROP_THREADS := 1
export TF_NUM_INTRAOP_THREADS := 1
# Keep TensorFlow's log, progress bars and the search for a GPU off the pages, and the reader's
# own settings out of the runs.
export TF_CPP_MIN_LOG_LEVEL := 3
export TQDM_DISABLE := 1
export PYTHONWARNINGS := ignore:CUDA initialization:UserWarning,ignore:Can't initialize NVML:UserWarning
export KERAS_BACKEND := tensorflow
export JUPYTER_PREFER_ENV_PATH := 1

BIN      := .venv/bin
ENV      := .venv/ready
CHAPTERS := $(patsubst book/%.ipynb,%,$(wildcard book/*.ipynb))
EXECUTED := $(CHAPTERS:%=_build/executed/%.ipynb)
WHEEL    := _build/wheel/ready
SITE     := _build/html
ON_ALL_CORES := env -u MKL_NUM_THREADS -u OMP_NUM_THREADS -u OPENBLAS_NUM_THREADS
say       = @echo "==> $(1)"

.PHONY: help book pdf test test-package test-book test-thorough serve benchmark house reading record address clean \
        executed pages FORCE
.DELETE_ON_ERROR:

help:
	@echo "make book           run every notebook and build the book into $(SITE)"
	@echo "make pdf            print the whole book into one PDF (needs Chromium)"
	@echo "make test           lint, types, unit tests, every notebook, and the built pages"
	@echo "make test-thorough  the tests that draw their inputs, with many more of them, at random"
	@echo "make serve          open the built book at http://localhost:$(PORT)"
	@echo "make benchmark      measure what a schedule costs, and training side by side"
	@echo "make house          count code lines, long functions, private names; draw the imports"
	@echo "make reading        count the words and the code of each page, and to the answers of questions"
	@echo "make record         train at full size and write the records (hours on two cores);"
	@echo "                    NAME=warmup-adam measures that one alone; GROW=1 trains only what"
	@echo "                    a record lacks"
	@echo "make address URL=https://github.com/you/repository"
	@echo "                    set the public address everywhere"
	@echo "make clean          remove all that was made"
	@echo "PYTHON=python3.12 chooses the Python that .venv is made from, JOBS=4 what runs at once"

book: $(ENV)
	@$(MAKE) --no-print-directory -j$(JOBS) executed
	@$(MAKE) --no-print-directory pages
	$(call say,the book is at $(SITE)/index.html; make serve opens it)

pdf: book
	@$(BIN)/python book/pdf.py

test: test-package test-book
	$(call say,all tests passed)

test-package: $(ENV)
	$(call say,lint)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	$(call say,types)
	@$(BIN)/mypy
	$(call say,unit tests and doctests)
	@$(BIN)/pytest -q -n $(JOBS) --ignore=tests/pages

test-book: $(ENV)
	@$(MAKE) --no-print-directory -j$(JOBS) executed
	@$(MAKE) --no-print-directory pages
	$(call say,checking the pages)
	@$(BIN)/pytest -q -n $(JOBS) tests/pages

test-thorough: $(ENV)
	@HYPOTHESIS_PROFILE=thorough $(BIN)/pytest -q -n $(JOBS) -m hypothesis --ignore=tests/pages

serve:
	@test -f $(SITE)/index.html || $(MAKE) --no-print-directory book
	$(call say,http://localhost:$(PORT) (Ctrl-C stops))
	@(sleep 1; $(PYTHON) -m webbrowser http://localhost:$(PORT) >/dev/null 2>&1) & \
	exec $(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)

benchmark: $(ENV)
	@for script in benchmarks/*.py; do \
		echo "==> $$script"; $(ON_ALL_CORES) $(BIN)/python $$script || exit 1; done

house: $(ENV)
	@$(BIN)/python tests/house.py

reading: $(ENV)
	@$(BIN)/python book/reading.py
	@$(BIN)/python book/questions.py

# Processes of one thread each: results do not depend on the number of cores. Stopped and started
# again, they go on where they were.
record: $(ENV)
	@env -u TQDM_DISABLE LRSCHED_EDITION=full LRSCHED_RECORD=_build/record LRSCHED_RECORD_GROW=$(GROW) \
		$(BIN)/python book/record.py --jobs $(JOBS) $(NAME)

address:
	@$(PYTHON) book/address.py set "$(URL)"

clean:
	rm -rf .venv _build
	find . -name __pycache__ -prune -exec rm -rf {} +

# One execution of a notebook is its test, the source of its page, and the proof that it runs
# on Colab.
executed: $(EXECUTED)

$(EXECUTED): _build/executed/%.ipynb: _build/inputs/%.txt $(WHEEL) | $(ENV)
	@$(BIN)/python book/execute.py book/$*.ipynb $(@D) $(dir $(WHEEL))*.whl

$(WHEEL): _build/inputs/wheel.txt | $(ENV)
	@rm -rf $(@D)
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir=$(@D) .
	@touch $@

pages: $(SITE)/index.html

$(SITE)/index.html: _build/inputs/pages.txt | $(ENV)
	$(call say,building the pages)
	@rm -rf _build/site && mkdir -p _build/site
	@cp -R _config.yml _toc.yml book _build/site
	@cp $(EXECUTED) _build/site/book
	@$(BIN)/jupyter-book build _build/site -W -n --keep-going -q
	@rm -rf $(SITE) && mv _build/site/_build/html $(SITE)

# All that a target rests on, by content: these files change only with it. Time stamps alone
# would miss a removed module or an older copy put back.
$(CHAPTERS:%=_build/inputs/%.txt): rests_on = book/$(*F).ipynb book/execute.py requirements.txt
_build/inputs/wheel.txt: rests_on = pyproject.toml lrsched
_build/inputs/pages.txt: rests_on = _config.yml _toc.yml requirements.txt book lrsched _build/executed
_build/inputs/%.txt: FORCE
	@mkdir -p $(@D)
	@find $(rests_on) -type f ! -path '*/__pycache__/*' | LC_ALL=C sort | xargs cksum > $@.new
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
