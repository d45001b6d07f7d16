# Two commands do everything: `make dataset` and `make test`. Both set up `.venv` first.
PYTHON ?= python3
TORCH ?= torch==2.13.0
SOURCE ?= samples/people
OUT ?= build/shhq-hs
WORKERS ?= auto
ARGS ?=
TINY ?= build/train-tiny
DEMO ?= build/train-demo
# Packages that only rendering needs, apart from .venv, and MakeHuman's data: samples/README.md says how to get them.
RENDERER ?= DEV
MAKEHUMAN ?= package
THEIRS ?= AniPortraitGAN
VIDEOS ?= build/authors
URL ?=

VENV := .venv
BIN := $(VENV)/bin
SHHQ := $(BIN)/shhq-hs
SETUP := $(VENV)/.ready
OPENCV := 4.11.0.86

# One torch thread a process and no spinning: parallelism is processes (5-17x on busy cores).
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help

.PHONY: force help setup dataset accuracy numbers train-tiny train-demo test test-all lint format bench check-gpu bench-scale lifter authors-examples docs docs-check site notebook dist clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo
	@echo "  variables: SOURCE=$(SOURCE)  OUT=$(OUT)  WORKERS=$(WORKERS)  TORCH=$(TORCH)  PYTHON=$(PYTHON)  ARGS='--set stage.key=value'"

setup: $(SETUP) ## Make .venv with everything in it (TORCH=<requirement> chooses another torch)

# Nothing is installed before this Python, the disk and the network were looked at; who has it all may be offline.
GOAL := $(or $(firstword $(MAKECMDGOALS)),setup)
CHECK := tools/before_setup.py

# The requirement that the environment was made for; another TORCH= changes it and sets up again.
$(VENV)/.torch: force
	@test -e $(SETUP) -a -x $(BIN)/python || { python=$(PYTHON); test ! -x $(BIN)/python || python=$(BIN)/python; \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null || \
	    { echo "'$$python' is no Python 3 that runs here; name one that does: make $(GOAL) PYTHON=python3.11" >&2; exit 1; }; \
	  "$$python" $(CHECK) $(GOAL); }
	@test -x $(BIN)/python || { echo "set-up 1/4: virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); } || \
	  { rm -rf $(VENV); echo "No virtual environment: '$(PYTHON) -m venv' failed. Name a Python 3.11 or 3.12 that has venv: make $(GOAL) PYTHON=python3.11" >&2; exit 1; }
	@echo '$(TORCH)' | cmp -s - $@ || echo '$(TORCH)' > $@

# $(call step,what is done,command): one line; what the command says only when it fails, and whether that was the network.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
comma := ,
define step
	@echo 'set-up $(1)'
	@$(2) > $(VENV)/set-up.log 2>&1 || { tail -n 25 $(VENV)/set-up.log >&2; \
	  ! $(BIN)/python $(CHECK) network $(GOAL) || echo 'set-up failed; all of it: $(VENV)/set-up.log; to try again: make $(GOAL)' >&2; exit 1; }
endef

$(SETUP): pyproject.toml constraints.txt $(VENV)/.torch
	$(call step,2/4: $(TORCH),$(INSTALL) 'setuptools>=77$(comma)<81' wheel '$(TORCH)')
	@cp constraints.txt $(VENV)/constraints.txt
	@$(BIN)/python -c "import importlib.metadata as m; print('torch==' + m.version('torch').split('+')[0])" >> $(VENV)/constraints.txt
	$(call step,3/4: shhq-hs and the other packages; a minute or two,PIP_CONSTRAINT=$(CURDIR)/$(VENV)/constraints.txt $(INSTALL) --no-build-isolation -e '.[realesrgan$(comma)smplx$(comma)face-alignment$(comma)dev]')
	@# A machine without OpenGL libraries cannot load opencv's window code: take the same version without it.
	$(call step,4/4: OpenCV,{ $(BIN)/python -c 'import cv2' || $(INSTALL) --force-reinstall --no-deps opencv-contrib-python-headless==$(OPENCV); })
	@echo 'set-up done'
	@touch $@

dataset: $(SETUP) ## Build the data set: SOURCE (default: the shipped samples) -> OUT
	$(SHHQ) run '$(SOURCE)' --out '$(OUT)' --workers $(WORKERS) $(ARGS)

accuracy: dataset ## Labels of the sample build against truth; lifter, EFT and MAP on samples and made-up people; tracking
	$(SHHQ) accuracy '$(OUT)' --truth samples/truth --clip samples/clip --json build/accuracy.json

# Only deliberately: what this writes is compared with README by a test.
numbers: accuracy ## Measure again what README says of the labels
	$(BIN)/python -m tools.docs.measured_numbers --keep accuracy=build/accuracy.json

# Two processes: small pictures keep one thread busy, not two.
TWO := $(BIN)/torchrun --standalone --nproc-per-node 2 --no-python
train-tiny: $(SETUP) ## Go on training the shipped people on the shipped samples, both stages (minutes on two cores)
	$(SHHQ) run samples/people --out '$(TINY)/data' --workers $(WORKERS) --set superres.model=span
	$(TWO) $(SHHQ) train --data '$(TINY)/data' --preset tiny-demo --from demo --out '$(TINY)/stage1' --every 160
	$(TWO) $(SHHQ) train --data '$(TINY)/data' --preset tiny-demo-stage2 --from '$(TINY)/stage1' --out '$(TINY)/stage2' --every 40

train-demo: $(SETUP) ## Make the shipped people again: render 3,000, train both stages, pack (hours; resumable)
	PYTHONPATH='$(RENDERER)' $(BIN)/python -m tools.render.training_people --makehuman '$(MAKEHUMAN)' --out '$(DEMO)/people' --seed 1 --count 3000 --workers 2
	$(TWO) $(SHHQ) train --data '$(DEMO)/people' --preset demo --out '$(DEMO)/stage1' --micro 8
	$(TWO) $(SHHQ) train --data '$(DEMO)/people' --preset demo-stage2 --from '$(DEMO)/stage1' --out '$(DEMO)/stage2'
	$(BIN)/python -m tools.standins.pack_demo '$(DEMO)/stage1' '$(DEMO)/stage2' --data '$(DEMO)/people' --to '$(DEMO)/demo.pt'

lint: $(SETUP) ## Ruff, mypy, spelling, and the walls of the house: layers, circles, names, folder sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/codespell -D - -D tools/house_words.txt
	$(BIN)/python -m tools.walls

format: $(SETUP) ## Let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint ## Lint, type-check and test (what CI runs)
	$(BIN)/python -m pytest -n 2

test-all: lint ## The same with the slow tests
	$(BIN)/python -m pytest -n 2 -m ''

bench: $(SETUP) ## Measure speed (processor time, shares, fits by method); AGAINST=REF: beside another version. Never a test
	$(BIN)/python -m tools.bench.stage_costs --json build/bench.json
	$(if $(AGAINST),$(BIN)/python -m tools.bench.stage_ratios $(AGAINST) --json build/bench-ratios.json)
	$(BIN)/python -m tools.bench.superres_speed --json build/bench-superres.json
	$(BIN)/python -m tools.bench.generator_speed

# On a machine without a GPU everything runs at tiny sizes: whether it works, not how fast.
check-gpu: $(SETUP) ## Try everything on the GPU, in 8 minutes at most; build/gpu-check.json and .md (ARGS='--micro 4')
	$(BIN)/python -m tools.gpu_check --json build/gpu-check.json $(ARGS)

bench-scale: $(SETUP) ## Measure the machinery at 40,000 rows and 1,000 people through all stages (half an hour)
	$(BIN)/python -m tools.scale.all_scales --json build/bench-scale.json

lifter: $(SETUP) ## Train the key-point lifter again (minutes)
	$(SHHQ) train-lifter

# Where the authors put their files; SMPL_NEUTRAL.pkl lies in the assets folder.
AUTHORS := $(SHHQ) animate --checkpoint '$(THEIRS)/ckpts/sshq512.pt' --priors '$(THEIRS)/sampler_npy' \
  --nearest '$(THEIRS)/smpl_models/valid_smpl_knn_index.npy' --seeds 42
KEYS := $(THEIRS)/keyframes
VIDEO := $(KEYS)/real_video_examples/sample1
authors-examples: $(SETUP) ## The three examples of the authors' README, from their files: THEIRS (their checkout) -> VIDEOS
	$(AUTHORS) --exp-path '$(KEYS)/expression.npy' --n-interval 30 --fps 30 --out '$(VIDEOS)/expressions'
	$(AUTHORS) --pose-path '$(KEYS)/pose.npy' --n-interval 30 --fps 30 --out '$(VIDEOS)/poses'
	$(AUTHORS) --exp-path '$(VIDEO)/expression.npy' --pose-path '$(VIDEO)/joint_eulers.npy' \
	  --cam-path '$(VIDEO)/camera_pose.npy' --n-interval 1 --fps 12.5 --out '$(VIDEOS)/real-video'

docs: $(SETUP) ## Write docs/reference, the diagram and the measured numbers of README again
	$(BIN)/python -m tools.docs.reference
	$(BIN)/python -m tools.docs.diagram
	$(BIN)/python -m tools.docs.measured_numbers

docs-check: $(SETUP) ## Run the commands of README and docs as written, in a temporary folder (long: it trains)
	$(BIN)/python -m tools.docs.docs_check README.md docs/*.md docs/guides/*.md

site: $(SETUP) ## Make the documentation's pages, build/site/index.html; a link that leads nowhere is an error
	@test -x $(BIN)/mkdocs || PIP_CONSTRAINT=$(CURDIR)/$(VENV)/constraints.txt $(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e '.[docs]'
	$(BIN)/python -m tools.docs.site build/docs
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

notebook: $(SETUP) ## Run docs/notebook.ipynb and keep what it shows
	$(BIN)/python -m tools.docs.notebook

# URL: where people see this repository; README.md's links and pictures lead there from a page of packages.
dist: $(SETUP) ## Wheel and sdist for others, in dist/ (URL=https://HOST/OWNER/shhq-hs)
	$(BIN)/python -m tools.release --url '$(URL)'

clean: ## Remove build outputs (never your photos, never .venv)
	rm -rf build dist *.egg-info
