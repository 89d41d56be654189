#!/usr/bin/env python3
"""Build Android packages on plain Debian, without Gradle, Google's SDK or a network of its own.

    python3 android_demo/build_debian.py        the WebView APK: the web demo in an app, signed, infers for real
    python3 android_demo/build_debian.py check  core and app compiled against stubs of LiteRT, and dexed: no APK

Needs: apt-get install --no-install-recommends aapt apksigner zipalign default-jdk-headless
android.jar (API 23) and the dexer come from Debian's bullseye suite through .ci/debian.py. Gradle's files are read for
package, SDK levels and versions, so that there is one place for them. The key that signs is made at the first build.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

HERE = Path(__file__).resolve().parent
ANDROID = "http://schemas.android.com/apk/res/android"
PROGRAMS = {
    "aapt": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "javac": "default-jdk-headless",
    "keytool": "default-jdk-headless",
}


class BuildError(Exception):
    """What went wrong and what to do about it."""


@dataclass(frozen=True)
class Gradle:
    """What a module's build.gradle.kts says of the package."""

    application: str
    least_sdk: str
    target_sdk: str
    version_code: str
    version_name: str

    @classmethod
    def read(cls, module: Path) -> Gradle:
        """The values of `applicationId`, `minSdk` ... in a module's file."""
        text = (module / "build.gradle.kts").read_text()
        names = ("applicationId", "minSdk", "targetSdk", "versionCode", "versionName")
        found = [re.search(rf'^\s*{name} = "?([^"\n]+)"?$', text, re.MULTILINE) for name in names]
        missing = [name for name, one in zip(names, found, strict=True) if not one]
        if missing:
            raise BuildError(f"{module}/build.gradle.kts has no {', '.join(missing)}")
        return cls(*(one.group(1) for one in found if one))


@dataclass(frozen=True)
class Tools:
    """Jars of another Debian suite."""

    android: Path  # android.jar, API 23
    dx: Path

    @classmethod
    def find(cls) -> Tools:
        """Looks for the programs, and fetches the jars once."""
        missing = {package for name, package in PROGRAMS.items() if not shutil.which(name)}
        if missing:
            raise BuildError(
                f"missing: {', '.join(sorted(missing))}; next: apt-get install --no-install-recommends "
                + " ".join(sorted(missing))
            )
        fetch = HERE.parent / ".ci/debian.py"
        folder = run([sys.executable, fetch, "bullseye", "dalvik-exchange", "libandroid-23-java"]).strip()
        jars = Path(folder) / "usr/share/java"
        return cls(jars / "com.android.android-23.jar", jars / "com.android.dx.jar")


def run(command: list[str | Path]) -> str:
    """Run to the end; what it printed.

    Raises:
        BuildError: it failed; what it said.
    """
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed\n{(done.stdout + done.stderr).strip()}")
    return done.stdout


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def manifest(module: Path, gradle: Gradle, out: Path) -> Path:
    """The manifest as Gradle would merge it: package, versions and SDK levels put in."""
    ET.register_namespace("android", ANDROID)
    text = (module / "src/main/AndroidManifest.xml").read_text().replace("${applicationId}", gradle.application)
    root = ET.fromstring(text)
    root.set("package", gradle.application)
    root.set(f"{{{ANDROID}}}versionCode", gradle.version_code)
    root.set(f"{{{ANDROID}}}versionName", gradle.version_name)
    levels = {f"{{{ANDROID}}}minSdkVersion": gradle.least_sdk, f"{{{ANDROID}}}targetSdkVersion": gradle.target_sdk}
    root.insert(0, ET.Element("uses-sdk", levels))
    path = out / "AndroidManifest.xml"
    path.write_text(ET.tostring(root, encoding="unicode"))
    return path


def resources(module: Path) -> list[str | Path]:
    """aapt's options for a module's resources."""
    return ["-S", module / "src/main/res", "-S", HERE / "shared/res", "--auto-add-overlay"]


def compile_java(tools: Tools, sources: Iterable[Path], classpath: list[Path], out: Path) -> Path:
    """javac at Java 8's level against Android's own library; warnings are errors."""
    files = sorted(file for source in sources for file in source.rglob("*.java"))
    options = ["-Xlint:all,-options", "-Werror", "-encoding", "UTF-8", "-source", "8", "-target", "8"]
    paths = ["-bootclasspath", tools.android, "-cp", ":".join(map(str, classpath)) or "."]
    run(["javac", *options, *paths, "-d", fresh(out), *files])
    return out


def compile_module(tools: Tools, module: Path, classpath: list[Path], out: Path) -> tuple[Path, Path]:
    """Resources' ids, then the module's classes; returns its manifest and the classes."""
    merged = manifest(module, Gradle.read(module), out)
    command: list[str | Path] = ["aapt", "package", "-f", "-m", "-J", fresh(out / "gen"), "-M", merged]
    run([*command, *resources(module), "-I", tools.android])
    return merged, compile_java(tools, [module / "src/main/java", out / "gen"], classpath, out / "classes")


def dex(tools: Tools, classes: list[Path], module: Path, out: Path) -> Path:
    """Class files to Android's bytecode."""
    level = f"--min-sdk-version={Gradle.read(module).least_sdk}"
    run(["java", "-cp", tools.dx, "com.android.dx.command.Main", "--dex", level, f"--output={out}", *classes])
    return out


def web_assets(web: Path, out: Path) -> Path:
    """The web demo's files, less those that webview/left-out.txt names."""
    needed = {
        "vendor/files.json": "make android-demo, which fetches it",
        "bundle/manifest.json": "python -m convert RUN --target tflite --precision all --install web_demo",
    }
    for file, hint in needed.items():
        if not (web / file).is_file():
            raise BuildError(f"no {web / file}; next: {hint}")
    left_out = (HERE / "webview/left-out.txt").read_text().split()
    for path in sorted(web.rglob("*")):
        name = path.relative_to(web).as_posix()
        if path.is_file() and not any(fnmatch(name, pattern) for pattern in left_out):
            target = out / "www" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return out


def package(tools: Tools, module: Path, merged: Path, assets: Path, bytecode: Path, out: Path) -> Path:
    """Resources, assets and bytecode to an aligned, signed APK."""
    raw, aligned = out / "unaligned.apk", out / "aligned.apk"
    command: list[str | Path] = ["aapt", "package", "-f", "-M", merged, *resources(module), "-A", assets]
    run([*command, "-0", "tflite", "-I", tools.android, "-F", raw])
    subprocess.run(["aapt", "add", raw.name, bytecode.name], cwd=out, check=True, stdout=subprocess.DEVNULL)
    run(["zipalign", "-f", "-p", "4", raw, aligned])
    final = out.parent / "acwskd-edge-web.apk"
    secret = ["--ks", key(), "--ks-pass", "pass:android"]
    run(["apksigner", "sign", *secret, "--v4-signing-enabled", "false", "--out", final, aligned])
    run(["apksigner", "verify", final])
    return final


def key() -> Path:
    """A key for trying the app out, made at the first build; git ignores the folder."""
    path = HERE / "build/debug.keystore"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        new = path.with_name(f".new-{os.getpid()}.keystore")
        words = "-alias debug -storepass android -keypass android -keyalg RSA -keysize 2048 -validity 10000"
        run(["keytool", "-genkeypair", "-keystore", new, *words.split(), "-dname", "CN=acwskd-edge debug"])
        new.replace(path)
    return path


def shown(path: Path) -> Path:
    """From where the user stands, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def webview(tools: Tools, out: Path, web: Path) -> None:
    """Build the WebView APK and say what it is."""
    module, work = HERE / "webview", fresh(out / "webview")
    assets = web_assets(web, work / "assets")
    merged, classes = compile_module(tools, module, [], work)
    bytecode = dex(tools, [classes], module, work / "classes.dex")
    apk = package(tools, module, merged, assets, bytecode, work)
    print(f"{shown(apk)}: {apk.stat().st_size / 1e6:.1f} MB, signed with a key made here (build/debug.keystore)")
    print("  it is the web demo in an app, runtime and bundle inside; it asks for the camera and for no network")
    print("  it is not the native app of app/, which Android Studio builds; it was not run on a phone")
    print(f"  next: adb install -r {shown(apk)}")


def check(tools: Tools, out: Path) -> None:
    """Compile core and app, and dex them; the app against stubs, so the result is no app."""
    module, work = HERE / "app", fresh(out / "check")
    core = compile_java(tools, [HERE / "core/src/main/java"], [], work / "core")
    stubs = compile_java(tools, [HERE / "stubs"], [], work / "stubs")
    _, classes = compile_module(tools, module, [core, stubs], work)
    dex(tools, [core, classes], module, work / "classes.dex")
    print(f"{shown(work)}: core and app compile without a warning against API 23 and stubs of LiteRT")
    print("  nothing here can be installed, and nothing was run on a phone")
    print("  next: open android_demo in Android Studio")


def main() -> int:
    """Parse, build, say what to do next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("webview", "check"), default="webview")
    parser.add_argument("--out", type=Path, default=HERE / "build", help="folder for results (android_demo/build)")
    parser.add_argument("--web", type=Path, default=HERE.parent / "web_demo", help="the page (web_demo)")
    args = parser.parse_args()
    try:
        if args.what == "webview":
            webview(Tools.find(), args.out.resolve(), args.web.resolve())
        else:
            check(Tools.find(), args.out.resolve())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
