"""Reads the fields of the classes of options from the wheels of transformers, TRL and PEFT, without running any of their code.

python scripts/names/fields.py FOLDER    (a folder with one wheel of each) writes one JSON value to standard output.
"""

import ast
import json
import sys
import zipfile
from pathlib import Path

# Wheel, file in it, class there, and the class that users know it by.
CLASSES = [
    ("transformers", "transformers/training_args.py", "TrainingArguments", "TrainingArguments"),
    ("trl", "trl/trainer/base_config.py", "_BaseConfig", "SFTConfig"),
    ("trl", "trl/trainer/sft_config.py", "SFTConfig", "SFTConfig"),
    ("trl", "trl/scripts/utils.py", "ScriptArguments", "ScriptArguments"),
    ("trl", "trl/trainer/model_config.py", "ModelConfig", "ModelConfig"),
    ("peft", "peft/tuners/lora/config.py", "LoraConfig", "LoraConfig"),
    ("peft", "peft/config.py", "PeftConfig", "LoraConfig"),
    ("peft", "peft/config.py", "PeftConfigMixin", "LoraConfig"),
]

# What a factory of a default makes, as JSON; a configuration class of its own is written with nothing in it.
FACTORIES = {"list": [], "dict": {}, "LoraRuntimeConfig": {}}


def main() -> None:
    folder = Path(sys.argv[1])
    wheels = {path.name.split("-")[0]: path for path in sorted(folder.glob("*.whl"))}
    fields = {}
    for wheel, file, name, known in CLASSES:
        with zipfile.ZipFile(wheels[wheel]) as archive:
            tree = ast.parse(archive.read(file).decode())
        for field, kind, default in fields_of(tree, name):
            # A class that comes first says what its bases say as well; SFTConfig after its base says it again.
            if (known, field) not in fields or known == "SFTConfig":
                fields[known, field] = {"class": known, "name": field, "type": kind, "default": default}
    versions = {wheel: path.name.split("-")[1] for wheel, path in wheels.items()}
    json.dump({"versions": versions, "fields": list(fields.values())}, sys.stdout, indent=1)


def fields_of(tree: ast.Module, name: str):
    """Name, type and default of every field of a class, in their order."""
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    assigned = {}
    for node in body:
        # A default may be a name that is assigned above, and again under a condition: what the newest libraries have counts.
        for inner in ast.walk(node) if isinstance(node, (ast.Assign, ast.If)) else []:
            if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name) and isinstance(inner.value, ast.Constant):
                assigned[inner.targets[0].id] = inner.value.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, ast.unparse(node.annotation), default_of(node.value, assigned)


def default_of(value: ast.expr | None, assigned: dict):
    """The default as JSON; a field without one is an error, for each of these classes can be made of nothing."""
    if isinstance(value, ast.Call):
        keywords = {keyword.arg: keyword.value for keyword in value.keywords}
        if "default_factory" in keywords:
            return FACTORIES[ast.unparse(keywords["default_factory"])]
        value = keywords["default"]
    if isinstance(value, ast.Name):
        return assigned[value.id]
    return ast.literal_eval(value)


main()
