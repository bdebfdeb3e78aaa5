"""The first handler: `schedora up --app examples.hello:app`, then `python -m examples.hello`."""

from schedora import Schedora

app = Schedora()


@app.job("hello")
async def hello(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


def main() -> None:
    """Submit a greeting and wait for it."""
    with app:
        job = hello.submit_sync(name="world")
        print(app.wait_sync(job.job_id, timeout=30).result)


if __name__ == "__main__":
    main()
