"""mirror.conf: bandersnatch's keys, and helpful errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.config.choices import Backend, CompareMethod, SimpleFormat
from frumious.config.loading import ConfigError

if TYPE_CHECKING:
    from frumious.config.settings import Config

REPOSITORY = Path(__file__).parents[3]


def s3(lines: str = "", *, mirror: str = "", environment: dict[str, str] | None = None) -> Config:
    """Return a configuration with lines of [s3] and of [mirror]."""
    return loading.parse(
        f"[mirror]\nstorage-backend = s3\ndirectory = /bucket/prefix\n{mirror}\n[s3]\n{lines}\n",
        environment or {},
    )


def folder(lines: str, environment: dict[str, str] | None = None) -> Config:
    """Return a folder's configuration with lines of [mirror]."""
    return loading.parse(f"[mirror]\ndirectory = /data/mirror\n{lines}\n", environment or {})


def test_the_repository_s_own_mirror_conf_is_understood() -> None:
    read = loading.load(REPOSITORY / "mirror.conf", {"FRUMIOUS_BUCKET": "bucket"})

    assert (read.backend, read.bucket) == (Backend.S3, "bucket")
    assert read.diff_file == "mirrored-files"
    assert read.warnings == ()


def test_the_environment_stands_before_the_file() -> None:
    environment = {
        "FRUMIOUS_BUCKET": "theirs",
        "FRUMIOUS_PREFIX": "some/prefix",
        "FRUMIOUS_MASTER": "https://upstream.example/",
    }

    read = loading.parse("[mirror]\ndirectory = /mine\n", environment)

    assert (read.backend, read.bucket, read.prefix) == (Backend.S3, "theirs", "some/prefix")
    assert read.master == "https://upstream.example"


def test_the_defaults_are_bandersnatch_s() -> None:
    read = folder("")

    assert read.backend is Backend.FILESYSTEM
    assert read.manage_permissions
    assert (read.verifiers, read.keep_index_versions, read.digest_name) == (3, 0, "sha256")
    assert read.simple_format is SimpleFormat.ALL
    assert read.compare_method is CompareMethod.HASH
    assert read.release_files
    assert (read.hash_index, read.cleanup, read.stop_on_error) == (False, False, False)
    assert read.proxy == ""
    assert (read.s3.max_attempts, read.s3.verify_concurrency) == (10, 50)
    assert (read.timeout, read.global_timeout) == (10, 1800)
    assert read.workers == 10, "more than bandersnatch's 3"
    assert read.core_metadata
    assert not read.diff_file


def test_every_key_of_bandersnatch_is_read() -> None:
    read = folder(
        "hash-index = true\nsimple-format = json\nrelease-files = false\ncompare-method = stat\n"
        "digest_name = md5\nkeep_index_versions = 4\ncleanup = true\nstop-on-error = true\n"
        "storage-filesystem-manage-permissions = false\nverifiers = 7\n"
        "proxy = socks5://proxy.example:1080\nlog-config = /etc/logging.conf\n"
    )

    assert read.hash_index
    assert read.simple_format is SimpleFormat.JSON
    assert not read.release_files
    assert read.compare_method is CompareMethod.STAT
    assert (read.digest_name, read.keep_index_versions, read.verifiers) == ("md5", 4, 7)
    assert read.cleanup
    assert read.stop_on_error
    assert not read.manage_permissions
    assert read.proxy == "socks5://proxy.example:1080"
    assert read.log_config == Path("/etc/logging.conf")
    assert read.warnings == ()


def test_without_files_the_pages_link_to_pypi_s() -> None:
    assert folder("release-files = false").root_uri == loading.PYPI_FILES
    assert folder("release-files = false\nroot_uri = https://a.example").root_uri == (
        "https://a.example"
    )
    assert folder("release-files = false\nmaster = https://a.example").root_uri == ""


@pytest.mark.parametrize(
    ("backend", "text", "directory", "bucket", "prefix"),
    [
        ("filesystem", "/data/pypi//mirror/", "/data/pypi/mirror", "", ""),
        ("S3", "/bucket", "/bucket", "bucket", ""),
        ("s3", "/bucket/some/prefix/", "/bucket/some/prefix", "bucket", "some/prefix"),
        ("swift", "/prefix", "/prefix", "", ""),
        ("swift", "/", "", "", ""),
    ],
)
def test_the_directory_is_what_the_storage_has(
    backend: str, text: str, directory: str, bucket: str, prefix: str
) -> None:
    login = "[swift]\nauth_url = https://a.example/auth/v1.0\nusername = me\npassword = x\n"
    lines = f"[mirror]\nstorage-backend = {backend}\ndirectory = {text}\n{login}"

    read = loading.parse(lines, {})

    assert read.directory == directory
    assert (read.bucket, read.prefix) == (bucket, prefix)


def test_all_mistakes_are_reported_at_once() -> None:
    text = """
[mirror]
directory = relative
master = http://upstream.example
timeout = soon
workers = 99
core-metadata = perhaps
diff-file = elsewhere
storage-backend = floppy
simple-format = XML
compare-method = guess
digest_name = crc32
keep_index_versions = -1
verifiers = 0
[s3]
addressing_style = crooked
signature_version = v9
max_attempts = many
role_arn = admin
aws_access_key_id = lonely
config_param_ServerSideEncription = AES256
config_param_ServerSideEncryption = ROT13
config_param_BucketKeyEnabled = perhaps
config_param_IfMatch = x
[plugins]
enabled = allowlist_project mystery
[allowlist]
packages =
    six
    six six
"""
    with pytest.raises(ConfigError) as caught:
        loading.parse(text, {})

    message = str(caught.value)
    for mistake in (
        "[mirror] directory = 'relative': must be the absolute path of a folder",
        "[mirror] master = 'http://upstream.example': http requires allow-non-https",
        "[mirror] timeout = 'soon'",
        "[mirror] workers = '99'",
        "[mirror] core-metadata = 'perhaps': must be true or false",
        "[mirror] diff-file = 'elsewhere'",
        "[mirror] storage-backend = 'floppy': must be one of filesystem, s3, swift",
        "[mirror] simple-format = 'XML': must be one of ALL, HTML, JSON",
        "[mirror] compare-method = 'guess': must be one of hash, stat",
        "[mirror] digest_name = 'crc32': must be one of ",
        "[mirror] keep_index_versions = '-1': must be a whole number of at least 0",
        "[mirror] verifiers = '0': must be a whole number of at least 1",
        "[s3] addressing_style = 'crooked': must be one of auto, path, virtual",
        "[s3] signature_version = 'v9': must be one of s3v4, s3",
        "[s3] max_attempts = 'many'",
        "[s3] role_arn = 'admin': must be arn:aws:iam::<account>:role/<name>",
        "[s3] aws_secret_access_key is missing",
        "has the parameter 'ServerSideEncription'; did you mean 'ServerSideEncryption'?",
        "[s3] config_param_ServerSideEncryption = 'ROT13': must be one of AES256",
        "[s3] config_param_BucketKeyEnabled = 'perhaps': must be true or false",
        "[s3] config_param_IfMatch = 'x': the mirror sets it itself",
        "mystery is unknown",
        "[allowlist] packages",
    ):
        assert mistake in message


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ("workres = 3", "[mirror] workres is unknown and has no effect; did you mean 'workers'?"),
        ("[swfit]\nusername = me", "[swfit] is unknown and has no effect; did you mean 'swift'?"),
        ("[nonsense]\na = b", "[nonsense] is unknown and has no effect"),
        (
            "[s3]\nregion = x",
            "[s3] region is unknown and has no effect; did you mean 'region_name'?",
        ),
    ],
)
def test_what_has_no_effect_is_named(lines: str, warning: str) -> None:
    assert folder(lines).warnings == (warning,)


def test_old_keys_are_tolerated_in_silence() -> None:
    text = "[mirror]\ndirectory = /b\ndelete-packages = true\napi-method = json\n"

    assert loading.parse(text, {}).warnings == ()


def test_a_percent_sign_is_a_character() -> None:
    text = "[mirror]\ndirectory = /b\nroot_uri = https://files.example/a%20b\n"

    assert loading.parse(text, {}).root_uri == "https://files.example/a%20b"


def test_references_to_other_options_are_resolved() -> None:
    read = folder("root_uri = https://{{latest_release_keep}}.example\n[latest_release]\nkeep = 3")

    assert folder("diff-file = {{mirror_directory}}/diff/").diff_file == "diff/mirrored-files"
    assert read.root_uri == "https://3.example"  # a section may have an underscore itself


def test_references_may_lead_to_references() -> None:
    lines = "diff-file = {{mirror_contact}}/x\ncontact = {{mirror_directory}}"

    assert folder(lines).diff_file == "x"


def test_references_in_a_circle_are_a_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        folder("contact = {{mirror_root_uri}}\nroot_uri = {{mirror_contact}}")

    way = "[mirror] contact -> [mirror] root_uri -> [mirror] contact"
    assert f"the references form a cycle: {way}" in str(caught.value)


def test_a_reference_to_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="mirror_nothing"):
        folder("diff-file = {{mirror_nothing}}")


def test_a_reference_to_a_secret_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="refers to a secret") as caught:
        folder("contact = {{s3_aws_secret_access_key}}\n[s3]\naws_secret_access_key = hush")

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "directory", "key"),
    [
        ("/bucket/prefix/diff/", None, "diff/mirrored-files"),
        ("/bucket/prefix/diff", None, "diff"),
        ("/bucket/diff", "/bucket", "diff"),
        ("", None, ""),
    ],
)
def test_the_diff_file_may_lie_anywhere_in_the_bucket(
    value: str, directory: str | None, key: str
) -> None:
    read = s3(mirror=f"diff-file = {value}")

    assert (read.diff_directory, read.diff_file) == (directory, key)


def test_the_diff_file_does_not_lie_in_another_bucket() -> None:
    with pytest.raises(ConfigError, match="must be an absolute path in the mirror's bucket"):
        s3(mirror="diff-file = /other/diff")


def test_the_diff_file_of_a_folder_may_lie_anywhere() -> None:
    read = folder("diff-file = /var/log/mirrored-files")

    assert (read.diff_directory, read.diff_file) == ("/var/log", "mirrored-files")


def test_a_missing_directory_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="directory is missing"):
        loading.parse("[mirror]\n", {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.conf"):
        loading.load(tmp_path / "nowhere.conf", {})


def test_what_is_no_ini_file_is_said() -> None:
    with pytest.raises(ConfigError, match="not an INI file"):
        loading.parse("directory = /b\n", {})


def test_secrets_are_not_shown() -> None:
    read = s3(
        "aws_access_key_id = hush\naws_secret_access_key = hush\naws_session_token = hush\n"
        "config_param_SSECustomerAlgorithm = AES256\nconfig_param_SSECustomerKey = hush\n",
        mirror="proxy = http://user:hush@proxy.example:3128",
    )

    assert "hush" not in repr(read)


def test_a_mistake_in_a_secret_does_not_tell_it() -> None:
    with pytest.raises(ConfigError) as caught:
        folder("proxy = gopher://user:hush@proxy.example:3128")
    with pytest.raises(ConfigError) as before_sections:
        loading.parse("aws_secret_access_key = hush\n", {})

    assert "[mirror] proxy = (not shown): must be" in str(caught.value)
    assert "hush" not in f"{caught.value} {before_sections.value}"


def test_the_parameters_of_s3_s_calls_are_kept_as_they_are_said() -> None:
    read = s3('config_param_ServerSideEncryption = aws:kms\nconfig_param_Metadata = {"a": "b"}')

    assert read.s3.parameters == (("ServerSideEncryption", "aws:kms"), ("Metadata", '{"a": "b"}'))


def test_an_endpoint_for_s3_alone_may_come_from_the_environment() -> None:
    environment = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}

    assert s3(environment=environment).s3.endpoint_url == "http://127.0.0.1:9000"
    config = s3("endpoint_url = https://s3.example", environment=environment)
    assert config.s3.endpoint_url == "https://s3.example"


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, ""),
        ({"SOCKS5_PROXY": "proxy.example:1080"}, "socks5://proxy.example:1080"),
        ({"SOCKS4_PROXY": "proxy.example"}, "socks4://proxy.example"),
        ({"SOCKS_PROXY": "proxy.example"}, "socks5://proxy.example"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"https_proxy": "https://proxy.example/"}, "https://proxy.example"),
        ({"HTTP_PROXY": "http://a.example", "ALL_PROXY": "http://b.example"}, "http://a.example"),
        ({"ALL_PROXY": "socks5h://b.example", "HTTP_PROXY": ""}, "socks5h://b.example"),
        ({"SOCKS4_PROXY": "a.example", "HTTPS_PROXY": "b.example"}, "socks4://a.example"),
    ],
)
def test_the_environment_may_name_a_proxy(environment: dict[str, str], proxy: str) -> None:
    assert folder("", environment).proxy == proxy


def test_hosts_without_a_proxy_go_with_the_environment_s_proxy_alone() -> None:
    environment = {"HTTPS_PROXY": "http://a.example", "NO_PROXY": "internal.example"}

    assert folder("", environment).no_proxy == "internal.example"
    config = folder("proxy = http://b.example", environment)
    assert (config.proxy, config.no_proxy) == ("http://b.example", "")


def test_the_fingerprint_follows_what_shapes_pages_and_nothing_else() -> None:
    def fingerprint(lines: str) -> str:
        return loading.parse(f"[mirror]\ndirectory = /b\n{lines}\n", {}).pages_fingerprint

    assert fingerprint("workers = 5") == fingerprint("")
    assert fingerprint("root_uri = https://files.example") != fingerprint("")
