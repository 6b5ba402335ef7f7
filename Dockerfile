FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1
WORKDIR /build
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN UV_PROJECT_ENVIRONMENT=/app uv sync --locked --no-dev --all-extras --no-install-project
COPY audit_service audit_service
COPY migrations migrations
COPY CHANGELOG.md SECURITY.md ./
COPY docs docs
RUN UV_PROJECT_ENVIRONMENT=/app uv sync --locked --no-dev --all-extras --no-editable

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home audit && chmod 700 /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 AUDIT_HOST=0.0.0.0 AUDIT_DATA_DIR=/data
USER audit
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"AUDIT_PORT\", 8000)}/healthz', timeout=2)"]
CMD ["audit-service", "serve"]
