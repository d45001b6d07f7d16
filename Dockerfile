# The program in an image: docs/install.md. CPU by default; BASE and TORCH_INDEX choose a CUDA one.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

# Ubuntu's CUDA bases bring no Python; Debian's python images bring theirs, which stands first on the path.
# libgl1 and libglib2.0-0: OpenCV and mediapipe load them, though no window is opened.
# Versions are those of the base.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libgl1 libegl1 libgles2 libglib2.0-0 python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

ENV VIRTUAL_ENV=/opt/shhq-hs PATH=/opt/shhq-hs/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv "$VIRTUAL_ENV"

ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# torch's version stands above.
# hadolint ignore=DL3013
RUN pip install 'setuptools>=77,<81' wheel && pip install "$TORCH" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}

ARG EXTRAS=
COPY . /src
RUN pip install --no-build-isolation --constraint /src/constraints.txt "/src$EXTRAS"

# Threads: parallelism is processes. Models of one's own: mount them at /assets.
ENV OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE SHHQ_HS_ASSETS=/assets HOME=/tmp
USER 1000
WORKDIR /tmp
ENTRYPOINT ["shhq-hs"]
CMD ["--help"]
