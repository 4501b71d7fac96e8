"""Projects that others wrote, as the registries have them: fetched by the registries' own clients."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.requirements import require

LIMIT_SECS = 120.0


def from_pypi(package: str, version: str, folder: Path) -> Path:
    """Fetch and unpack a source distribution; the folder of it."""
    fetched = folder / "fetched"
    _pip_download(["--no-deps", "--no-binary", ":all:", f"{package}=={version}"], fetched)
    return _unpacked(next(fetched.iterdir()), folder / "unpacked")


def wheels(requirements: Path, python_version: str, folder: Path) -> Path:
    """Fetch what these requirements want, and pip itself, as files to be installed; the folder of them."""
    fetched = folder / "wheels"
    wanted = ["--only-binary", ":all:", "--python-version", python_version, "-r", str(requirements), "pip"]
    _pip_download(wanted, fetched)
    return fetched


def _pip_download(wanted: list[str], into: Path) -> None:
    _run([sys.executable, "-m", "pip", "download", "-q", *wanted, "-d", str(into)], into.parent)


def from_npm(package: str, version: str, folder: Path) -> Path:
    fetched = folder / "fetched"
    fetched.mkdir()
    _run([require("npm"), "pack", "--silent", f"{package}@{version}"], fetched)
    return _unpacked(next(fetched.iterdir()), folder / "unpacked")


def from_debian(package: str, folder: Path) -> Path:
    """Fetch and unpack what Debian has of somebody's sources, without Debian's own changes."""
    lists = folder / "lists"
    lists.mkdir()
    sources = folder / "all.sources"
    sources.write_text("\n\n".join(_source_archives()))
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": lists,
        "Dir::Cache": lists,
        "APT::Sandbox::User": "",
    }
    apt: list[str | Path] = [
        require("apt-get"),
        "-q",
        *(f"-o{key}={value}" for key, value in options.items()),
    ]
    _run([*apt, "update"], folder)
    _run([*apt, "source", "--tar-only", "--download-only", package], folder)
    return _unpacked(next(folder.glob("*.orig.tar.*")), folder / "unpacked")


def _source_archives() -> list[str]:
    """Say where this machine's packages come from, for their sources."""
    apt = Path("/etc/apt")
    paragraphs = [
        paragraph
        for file in sorted((apt / "sources.list.d").glob("*.sources"))
        for paragraph in file.read_text().split("\n\n")
        if "\nURIs:" in f"\n{paragraph}"
    ]
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for file in (each for each in one_line if each.exists()):
        for line in file.read_text().splitlines():
            match line.split():
                case ["deb", url, suite, *components]:
                    paragraphs.append(
                        f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {' '.join(components)}"
                    )
    return [
        "\n".join("Types: deb-src" if line.startswith("Types:") else line for line in each.splitlines())
        for each in paragraphs
    ]


def _unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


def _run(command: list[str | Path], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECS,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"


def flask_app(folder: Path) -> Path:
    return from_pypi("httpbin", "0.10.2", folder)


def fastapi_app(folder: Path) -> Path:
    return from_pypi("wordle-api", "1.1.2", folder)


def datasette(folder: Path) -> Path:
    return from_pypi("datasette", "0.65.5", folder)


def express_app(folder: Path) -> Path:
    """What Express's own generator makes for somebody who begins."""
    generator = from_npm("express-generator", "4.16.1", folder)
    made = folder / "shop"
    _run([require("npm"), "install", "--silent", "--omit=dev", "--no-audit", "--no-fund"], generator)
    _run([require("node"), generator / "bin/express-cli.js", "--view=ejs", made], folder)
    return made


def static_site(folder: Path) -> Path:
    return from_npm("html5-boilerplate", "7.3.0", folder) / "dist"


def go_program(folder: Path) -> Path:
    """The example of the web framework goji, as a module beside the two that it imports.

    The Go module proxy is asked for nothing: what is required lies in the source.
    """
    (folder / "goji").mkdir()
    (folder / "param").mkdir()
    goji = from_debian("golang-github-zenazn-goji", folder / "goji")
    param = from_debian("golang-github-goji-param", folder / "param")
    program = folder / "gritter"
    shutil.copytree(goji / "example", program)
    modules = {"github.com/zenazn/goji": goji, "github.com/goji/param": param}
    lines = ["module gritter", "go 1.19"]
    for name, source in modules.items():
        place = program / "third_party" / name
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("*_test.go", "example"))
        (place / "go.mod").write_text(f"module {name}\ngo 1.19\n")
        lines += [f"require {name} v0.0.0", f"replace {name} => ./third_party/{name}"]
    (program / "go.mod").write_text("\n".join(lines) + "\n")
    return program


def dockerfile_project(folder: Path) -> Path:
    return from_pypi("model-inference-fastapi", "0.0.1a0", folder)
