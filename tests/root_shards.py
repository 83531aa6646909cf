"""Reads a root index in shards as docs/serving/README.md describes it, without Frumious."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FOLDER = "web/simple-shards/"
HEAD = f"{FOLDER}head.json"
ROOT = "web/simple/index.v1_json"
NUMBERS = {1: 16, 2: 256, 3: 4096}


def shard_keys(keys: Iterable[str]) -> list[str]:
    return sorted(key for key in keys if key.startswith(FOLDER))


def problems(objects: Mapping[Any, bytes], number: int) -> list[str]:
    """Return what is wrong with the shards of a root index; `objects` are all that is stored."""
    root = json.loads(objects[ROOT])
    found = shard_keys(objects)
    if not number:
        return [f"{key} is left" for key in found]
    if HEAD not in found:
        return ["there is no head"]
    head = json.loads(objects[HEAD])
    digits = next(digits for digits, each in NUMBERS.items() if each == number)
    names = [f"{each:0{digits}x}" for each in range(number)]
    wrong = {*found} ^ {HEAD, *(f"{FOLDER}{name}.json" for name in names)}
    if wrong:
        return [f"{key} is missing or superfluous" for key in sorted(wrong)]
    texts: list[str] = []
    listed: list[dict[str, Any]] = []
    for name in names:
        shard = json.loads(objects[f"{FOLDER}{name}.json"])
        texts += _problems_of_shard(name, shard)
        listed += shard["projects"]
    if sorted(listed, key=lambda each: normalized(each["name"])) != root["projects"]:
        texts.append(f"the shards list {listed}, and the root index {root['projects']}")
    expected = {"digits": digits, "serial": root["meta"].get("_last-serial"), "version": 1}
    if head != {**expected, "projects": len(root["projects"])}:
        texts.append(f"the head is {head}, with {len(root['projects'])} projects and {expected}")
    return texts


def _problems_of_shard(name: str, shard: dict[str, Any]) -> Iterator[str]:
    projects = [normalized(each["name"]) for each in shard["projects"]]
    if projects != sorted(projects):
        yield f"the shard {name} is not sorted"
    if any(digest(project)[: len(name)] != name for project in projects):
        yield f"the shard {name} lists projects of others"
    if shard["meta"] != {"api-version": "1.4"}:
        yield f"the shard {name} has the meta {shard['meta']}"


def found_in_shards(url: str, project: str) -> list[dict[str, Any]]:
    """Run the program of docs/serving/README.md; return what it prints."""
    page = (CHECKOUT / "docs/serving/README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program = program.replace("https://mirror.example/", url.rstrip("/") + "/")
    program = program.replace('"sampleproject"', repr(project))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: list[dict[str, Any]] = ast.literal_eval(done.stdout)
    return found


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
