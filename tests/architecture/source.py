"""The package's source, as the architecture tests read it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "schedora"
TORTURE = ROOT / "src" / "schedora_torture"
LAYERS = ("domain", "diagnosis", "application", "adapters", "entrypoints")


def modules(under: str = "") -> list[Path]:
    """Those of one folder of the engine; of the engine and its torture, where none is named."""
    return sorted(
        path for top in ([PACKAGE / under] if under else [PACKAGE, TORTURE]) for path in top.rglob("*.py")
    )


RULES = [path for layer in ("domain", "diagnosis") for path in modules(layer) if path.name != "__init__.py"]


def name_of(path: Path) -> str:
    """``schedora.domain.job`` for the file that holds it."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module)):
                yield module
