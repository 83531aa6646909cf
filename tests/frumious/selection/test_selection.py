"""Which projects, releases and files are selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.model.pages import File, ProjectPage
from frumious.selection.subject import Context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from frumious.model.types import JsonObject
    from frumious.selection.selection import Selection

DEMO = canonicalize_name("demo")
PAGE = ProjectPage(
    name="demo",
    versions=("1.0", "2.0", "3.0a1", "strange"),
    files=tuple(
        File(filename=name, url="", hashes={}, size=1000, upload_time=f"20{day}-01-01T00:00:00Z")
        for name, day in (
            ("demo-1.0.tar.gz", 25),
            ("demo-2.0-py3-none-any.whl", 22),
            ("demo-3.0a1.tar.gz", 24),
            ("demo-strange.tar.gz", 23),
        )
    ),
)
ALL = ("1.0", "2.0", "3.0a1", "strange")


def configured(text: str) -> Selection:
    return loading.parse(f"[mirror]\ndirectory = /b\n{text}", {}).selection


def selection(plugins: str, allow: str = "", block: str = "") -> Selection:
    return configured(
        f"[plugins]\nenabled = {plugins}\n"
        f"[allowlist]\npackages =\n  {allow}\n[blocklist]\npackages =\n  {block}\n"
    )


def enabled(plugin: str, options: str) -> Selection:
    return configured(f"[plugins]\nenabled = {plugin}\n{options}")


def page_of(*filenames: str, versions: Sequence[str] | None = None) -> ProjectPage:
    files = tuple(File(filename=name, url="", hashes={}) for name in filenames)
    listed = None if versions is None else tuple(versions)
    return ProjectPage(name="demo", files=files, versions=listed)


def selected(chosen: Selection, page: ProjectPage, legacy: JsonObject | None = None) -> list[str]:
    found = chosen.select(DEMO, page, Context(legacy=legacy))
    assert found is not None
    return [file.filename for file in found.files]


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        (selection("", block="demo"), True),
        (selection("allowlist_project", allow="Demo # the one"), True),
        (selection("allowlist_project", allow="other"), False),
        (selection("blocklist_project", block="other"), True),
        (selection("blocklist_project", block="DEMO"), False),
        (selection("blocklist_project", block="demo>2"), True),
        (selection("all", allow="demo", block="demo"), False),
        (enabled("regex_project", "[filter_regex]\npackages =\n  x\n  de"), False),
        (enabled("regex_project", "[filter_regex]\npackages = mo"), True),
        (enabled("regex_project", "[filter_regex]\npackages = mo\nsearch = true"), False),
        (enabled("regex_project", "[filter_regex]\nreleases = demo"), True),
    ],
)
def test_projects(chosen: Selection, wanted: bool) -> None:  # noqa: FBT001
    assert chosen.wants(DEMO) is wanted


@pytest.mark.parametrize(
    ("chosen", "versions"),
    [
        (selection("allowlist_project", allow="demo==1.0"), ALL),
        (selection("allowlist_release", allow="demo==1.0"), ("1.0",)),
        (selection("allowlist_release", allow="demo==1.0\n  demo==2.0"), ("1.0", "2.0")),
        (selection("allowlist_release", allow="demo>=3.0a0"), ("3.0a1",)),
        (selection("allowlist_release", allow="demo"), ALL),
        (selection("allowlist_release", allow="demo==1.0\n  demo"), ALL),
        (selection("blocklist_release", block="demo>=2"), ("1.0", "strange")),
        (selection("blocklist_release", block="demo"), ()),
        (selection("blocklist_release", block="other>=2"), ALL),
        (enabled("regex_release", "[filter_regex]\nreleases =\n  .*a\\d\n  2"), ("1.0", "strange")),
        (enabled("regex_release", "[filter_regex]\nreleases = 0$"), ALL),
        (
            enabled("regex_release", "[filter_regex]\nreleases = 0$\nsearch = yes"),
            ("3.0a1", "strange"),
        ),
        (enabled("prerelease_release", ""), ("1.0", "2.0", "strange")),
        (
            enabled("prerelease_release", "[filter_prerelease]\npackages =\n  DEMO"),
            ("1.0", "2.0", "strange"),
        ),
        (enabled("prerelease_release", "[filter_prerelease]\npackages = other"), ALL),
        (enabled("latest_release", ""), ALL),
        (enabled("latest_release", "[latest_release]\nkeep = 1"), ("2.0",)),
        (enabled("latest_release", "[latest_release]\nkeep = 2"), ("2.0", "3.0a1")),
        (enabled("latest_release", "[latest_release]\nkeep = 9"), ALL),
        (
            enabled("latest_release", "[latest_release]\nkeep = 2\nsort_by = time"),
            ("1.0", "2.0"),
        ),
        (
            enabled("\n  latest_release\n  prerelease_release", "[latest_release]\nkeep = 1"),
            ("2.0",),
        ),
    ],
)
def test_releases(chosen: Selection, versions: tuple[str, ...]) -> None:
    found = chosen.select(DEMO, PAGE)

    assert found is not None
    assert found.versions == versions
    assert len(found.files) == len(versions)


OF_2_0 = (
    "demo-2.0.tar.gz",
    "demo-2.0.tar.bz2",
    "demo-2.0.tar.xz",
    "demo-2.0.tar.Z",
    "demo-2.0.tgz",
    "demo-2.0.tar",
    "demo-2.0.zip",
    "demo-2.0-py2.7.egg",
    "demo-2.0-py2.7-linux-x86_64.egg",
    "demo-2.0.win32.exe",
    "demo-2.0.win-amd64-py3.4.exe",
    "demo-2.0.win32-py2.7.msi",
    "demo-2.0-1.noarch.rpm",
    "demo-2.0-1.src.rpm",
    "demo-2.0.linux-x86_64.tar.gz",
    "demo-2.0.macosx-10.9-x86_64.tar.gz",
    "demo-2.0.dmg",
    "demo-2.0-variants.json",
    "DEMO-2.0.tar.gz",
    "demo 2.0 (final).zip",
    "demo-2.0.0-py3-none-any.whl",
    "demo-2-1-py3-none-any.whl",
)


@pytest.mark.parametrize("filename", OF_2_0)
@pytest.mark.parametrize("versions", [("1.0", "2.0"), ("2", "1"), None])
def test_a_file_of_any_form_belongs_to_its_release(
    filename: str, versions: Sequence[str] | None
) -> None:
    page = page_of(filename, "demo-1.0.tar.gz", versions=versions)
    assert selected(selection("allowlist_release", allow="demo==2.0"), page) == (
        [] if versions is None and filename.endswith((".rpm", ").zip")) else [filename]
    )
    if versions is not None or not filename.endswith((".rpm", ").zip")):
        kept = selected(selection("blocklist_release", block="demo==2.0"), page)
        assert kept == ["demo-1.0.tar.gz"]


@pytest.mark.parametrize(
    ("versions", "rule", "kept"),
    [
        (("1.0", "1.0.post1"), "demo==1.0.post1", True),
        (("1.0-1", "1.0"), "demo==1.0.post1", True),
        (("1.0", "1.0.post1"), "demo==1.0", False),
        (("1.0",), "demo==1.0", True),
    ],
)
def test_upstreams_versions_decide_what_a_name_means(
    versions: Sequence[str],
    rule: str,
    kept: bool,  # noqa: FBT001
) -> None:
    page = page_of("demo-1.0-1.tar.gz", versions=versions)
    assert bool(selected(selection("allowlist_release", allow=rule), page)) is kept


def test_a_projects_name_may_end_in_a_number() -> None:
    name = canonicalize_name("name-1-0")
    page = page_of("name-1.0-1.tar.gz", versions=("1",))
    found = selection("allowlist_release", allow="name-1-0==1").select(name, page)
    assert found is not None
    assert found.files == page.files


def test_a_version_that_is_not_valid_never_drops_a_project() -> None:
    page = page_of("demo-2004d.tar.gz", versions=("2004d",))
    assert selected(enabled("latest_release", "[latest_release]\nkeep = 1"), page)
    assert selected(enabled("prerelease_release", ""), page)


def test_a_yanked_release_is_not_the_stable_one_that_stays() -> None:
    files = (
        File(filename="demo-1.0.tar.gz", url="", hashes={}),
        File(filename="demo-2.0.tar.gz", url="", hashes={}, yanked="broken"),
        File(filename="demo-3.0a1.tar.gz", url="", hashes={}),
    )
    page = ProjectPage(name="demo", files=files)
    kept = selected(enabled("latest_release", "[latest_release]\nkeep = 1"), page)
    assert kept == ["demo-1.0.tar.gz"]


WINDOWS = (
    "demo-1.0-cp312-cp312-win_amd64.whl",
    "demo-1.0-cp312-cp312-win32.whl",
    "demo-1.0.win32-py2.7.exe",
    "demo-1.0.win-amd64.msi",
    "demo-1.0-py2.7-win32.egg",
)
MACOS = ("demo-1.0-cp312-cp312-macosx_11_0_arm64.whl", "demo-1.0.dmg")
LINUX = (
    "demo-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "demo-1.0-cp312-cp312-musllinux_1_2_aarch64.whl",
    "demo-1.0-cp312-cp312-linux_armv7l.whl",
    "demo-1.0-1.x86_64.rpm",
    "demo-1.0.linux-x86_64.tar.gz",
)
ANY = (
    "demo-1.0.tar.gz",
    "demo-1.0.zip",
    "demo-1.0-py3-none-any.whl",
    "demo-1.0-py2.py3-none-any.whl",
)


@pytest.mark.parametrize(
    ("platforms", "gone"),
    [
        ("windows", WINDOWS),
        ("Win macos", WINDOWS + MACOS),
        ("linux", LINUX),
        ("freebsd", ()),
        ("win_amd64", (WINDOWS[0], WINDOWS[3])),
        ("-win32", (WINDOWS[1], WINDOWS[2], WINDOWS[4])),
        ("musllinux", LINUX[1:2]),
        ("manylinux2014_x86_64", ()),  # the wheel is for another platform, too
        ("manylinux2014_x86_64 -manylinux_", LINUX[:1]),
        ("py2.7", (WINDOWS[2], WINDOWS[4])),
        ("py2", ()),
        ("py3.12", (*WINDOWS[:2], MACOS[0], *LINUX[:3])),
    ],
)
def test_platforms(platforms: str, gone: Sequence[str]) -> None:
    page = page_of(*WINDOWS, *MACOS, *LINUX, *ANY, versions=["1.0"])
    chosen = enabled("exclude_platform", f"[blocklist]\nplatforms = {platforms}")
    kept = selected(chosen, page)
    assert sorted({file.filename for file in page.files} - {*kept}) == sorted(gone)


def test_a_wheel_for_the_stable_abi_is_for_later_versions_too() -> None:
    page = page_of("demo-1.0-cp38-abi3-manylinux_2_17_x86_64.whl", "demo-1.0-cp38-cp38-win32.whl")
    kept = selected(enabled("exclude_platform", "[blocklist]\nplatforms = py3.8"), page)
    assert kept == ["demo-1.0-cp38-abi3-manylinux_2_17_x86_64.whl"]


WHEELS = {
    name: f"demo-1.0-{name}.whl"
    for name in (
        "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp312-cp312-manylinux2014_aarch64",
        "cp312-cp312-manylinux_2_39_x86_64",
        "cp312-cp312-musllinux_1_1_x86_64",
        "cp312-cp312-macosx_11_0_arm64",
        "cp312-cp312-macosx_10_9_universal2",
        "cp312-cp312-macosx_15_0_arm64",
        "cp312-cp312-win_amd64",
        "cp313-cp313t-manylinux1_x86_64",
        "cp38-abi3-manylinux_2_5_x86_64",
        "pp310-pypy310_pp73-manylinux_2_17_x86_64",
        "cp27-cp27mu-manylinux1_x86_64",
        "cp312-none-linux_x86_64",
        "py3-none-win_arm64",
        "py3-none-ios_13_0_arm64_iphoneos",
        "py3-none-android_21_arm64_v8a",
        "py2.py3-none-any",
        "py2-none-any",
    )
}
SDIST, EGG, DUMB = "demo-1.0.tar.gz", "demo-1.0-py2.7.egg", "demo-1.0.linux-x86_64.tar.gz"
EXE, MSI, RPM = "demo-1.0.win-amd64-py3.12.exe", "demo-1.0.win32.msi", "demo-1.0-1.noarch.rpm"
OTHERS = (SDIST, EGG, DUMB, EXE, MSI, RPM, "demo-1.0.dmg", "demo-1.0.egg", "demo-1.0-variants.json")
GLIBC = ("manylinux_2_17_x86_64", "manylinux1_x86_64", "manylinux_2_5_x86_64", "-linux_x86_64")


def of_wheels(*parts: str) -> set[str]:
    """Return the wheels whose tags have one of the parts, and pure ones."""
    wanted = {file for tags, file in WHEELS.items() if any(part in tags for part in parts)}
    return wanted | {WHEELS["py2.py3-none-any"], WHEELS["py2-none-any"]}


@pytest.mark.parametrize(
    ("options", "wheels"),
    [
        ("platforms = manylinux_2_28_x86_64", of_wheels(*GLIBC)),
        ("platforms = manylinux2014_x86_64", of_wheels(*GLIBC)),
        ("platforms = manylinux2010_x86_64", of_wheels(*GLIBC[1:])),
        ("platforms = musllinux_1_2_x86_64", of_wheels("musllinux", "-linux_x86_64")),
        ("platforms = linux_x86_64", of_wheels("_2_39", "musllinux", *GLIBC)),
        ("platforms = linux", of_wheels("linux")),
        ("platforms = macosx_14_0_arm64", of_wheels("macosx_11", "universal2")),
        ("platforms = macosx_10_13_x86_64", of_wheels("universal2")),
        ("platforms = macos_arm64", of_wheels("macosx")),
        ("platforms =\n  win_amd64 # desktops\n  macos", of_wheels("win_amd64", "macosx")),
        ("platforms = windows", of_wheels("win_")),
        ("platforms = ios_17_0_arm64_iphoneos", of_wheels("ios")),
        ("platforms = android_24_arm64_v8a", of_wheels("android")),
        ("pythons = 2.7", of_wheels("cp27")),
        ("pythons = 3.13t", of_wheels("cp313t", "py3-none") - {WHEELS["py2-none-any"]}),
        ("pythons = 3.13", of_wheels("abi3", "py3-none") - {WHEELS["py2-none-any"]}),
        ("pythons = pp3.10", of_wheels("pp310", "py3-none") - {WHEELS["py2-none-any"]}),
        (
            "pythons = 3.12 3.7",
            of_wheels("cp312", "abi3", "py3-none") - {WHEELS["py2-none-any"]},
        ),
        (
            "pythons = 3.12\nplatforms = manylinux_2_34_x86_64",
            {
                *of_wheels("manylinux_2_17_x86_64.", "abi3", "cp312-none", "py2.py3"),
            }
            - {WHEELS["py2-none-any"]},
        ),
        ("abis = abi3", of_wheels("abi3", "none")),
        ("abis = cp313t", of_wheels("cp313t", "none")),
    ],
)
def test_only_what_some_environments_install(options: str, wheels: set[str]) -> None:
    page = page_of(*WHEELS.values())
    assert {*selected(enabled("allowlist_platform", f"[allowlist]\n{options}"), page)} == wheels


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ("platforms = manylinux_2_28_x86_64", {EXE, MSI, "demo-1.0.dmg"}),
        ("platforms = win_amd64", {DUMB, MSI, RPM, "demo-1.0.dmg"}),
        ("platforms = macos_arm64", {EXE, MSI, DUMB, RPM}),
        ("pythons = 3.12", {EGG}),
        ("pythons = 2.7", {EXE}),
        ("abis = abi3", set()),
        ("sdists = false", {SDIST}),
    ],
)
def test_other_forms_of_files_stay_by_what_their_names_say(options: str, gone: set[str]) -> None:
    page = page_of(*OTHERS, versions=["1.0"])
    kept = selected(enabled("allowlist_platform", f"[allowlist]\n{options}"), page)
    assert {*OTHERS} - {*kept} == gone


def test_a_release_without_files_for_the_platform_is_not_listed() -> None:
    page = page_of(
        "demo-1.0.tar.gz", "demo-2.0-cp312-cp312-win32.whl", versions=["1.0", "2.0", "3.0"]
    )
    chosen = enabled("exclude_platform", "[blocklist]\nplatforms = windows")
    found = chosen.select(DEMO, page)
    assert found is not None
    assert found.versions == ("1.0", "3.0"), "upstream lists 3.0 without files as well"


@pytest.mark.parametrize(
    ("plugin", "options", "wanted"),
    [
        ("size_project_metadata", "max_package_size = 4K", True),
        ("size_project_metadata", "max_package_size = 4000", True),
        ("size_project_metadata", "max_package_size = 3999 B", False),
        ("size_project_metadata", "max_package_size = 3.9 kB", False),
        ("size_project_metadata", "", True),
        ("versions_count_project_metadata", "min_versions = 4\nmax_versions = 4", True),
        ("versions_count_project_metadata", "min_versions = 5", False),
        ("versions_count_project_metadata", "max_versions = 3", False),
    ],
)
def test_totals(plugin: str, options: str, wanted: bool) -> None:  # noqa: FBT001
    chosen = enabled(plugin, f"[{plugin}]\n{options}")
    exempt = enabled(plugin, f"[{plugin}]\n{options}\n[allowlist]\npackages = demo")
    assert (chosen.select(DEMO, PAGE) is not None) is wanted
    assert chosen.select(DEMO, PAGE, Context(named=True)) is not None, (
        "filters of projects do not apply"
    )
    assert exempt.select(DEMO, PAGE) is not None
    assert not chosen.needs_legacy


LEGACY: JsonObject = {
    "info": {
        "classifiers": ["Topic :: A", "Topic :: B"],
        "license": "GPL",
        "requires_python": ">=3.9",
        "author": None,
    },
    "releases": {
        "1.0": [{"filename": "demo-1.0.tar.gz", "packagetype": "sdist", "requires_python": None}],
        "2.0": [
            {
                "filename": "demo-2.0-py3-none-any.whl",
                "packagetype": "bdist_wheel",
                "requires_python": ">=3.12",
            }
        ],
    },
}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("info.license = GPL", True),
        ("info.license = PL", False),
        ("info.license = PL\nsearch = true", True),
        ("info.license =\n  MIT\n  GPL", True),
        ("none:info.license =\n  MIT\n  GPL", False),
        ("none:info.license = MIT", True),
        ("info.classifiers = .*B", True),
        ("all:info.classifiers =\n  .*A\n  .*B", True),
        ("all:info.classifiers =\n  .*A\n  .*C", False),
        ("info.author = x", True),
        ("none:info.author = x", True),
        ("not-null:info.author = x", False),
        ("not-null:none:info.author = x", False),
        ("match-null:info.nothing.deep = x", True),
        ("info.license = GPL\ninfo.classifiers = C", False),
    ],
)
def test_metadata_of_projects(options: str, wanted: bool) -> None:  # noqa: FBT001
    chosen = enabled("regex_project_metadata", f"[regex_project_metadata]\n{options}")
    assert chosen.needs_legacy
    assert (chosen.select(DEMO, PAGE, Context(legacy=LEGACY)) is not None) is wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("info.requires_python = 3.11", True),
        ("info.requires_python =\n  3.8\n  3.9", True),
        ("info.requires_python = 3.8", False),
        ("info.license = 3.8", True),
        ("not-null:info.license = 3.8", False),
    ],
)
def test_version_ranges_of_projects(options: str, wanted: bool) -> None:  # noqa: FBT001
    section = "version_range_project_metadata"
    chosen = enabled(section, f"[{section}]\n{options}")
    assert (chosen.select(DEMO, PAGE, Context(legacy=LEGACY)) is not None) is wanted


@pytest.mark.parametrize(
    ("section", "options", "versions"),
    [
        ("regex_release_file_metadata", "release_file.packagetype = sdist", "1.0 3.0a1 strange"),
        ("regex_release_file_metadata", "not-null:release_file.packagetype = sdist", "1.0"),
        ("regex_release_file_metadata", "release = 2", "2.0"),
        (
            "version_range_release_file_metadata",
            "release_file.requires_python = 3.11",
            "1.0 3.0a1 strange",
        ),
        (
            "version_range_release_file_metadata",
            "release_file.requires_python = 3.12",
            "1.0 2.0 3.0a1 strange",
        ),
    ],
)
def test_metadata_of_files(section: str, options: str, versions: str) -> None:
    chosen = enabled(section, f"[{section}]\n{options}")
    found = chosen.select(DEMO, PAGE, Context(legacy=LEGACY))
    assert found is not None
    assert found.versions == tuple(versions.split())


def test_requirements_files_select_projects_and_pin_releases(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_bytes(
        "\N{BYTE ORDER MARK}-r other.txt\n--index-url https://x\n"
        "Demo==1.0 \\\r\n    --hash sha256:abc \\\r\n    --hash=sha256:def  # why\r\n".encode()
    )
    (tmp_path / "latin.txt").write_bytes(
        "# -*- coding: latin-1 -*-\n# é\nplain\n".encode("latin-1")
    )
    options = (
        f"[allowlist]\nrequirements_path = {tmp_path}\nrequirements =\n  one.txt\n  lat*.txt\n"
        "[latest_release]\nkeep = 1\n"
    )
    plugins = "\n  project_requirements\n  project_requirements_pinned\n  latest_release"
    chosen = enabled(plugins, options)

    assert sorted(chosen.exact_projects or ()) == ["demo", "plain"]
    assert selected(chosen, PAGE) == ["demo-1.0.tar.gz"], "a pin passes the other filters"
    found = chosen.select(canonicalize_name("plain"), page_of("plain-1.0.zip", "plain-2.0.zip"))
    assert found is not None
    assert [file.filename for file in found.files] == ["plain-2.0.zip"]


def test_two_lists_select_what_both_have(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("demo\nother\n")
    chosen = enabled(
        "\n  project_requirements\n  allowlist_project",
        f"[allowlist]\npackages =\n  demo\n  third\nrequirements_path = {tmp_path}\n"
        "requirements = some.txt\n",
    )
    assert [*(chosen.exact_projects or ())] == ["demo"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[plugins]\nenabled = whitelist_project", "whitelist_project is called allowlist_project"),
        ("[plugins]\nenabled = blacklist_release", "blacklist_release is called blocklist_release"),
        ("[plugins]\nenabled = latest", "latest is unknown; must be some of"),
        ("[filter_regex]\npackages = (", "'(' is not a regular expression"),
        ("[latest_release]\nkeep = some", "must be a whole number"),
        ("[latest_release]\nsort_by = size", "must be one of version, time"),
        ("[size_project_metadata]\nmax_package_size = big", "must be a number of bytes above 0"),
        ("[versions_count_project_metadata]\nmin_versions = 3\nmax_versions = 2", "below min"),
        ("[regex_project_metadata]\nsome:info.x = a", "must be some of any, all, none"),
        ("[version_range_project_metadata]\ninfo.x = new", "must be a version such as 3.11"),
        ("[blocklist]\nplatforms = a,b", "must be windows, macos"),
        ("[allowlist]\nplatforms = x86_64", "x86_64: must be windows, macos, linux"),
        ("[allowlist]\nplatforms = manylinux2014", "manylinux2014: must be windows, macos"),
        ("[allowlist]\npythons = 3", "3: must be versions of Python such as 3.12"),
        ("[allowlist]\nabis = cp-312", "cp-312: must be ABI tags"),
        ("[allowlist]\nsdists = some", "must be true or false"),
        ("[allowlist]\nrequirements = nothing.txt", "'nothing.txt' cannot be read"),
        ("[allowlist]\nrequirements = nothing*.txt", "no file matches 'nothing*.txt'"),
    ],
)
def test_mistakes_are_named(text: str, mistake: str) -> None:
    with pytest.raises(loading.ConfigError) as raised:
        configured(text)
    assert mistake in str(raised.value)


def test_a_fingerprint_depends_on_the_filters_alone() -> None:
    options = "[latest_release]\nkeep = 2\n"
    one = enabled("\n latest_release\n exclude_platform", options + "[blocklist]\nplatforms = a b")
    same = enabled(
        "\n exclude_platform\n latest_release", "[blocklist]\nplatforms = b a\n" + options
    )
    other = enabled(
        "\n exclude_platform\n latest_release", "[blocklist]\nplatforms = b\n" + options
    )
    assert one.pages_fingerprint == same.pages_fingerprint != other.pages_fingerprint
    assert not configured("").pages_fingerprint
    rules = selection("allowlist_release", allow="demo==1.0\n  demo==2.0")
    assert rules.releases_fingerprint(DEMO)
    assert not rules.releases_fingerprint(canonicalize_name("other"))
    reordered = selection("allowlist_release", allow="demo==2.0\n  demo==1.0")
    assert rules.releases_fingerprint(DEMO) == reordered.releases_fingerprint(DEMO)


def test_a_list_of_platforms_without_its_filter_is_reported() -> None:
    config = loading.parse("[mirror]\ndirectory = /b\n[allowlist]\nplatforms = linux\n", {})
    expected = "[allowlist] platforms has no effect: it needs allowlist_platform"
    assert config.warnings == (expected,)
