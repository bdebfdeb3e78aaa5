"""A stand-in for curl where there is none: `-s`, `-i`, `-X METHOD`, `-H HEADER`, `-d BODY`, `--json BODY`."""

import argparse
import sys

import httpx


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("--json", dest="document")
    parser.add_argument("url")
    asked = parser.parse_args()
    headers = dict(header.split(": ", 1) for header in asked.headers)
    body = asked.body
    if asked.document is not None:
        body = asked.document
        headers |= {"Content-Type": "application/json", "Accept": "application/json"}
    method = asked.method or ("GET" if body is None else "POST")
    answer = httpx.request(method, asked.url, headers=headers, content=body, timeout=90)
    if asked.i:
        print(f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}")
        for name, value in answer.headers.items():
            print(f"{name}: {value}")
        print(flush=True)
    sys.stdout.buffer.write(answer.content)


if __name__ == "__main__":
    main()
