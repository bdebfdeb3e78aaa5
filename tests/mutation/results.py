"""What has become of each mutant, in the files that mutmut keeps beside them."""

from collections.abc import Callable, Iterator
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData

from tests.mutation.mutants import Mutant


class Results:
    """Of all mutants below a folder."""

    def __init__(self, folder: Path) -> None:
        self._file_of: dict[str, SourceFileMutationData] = {}
        self._changed: set[SourceFileMutationData] = set()
        for path in sorted(folder.rglob("*.meta")):
            one = SourceFileMutationData(path=path.with_suffix(""))
            one.meta_path = path
            one.load()
            self._file_of.update(dict.fromkeys(one.exit_code_by_key, one))

    def __iter__(self) -> Iterator[Mutant]:
        for name, file in self._file_of.items():
            yield Mutant.ended(name, file.exit_code_by_key[name])

    def note(self, name: str, exit_status: int, seconds: float = 0.0) -> None:
        file = self._file_of[name]
        file.exit_code_by_key[name] = exit_status
        file.durations_by_key[name] = seconds
        self._changed.add(file)

    def forget(self, those: Callable[[Mutant], bool]) -> None:
        """As if they had not been tried."""
        for one in filter(those, self):
            file = self._file_of[one.name]
            file.exit_code_by_key[one.name] = None
            self._changed.add(file)

    def save(self) -> None:
        """Nobody who breaks off finds half a file."""
        for file in list(self._changed):
            _replace(file)
            self._changed.remove(file)


def _replace(file: SourceFileMutationData) -> None:
    path = file.meta_path
    file.meta_path = path.with_suffix(".new")
    try:
        file.save()
        file.meta_path.replace(path)
    finally:
        file.meta_path = path
