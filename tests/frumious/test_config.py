"""mirror.conf: bandersnatch's keys, and mistakes that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from frumious import config
from frumious.config import ConfigError

REPOSITORY = Path(__file__).parents[2]


def test_the_repository_s_own_mirror_conf_is_understood() -> None:
    read = config.load(REPOSITORY / "mirror.conf", {"FRUMIOUS_BUCKET": "bucket"})

    assert read.bucket == "bucket"
    assert read.diff_file == "mirrored-files"
    assert read.warnings == ()


def test_the_environment_stands_before_the_file() -> None:
    environment = {
        "FRUMIOUS_BUCKET": "theirs",
        "FRUMIOUS_PREFIX": "some/prefix",
        "FRUMIOUS_MASTER": "https://upstream.example/",
    }

    read = config.parse("[mirror]\ndirectory = /mine\n", environment)

    assert (read.bucket, read.prefix) == ("theirs", "some/prefix")
    assert read.master == "https://upstream.example"


def test_the_defaults_are_bandersnatch_s() -> None:
    read = config.parse("[mirror]\ndirectory = /bucket/prefix\n", {})

    assert (read.timeout, read.global_timeout, read.workers) == (10, 1800, 3)
    assert read.core_metadata
    assert not read.diff_file


def test_all_mistakes_are_told_at_once() -> None:
    text = """
[mirror]
directory = relative
master = http://upstream.example
timeout = soon
workers = 99
core-metadata = perhaps
diff-file = /elsewhere/file
storage-backend = floppy
[plugins]
enabled = allowlist_project mystery
[allowlist]
packages =
    six
    six six
"""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, {})

    said = str(caught.value)
    for mistake in (
        "[mirror] directory = 'relative'",
        "[mirror] master = 'http://upstream.example': http is refused unless allow-non-https",
        "[mirror] timeout = 'soon'",
        "[mirror] workers = '99'",
        "[mirror] core-metadata = 'perhaps': allowed are true and false",
        "[mirror] diff-file = '/elsewhere/file'",
        "[mirror] storage-backend = 'floppy': allowed: s3",
        "mystery: not known",
        "[allowlist] packages",
    ):
        assert mistake in said


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("workres = 3", "[mirror] workres is not known and has no effect; do you mean 'workers'?"),
        ("hash-index = true", "[mirror] hash-index has no effect yet"),
    ],
)
def test_a_key_without_effect_is_named(line: str, warning: str) -> None:
    assert config.parse(f"[mirror]\ndirectory = /b\n{line}\n", {}).warnings == (warning,)


def test_a_section_without_effect_is_named() -> None:
    read = config.parse("[mirror]\ndirectory = /b\n[swift]\nusername = me\n", {})

    assert read.warnings == ("[swift] is not known and has no effect",)


def test_old_keys_are_tolerated_in_silence() -> None:
    text = "[mirror]\ndirectory = /b\ndelete-packages = true\napi-method = json\n"

    assert config.parse(text, {}).warnings == ()


def test_a_percent_sign_is_a_character() -> None:
    text = "[mirror]\ndirectory = /b\nroot_uri = https://files.example/a%20b\n"

    assert config.parse(text, {}).root_uri == "https://files.example/a%20b"


def test_references_to_other_options_are_resolved() -> None:
    text = "[mirror]\ndirectory = /b/c\ndiff-file = {{mirror_directory}}/diff/\n"

    assert config.parse(text, {}).diff_file == "diff/mirrored-files"


def test_a_reference_to_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="mirror_nothing"):
        config.parse("[mirror]\ndirectory = /b\ndiff-file = {{mirror_nothing}}\n", {})


def test_a_missing_directory_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="directory is missing"):
        config.parse("[mirror]\n", {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.conf"):
        config.load(tmp_path / "nowhere.conf", {})


def test_what_is_no_ini_file_is_said() -> None:
    with pytest.raises(ConfigError, match="not an INI file"):
        config.parse("directory = /b\n", {})


def test_secrets_are_not_shown() -> None:
    text = "[mirror]\ndirectory = /b\n[s3]\naws_secret_access_key = hush\n"

    assert "hush" not in repr(config.parse(text, {}))


def test_the_fingerprint_follows_what_shapes_pages_and_nothing_else() -> None:
    def fingerprint(lines: str) -> str:
        return config.parse(f"[mirror]\ndirectory = /b\n{lines}\n", {}).pages_fingerprint

    assert fingerprint("workers = 5") == fingerprint("")
    assert fingerprint("root_uri = https://files.example") != fingerprint("")
