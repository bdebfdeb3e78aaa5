# One image for every process; the command says which: api, worker, reaper, migrate.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/schedora \
 && /opt/schedora/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.13-slim
RUN useradd --system --create-home --home-dir /var/lib/schedora schedora
COPY --from=build /opt/schedora /opt/schedora
ENV PATH=/opt/schedora/bin:$PATH PYTHONUNBUFFERED=1 PYTHONPATH=/app
WORKDIR /app
USER schedora
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["schedora"]
CMD ["api", "--host", "0.0.0.0"]
