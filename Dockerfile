# One image for every process of the shop; its command says which. Alone it is the whole shop with a server of its own:
#   docker run --rm -p 127.0.0.1:8080:8080 -e OPERATOR_TOKEN=$(openssl rand -hex 32) sagastream-shop
# Each RUN line is a script that the tests run too (tests/deploy/test_image.py).

# The Python and the Debian the tests run on.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.lock ./
COPY deploy/install.sh deploy/
RUN ["deploy/install.sh", "/opt/venv"]
COPY . .
RUN ["deploy/verify.sh", "/opt/venv"]

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
RUN ["deploy/data-dir.sh", "/data", "10001"]
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 DATA_DIR=/data LOG_FORMAT=json
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=5 CMD ["python", "deploy/healthcheck.py"]
ENTRYPOINT ["python", "-m", "sagastream.cli"]
CMD ["dev"]
