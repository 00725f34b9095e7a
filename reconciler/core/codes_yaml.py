"""``E1xx``: what can be wrong with a file, or with its YAML, before anybody looks at what it declares."""

from __future__ import annotations

from reconciler.core.codes_examples import SMB, Explanation, on_smb

_NAME = "name: Example Dermatology North"
_TYPES = "appointment_types: [Procedure, Surgery]"


def _folder(code: str, title: str, cause: str, remedy: str, commands: str) -> Explanation:
    return Explanation(code, title, cause, remedy, good=SMB, commands=commands)


ENTRIES = (
    _folder(
        "E101",
        "not a regular file",
        "A pipe, socket or device has the name of a declaration. Opening one could wait for ever or act, so none is opened.",
        "Delete it, and put a file there.",
        "mkfifo example.yaml",
    ),
    _folder(
        "E102",
        "a link is not followed",
        "Whoever can change the folder could otherwise have any file of the machine read and its lines shown in a report.",
        "Put the file itself into the folder.",
        "ln -s /proc/self/environ example.yaml",
    ),
    _folder(
        "E103",
        "the file is too large",
        "A declaration is at most 1 MiB; a file holds one business.",
        "Look for what was pasted in by mistake.",
        "head -c 1100000 /dev/zero | tr '\\0' '#' > example.yaml",
    ),
    _folder(
        "E104",
        "the file or folder cannot be read",
        "The system refuses to open it: its permissions, a failing disk, or more than 32 folders inside each other.",
        "Correct the permissions, or move the file up.",
        "mkdir -p " + "/".join(["a"] * 34),
    ),
    _folder(
        "E105",
        "the file is not UTF-8",
        "Declarations are UTF-8; the place named is the first byte that is not.",
        "Save the file as UTF-8.",
        "printf 'name: caf\\351\\n' > example.yaml",
    ),
    on_smb(
        "E106",
        "a character that is not allowed",
        "Control characters, and invisible ones that change the direction of text or break lines only for some programs,"
        " make a reviewer see something else than the program reads.",
        "Delete the character.",
        (_NAME, 'name: "Example \\u202e North"'),
    ),
    on_smb(
        "E107",
        "this is not YAML",
        "The text breaks YAML's own rules at the place named. Nothing after it was read, so that more may follow.",
        "Check the indentation, quotes and brackets of this line and the one above.",
        (_NAME, "name: Example: North"),
    ),
    on_smb(
        "E108",
        "nested too deep",
        "More than 32 levels inside each other; a declaration needs six.",
        "Look for a bracket that is not closed.",
        (_TYPES, "appointment_types: " + "[" * 40 + "]" * 40),
    ),
    _folder(
        "E109",
        "too many values",
        "More than 200,000 values in one file.",
        "Look for what was pasted in by mistake.",
        "(printf 'a: ['; yes 1, | head -n 200001 | tr -d '\\n'; printf ']') > example.yaml",
    ),
    Explanation(
        "E110",
        "a second document",
        "A line `---` begins another document; one file declares one business.",
        "Move the second document to a file of its own.",
        SMB + "---\nversion: 1\n",
        SMB,
    ),
    on_smb(
        "E111",
        "a tag",
        "Tags (`!…`) make values of other kinds, which a declaration does not have.",
        "Delete the tag; put the value in quotes if it is text.",
        (_NAME, "name: !!str Example"),
    ),
    Explanation(
        "E112",
        "a directive",
        "A line that begins with `%` speaks to the YAML parser; a declaration needs none.",
        "Delete the line.",
        "%YAML 1.2\n---\n" + SMB,
        SMB,
    ),
    on_smb(
        "E113",
        "an anchor or alias",
        "With anchors and aliases a reader has to look elsewhere for a value, and a small file can stand for a huge one.",
        "Write the value out in each place.",
        (_TYPES, "appointment_types: &types [Procedure]\n  appointment_statuses: *types"),
    ),
    on_smb(
        "E114",
        "a merge key",
        "`<<` belongs to an old version of YAML and hides where a value comes from.",
        "Write the fields out.",
        (_TYPES, "<<: {appointment_types: [Procedure]}"),
    ),
    on_smb(
        "E115",
        "a key given twice",
        "Two equal keys in one place: it cannot be known which of them was meant.",
        "Keep one of the two.",
        (_NAME, f"{_NAME}\nname: Example Dermatology South"),
    ),
    on_smb(
        "E116",
        "a key that is not text",
        "Keys are the names of fields. A number, `true`, nothing, or a list cannot be one.",
        "Correct the key; a `:` may stand in the wrong place.",
        (_NAME, f"{_NAME}\n7: seven"),
    ),
    Explanation(
        "E117", "an empty file", "There is nothing in the file but white space and comments.", "Delete it.", "#\n", SMB
    ),
    _folder(
        "E118",
        "no declarations",
        "The declarations folder is missing, cannot be read, is reached through a link, or holds no `*.yaml` file.",
        "Check the setting `declarations` and the folder that you are in; `reconciler init` makes a first one.",
        "true",
    ),
    _folder(
        "E119",
        "the name does not end in .yaml",
        "Only `.yaml` and `.yml`, in small letters, are read; this file would be passed over silently.",
        "Rename the file.",
        "touch example.YAML",
    ),
    _folder(
        "E120",
        "the file's name cannot be a slug",
        "The name without `.yaml` is the slug of the business: small letters, digits and single hyphens. `run` is reserved.",
        "Rename the file; for a business that was applied before, add `moved`.",
        "printf 'version: 1\\n' > 'Example North.yaml'",
    ),
    Explanation(
        "E121",
        "the argument names no declaration",
        "A PATH given to a command is a file or folder of the declarations folder.",
        "Give such a path, or none for all.",
    ),
    _folder(
        "E122",
        "too many problems in one file",
        "After 1,000 problems the rest of the file is not told.",
        "Mend the first ones; they often have one cause.",
        "(echo 'a: 1'; yes 'a: 1' | head -n 1100) > example.yaml",
    ),
    Explanation(
        "E123",
        "two files have one slug",
        "The slug is the file's name without folder and ending, and names one business.",
        "Rename one of the files.",
        commands="mkdir -p a b && printf 'version: 1\\n' | tee a/example.yaml > b/example.yaml",
        good=SMB,
    ),
)
