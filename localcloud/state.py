"""Saves a bucket to a folder and loads it, because moto stores objects only in memory.

Bodies are files named by their sha256; `objects.json` maps keys to bodies and headers. It is
replaced last and atomically, so that an interrupted save does not damage the previous one.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentType", "Metadata")
CHUNK = 1024 * 1024


def save_bucket(s3: S3Client, bucket: str, folder: Path) -> None:
    """Write all objects of the bucket to the folder, replacing its content."""
    bodies = folder / "bodies"
    bodies.mkdir(parents=True, exist_ok=True)
    objects: dict[str, dict[str, Any]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            response = s3.get_object(Bucket=bucket, Key=item["Key"])
            headers = {name: value for name in HEADERS if (value := response.get(name))}
            digest = hashlib.sha256()
            with tempfile.NamedTemporaryFile(dir=bodies, delete=False) as body:
                for chunk in response["Body"].iter_chunks(CHUNK):
                    digest.update(chunk)
                    body.write(chunk)
            Path(body.name).replace(bodies / digest.hexdigest())
            objects[item["Key"]] = {"body": digest.hexdigest(), **headers}
    written = folder / "objects.json.new"
    written.write_text(json.dumps(objects, indent=1, sort_keys=True))
    written.replace(folder / "objects.json")
    needed = {entry["body"] for entry in objects.values()}
    for body_path in bodies.iterdir():
        if body_path.name not in needed:
            body_path.unlink()


def load_bucket(s3: S3Client, bucket: str, folder: Path) -> None:
    """Load into the bucket what `save_bucket` wrote to the folder, if anything."""
    index = folder / "objects.json"
    if not index.exists():
        return
    for key, entry in json.loads(index.read_text()).items():
        headers = {name: value for name, value in entry.items() if name in HEADERS}
        with (folder / "bodies" / entry["body"]).open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body, **headers)
