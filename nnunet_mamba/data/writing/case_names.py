"""Names of cases that nnU-Net cannot hold, or that two cases share on some file system."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.problems import Problem, same_name

# nnU-Net stores the preprocessed label of case "x" as "x_seg.b2nd", beside the image "x.b2nd".
LABEL_SUFFIX = "_seg"
# A file system holds 255 bytes; "_0000.nii.gz" and the beginning of a temporary file's name come to 32 at most.
LONGEST_NAME = 220  # bytes


def name_problems(cases: Sequence[Case]) -> list[Problem]:
    """Return what is wrong with the names of cases; no file is read.

    Dots, spaces, brackets, four digits at the end and other signs are right for nnU-Net (tried with 2.8.1).

    Args:
        cases: with unique identifiers.
    """
    sharing: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        sharing[same_name(case.identifier)].append(case)
    problems = [
        Problem(case.identifier, f"{text}; rename its files, or give links to them other names", case.channels[0])
        for case in cases
        if (text := _fault(case, sharing))
    ]
    for first, *others in sharing.values():
        text = (
            f"called as {first.identifier} but for the case of letters or the writing of accents, which macOS and "
            "Windows hold to be the same; rename one of them"
        )
        problems += [Problem(other.identifier, text, other.channels[0]) for other in others]
    return problems


def _fault(case: Case, names: Collection[str]) -> str:
    """Return what is wrong with one name, "" if nothing is.

    Args:
        case: the one to look at.
        names: of all cases, as ``same_name`` returns them.
    """
    name = case.identifier
    folded = same_name(name)
    if case.is_training and name.endswith(LABEL_SUFFIX):
        return (
            f"its name ends with {LABEL_SUFFIX}, and nnU-Net takes preprocessed files that end so for labels, so it "
            "would train without this case, or fail"
        )
    if case.is_training and folded.endswith(LABEL_SUFFIX) and folded.removesuffix(LABEL_SUFFIX) in names:
        return "nnU-Net stores the label of another case under this name, where letter case does not count"
    try:
        n_bytes = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "its name is not UTF-8, and lists of cases are"
    if controls := sorted({f"U+{ord(sign):04X}" for sign in name if unicodedata.category(sign) == "Cc"}):
        return f"its name holds a line break or another control character ({', '.join(controls)})"
    if name.startswith("."):
        return "its name starts with a dot, so its files would be hidden and passed over"
    if n_bytes > LONGEST_NAME:
        return f"its name has {n_bytes} bytes, expected {LONGEST_NAME} at most, which leaves room for file endings"
    return ""
