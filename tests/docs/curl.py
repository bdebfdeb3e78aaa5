"""A stand-in for curl where there is none: `-s`, `-X METHOD`, `-H HEADER`, `-d BODY` or `-d @FILE`."""

import argparse
import sys
from pathlib import Path

import httpx


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("url")
    asked = parser.parse_args()
    headers = dict(header.split(": ", 1) for header in asked.headers)
    body = asked.body
    if body is not None and body.startswith("@"):
        body = Path(body[1:]).read_text(encoding="utf-8")
    method = asked.method or ("GET" if body is None else "POST")
    answer = httpx.request(method, asked.url, headers=headers, content=body, timeout=90)
    sys.stdout.buffer.write(answer.content)


if __name__ == "__main__":
    main()
