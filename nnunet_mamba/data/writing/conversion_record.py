"""What a converted folder was made from and how, so that another run can tell whether it may continue there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nnunet_mamba import __version__
from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.sources.unpacked_names import name_as_packed
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object

RECORD_FILE = "nnunet_mamba_conversion.json"
# Raise it when the same sources and options would give other pixels, or the file another meaning.
RECORD_REVISION = 2


@dataclass(frozen=True, kw_only=True)
class ConversionRecord:
    """Converter, options and source files of a conversion.

    Two records are equal if their converter, revision, options and the names and sizes of all source files are. The
    folders of the sources and the release that wrote the record may change between two runs.

    Args:
        converter: name of the conversion script.
        options: everything that decides the bytes written; JSON values.
        cases: per identifier: part ("training" or "test"), files (names), bytes (their sizes).
        sources: the folders that the files are in.
        label_folders: for each case with a mask, which of ``sources`` holds it; it is the last of the case's files.
            Names and sizes alone may fit several files.
        revision: see RECORD_REVISION.
        skipped: cases that were left out, and why.
        channel_tokens: what tells the files of a case's channels apart in their names, in the order of the channels;
            empty where an image is one file. New images are found by it.
        groups: patient or lesion by identifier, of the cases that have one. Scores are resampled by it.
    """

    converter: str
    options: Mapping[str, Any]
    cases: Mapping[str, Mapping[str, Any]]
    sources: Sequence[str] = field(default=(), compare=False)
    label_folders: Mapping[str, int] = field(default_factory=dict, compare=False)
    revision: int = RECORD_REVISION
    skipped: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    channel_tokens: Sequence[str] = field(default=(), compare=False)
    groups: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def of(
        cls, converter: str, options: Mapping[str, Any], cases: Sequence[Case], *, channel_tokens: Sequence[str] = ()
    ) -> "ConversionRecord":
        """Return the record of a conversion.

        Args:
            converter: name of the conversion script.
            options: everything that decides the bytes written; JSON values.
            cases: all cases.
            channel_tokens: of images that are spread over files.
        """
        # The first mask comes last, where restoring/ looks for it.
        files = {case.identifier: [*case.channels, *reversed(case.masks)] for case in cases}
        folders = {path.parent for paths in files.values() for path in paths}
        resolved = {folder: name_as_packed(str(folder.resolve())) for folder in folders}
        sources = sorted(set(resolved.values()))
        place = {source: index for index, source in enumerate(sources)}
        return cls(
            converter=converter,
            options=dict(options),
            cases={
                case.identifier: {
                    "part": "training" if case.is_training else "test",
                    "files": [path.name for path in files[case.identifier]],
                    "bytes": [_size(path) for path in files[case.identifier]],
                }
                for case in cases
            },
            sources=sources,
            label_folders={case.identifier: place[resolved[case.mask.parent]] for case in cases if case.mask},
            channel_tokens=tuple(channel_tokens),
            groups={case.identifier: case.group for case in cases if case.group is not None},
        )

    def without(self, skipped: Mapping[str, tuple[str, ...]]) -> "ConversionRecord":
        """Return the record that leaves cases out.

        Args:
            skipped: their identifiers, and why.
        """
        kept = {identifier: case for identifier, case in self.cases.items() if identifier not in skipped}
        return replace(self, cases=kept, skipped=dict(skipped))

    def for_split(self, split: str, cases: Sequence[Case]) -> "ConversionRecord":
        """Return the record with what a split makes of the cases.

        Args:
            split: its name.
            cases: the same ones, as training and test cases of the split.
        """
        parts = {case.identifier: "training" if case.is_training else "test" for case in cases}
        entries = {name: {**case, "part": parts.get(name, case["part"])} for name, case in self.cases.items()}
        return replace(self, options={**self.options, "split": split}, cases=entries)

    def differences(self, stored: "ConversionRecord") -> list[str]:
        """Return in words how a folder's record differs from this one; nothing if a run may continue there.

        Args:
            stored: the record found in the folder.
        """
        found = [
            f"{name}: the folder has {there}, this run has {here}"
            for name, there, here in (
                ("converter", stored.converter, self.converter),
                ("revision", stored.revision, self.revision),
                *((key, stored.options.get(key), self.options.get(key)) for key in {**stored.options, **self.options}),
            )
            if there != here
        ]
        gone = sorted(stored.cases.keys() - self.cases.keys())
        added = sorted(self.cases.keys() - stored.cases.keys())
        changed = sorted(key for key in self.cases.keys() & stored.cases.keys() if self.cases[key] != stored.cases[key])
        for names, text in (
            (gone, "in the folder but not among the source files"),
            (added, "among the source files but not in the folder"),
            (changed, "made from other source files (name, size, or training instead of test)"),
        ):
            if names:
                found.append(f"cases {text}: {len(names)}, the first is {names[0]}")
        return found

    def write(self, folder: Path, sources: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the record into ``folder``, before any image.

        Args:
            folder: of the data set.
            sources: per identifier what to remember of its source, see ``CaseCheck``.
        """
        content = {
            "converter": self.converter,
            "nnunet_mamba": __version__,
            "revision": self.revision,
            "options": self.options,
            **({"channel_tokens": list(self.channel_tokens)} if self.channel_tokens else {}),
            "sources": self.sources,
            "skipped": {identifier: list(reasons) for identifier, reasons in self.skipped.items()},
            "cases": {
                key: {**case, **self._label_folder(key), **self._group(key), "source": dict(sources[key])}
                for key, case in self.cases.items()
            },
        }
        with replacing(folder / RECORD_FILE) as temporary, temporary.open("w", encoding="utf-8") as file:
            # Piece by piece: the text of ten thousand cases takes more memory than all else about them.
            json.dump(content, file, indent=1)
            file.write("\n")

    def _label_folder(self, identifier: str) -> dict[str, int]:
        return {"label_folder": self.label_folders[identifier]} if identifier in self.label_folders else {}

    def _group(self, identifier: str) -> dict[str, str]:
        return {"group": self.groups[identifier]} if identifier in self.groups else {}


def read_conversion_record(folder: Path) -> ConversionRecord | None:
    """Return the record stored in ``folder``, None if there is none.

    Args:
        folder: of a data set; it need not exist.

    Raises:
        ValueError: the file is there but is not a record.
    """
    path = folder / RECORD_FILE
    try:
        content = read_json_object(path, any_encoding=True)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{error}; delete {folder} and convert again") from error
    try:
        return ConversionRecord(
            converter=content["converter"],
            options=content["options"],
            cases={
                key: {name: case[name] for name in ("part", "files", "bytes")} for key, case in content["cases"].items()
            },
            sources=content["sources"],
            label_folders={
                key: case["label_folder"] for key, case in content["cases"].items() if "label_folder" in case
            },
            revision=content["revision"],
            skipped={identifier: tuple(reasons) for identifier, reasons in content["skipped"].items()},
            channel_tokens=tuple(content.get("channel_tokens", ())),
            groups={key: case["group"] for key, case in content["cases"].items() if "group" in case},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a conversion record ({error!r}); delete {folder} and convert again") from error


def _size(path: Path) -> int | None:
    """Return a file's size in bytes, None for one that the checks will report as unreadable."""
    try:
        return path.stat().st_size
    except OSError:
        return None
