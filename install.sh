#!/usr/bin/env bash
# Sets paas up: to try it, to test it, or to run it as a service. Every command may be repeated.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
venv=${PAAS_VENV:-$here/.venv} # one that is given is used as it is
apps_user=paas-apps            # tasks.user in the configuration
builds_user=paas-builds        # builds.user likewise
home=/opt/paas
config_folder=/etc/paas
state=/var/lib/paas
command_link=/usr/local/bin/paas
unit=/etc/systemd/system/paas.service

# What the agent needs of Debian, and what the test suite drives, compares with or is checked by.
python_packages=(python3 python3-venv ca-certificates)
service_packages=("${python_packages[@]}" bubblewrap git)
test_packages=(
    "${service_packages[@]}" aardvark-dns apache2-utils bash busybox-static caddy chromium curl docker-registry
    docker.io golang-go haproxy iptables jq netavark nginx-light openssl podman postgresql-15
    postgresql-client-15 procps python3-pip redis-server redis-tools runc shellcheck util-linux wrk zsh
)

usage() {
    cat <<'END'
Usage: ./install.sh COMMAND

  try               Start an agent here that keeps nothing, deploy examples/hello, show it sleep and wake.
                    Needs no root. Ctrl-C ends it and leaves nothing running.
  test [-- ARGS]    Run everything that CI runs; ARGS go to pytest. As root it installs the Debian packages
                    that the suite wants; otherwise it names them and says what is left out.
                    With PAAS_TEST_STRICT=1 a missing part is a failure.
  install           As root: install or upgrade the service. Apps keep running during an upgrade.
  uninstall [--purge]
                    As root: stop the apps and remove the service. --purge deletes the state, too.
  help              Show this.

Environment: PAAS_PYTHON names the Python to use (3.11 or newer), PAAS_VENV a ready virtual environment.
END
}

say() { printf '%s\n' "$*" >&2; }

step() { printf '\n== %s\n' "$*" >&2; }

die() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

need_root() { is_root || die "$1 needs root: sudo ./install.sh $1"; }

# --- Debian packages

missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
    done
}

apt_line() { printf 'apt-get update && apt-get install -y %s' "$*"; }

install_packages() {
    local missing guard=
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} = 0 ] && return
    if ! command -v apt-get >/dev/null; then
        say "This is not Debian: bring yourself what these packages hold: ${missing[*]}"
        return
    fi
    step "Installing Debian packages: ${missing[*]}"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        # Debian starts the servers it installs; the suite starts its own, on free ports.
        guard=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >$guard
        chmod +x $guard
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >&2
    [ -z "$guard" ] || rm -f "$guard"
}

# --- Python

python=

find_python() {
    local candidate
    for candidate in ${PAAS_PYTHON:+"$PAAS_PYTHON"} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            return
        fi
    done
    if command -v python3 >/dev/null; then
        say "Python 3.11 or newer is needed; python3 is $(python3 --version 2>&1)."
    else
        say "Python 3.11 or newer is needed, and there is no python3 here."
    fi
    say_how_to_get "${python_packages[@]}"
}

check_venv_module() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    say "$("$python" --version 2>&1) is here, but the part of it that makes virtual environments is not."
    case "$python" in
    python3.*) say_how_to_get "$python-venv" ;;
    *) say_how_to_get python3-venv ;;
    esac
}

say_how_to_get() {
    if command -v apt-get >/dev/null; then
        say "This command, as root, installs it:"
        say
        say "    $(apt_line "$@")"
        say
    fi
    exit 1
}

stamp_of() { # LOCK: what a virtual environment made from that lock file, here, is known by
    { "$python" -c 'import sys; print(sys.version, sys.base_prefix)' && cat "$1"; } | sha256sum | cut -c 1-16
}

# A stamp is written last, so that an environment that was not finished is finished the next time.
fill_venv() { # FOLDER LOCK
    local folder=$1 lock=$2 stamp
    stamp=$(stamp_of "$lock")
    grep -qsx "$stamp" "$folder/.stamp" && return
    step "Installing $(basename "$lock") into $folder"
    if ! "$folder/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$python" -m venv --clear "$folder"
    fi
    rm -f "$folder/.stamp"
    "$folder/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: \
        --require-hashes -r "$lock" >&2
    printf '%s\n' "$stamp" >"$folder/.stamp"
}

make_checkout_venv() { # LOCK
    [ -z "${PAAS_VENV:-}" ] || return 0
    find_python
    # The one for tests holds all that the one for running does.
    grep -qsx "$(stamp_of "$here/requirements-test.lock")" "$venv/.stamp" && return
    check_venv_module
    exec 9<"$here/requirements.lock"
    flock 9 # two of us would write the same files
    fill_venv "$venv" "$1"
    exec 9<&-
    "$venv/bin/python" - "$here" <<'END'
import sys, sysconfig, pathlib
folder = pathlib.Path(sysconfig.get_path("purelib"))
(folder / "paas-checkout.pth").write_text(sys.argv[1] + "\n")
END
    printf '#!/bin/sh\nexec %q -P -m paas "$@"\n' "$venv/bin/python" >"$venv/bin/paas"
    chmod +x "$venv/bin/paas"
}

# --- The users that apps and builds run as

make_users() {
    make_user "$apps_user" "apps run as it, apart from the agent, which is root"
    make_user "$builds_user" "sources are built as it, apart from the agent and the apps"
}

make_user() { # NAME REASON
    id "$1" >/dev/null 2>&1 && return
    say "Making the user $1: $2."
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$1"
}

end_all_of() { # USER: end every process of a user as whom nothing else runs
    local uid deadline
    uid=$(id -u "$1" 2>/dev/null) || return 0
    signal_all "$uid" TERM && return
    thaw_apps "$uid"
    deadline=$((SECONDS + 10))
    while [ $SECONDS -lt $deadline ]; do
        signal_all "$uid" 0 && return
        sleep 0.1
    done
    signal_all "$uid" KILL || true
}

thaw_apps() { # UID; what is frozen does not hear that it is to end
    local file
    for file in /sys/fs/cgroup/paas/*/cgroup.freeze /sys/fs/cgroup/unified/paas/*/cgroup.freeze; do
        if [ -e "$file" ]; then echo 0 >"$file" || true; fi
    done
    signal_all "$1" CONT || true
}

end_containers() { # [--purge]; those of the agent whose state this is; its volumes stay
    [ -e "$state/agent-id" ] && [ -x "$home/current/bin/python" ] || return 0
    "$home/current/bin/python" -I - "$config_folder/config.toml" "$state/agent-id" "${1:-}" <<'END' || say "Its containers may be left."
import asyncio, pathlib, sys
from paas import config
from paas.builders.built_images import BuiltImages
from paas.core.errors import PaasError
from paas.docker.engine import DockerEngine
from paas.drivers.docker_removal import remove_all

async def end(file, agent_id, purges):
    async with DockerEngine(config.load(file).containers.socket()) as engine:
        count = await remove_all(engine, agent_id)
        if purges:
            await BuiltImages(engine, agent_id).delete_all()
        return count

file, agent_id = map(pathlib.Path, sys.argv[1:3])
try:
    count = asyncio.run(end(file, agent_id.read_text().strip(), sys.argv[3] == "--purge"))
    print(f"Removed containers: {count}.", file=sys.stderr)
except PaasError as error:
    sys.exit(error.message)
END
}

signal_all() { # UID SIGNAL; succeeds when there was nothing to signal
    local folder none=0
    for folder in /proc/[0-9]*; do
        [ "$(stat -c %u "$folder" 2>/dev/null)" = "$1" ] || continue
        grep -qs '^State:[[:space:]]*Z' "$folder/status" && continue
        kill -s "$2" "${folder#/proc/}" 2>/dev/null && none=1
    done
    return $none
}

# --- Commands

try() {
    make_checkout_venv "$here/requirements.lock"
    if is_root; then make_users; fi
    cd "$here"
    exec "$venv/bin/python" -m paas try examples/hello
}

run_tests() {
    [ "${1:-}" = -- ] && shift
    local strict=${PAAS_TEST_STRICT:-}
    command -v npm >/dev/null || test_packages+=(nodejs npm) # one from elsewhere does as well
    if is_root; then
        install_packages "${test_packages[@]}"
        make_users
    else
        name_missing_packages "$strict"
    fi
    make_checkout_venv "$here/requirements-test.lock"
    fill_node_modules "$here/tests/github"
    cd "$here"
    export PATH="$venv/bin:$PATH"
    local failed=() code=0
    check ruff check .
    check ruff format --check .
    check mypy
    check lint-imports
    check_shell "$strict"
    [ ${#failed[@]} = 0 ] || say "Failed: ${failed[*]}. The tests are run all the same."
    step "pytest"
    # It starts hundreds of agents: each would compile all of it where Python is told to keep no bytecode.
    python -m compileall -q -j 0 paas
    python -m pytest -n auto --dist worksteal "$@" </dev/null || code=$?
    [ ${#failed[@]} = 0 ] || code=1
    return $code
}

# What the suite has of npm: GitHub's example deliveries, and its code that signs them.
fill_node_modules() { # FOLDER
    local folder=$1 stamp
    command -v npm >/dev/null || return 0
    stamp=$(sha256sum "$folder/package-lock.json" | cut -c 1-16)
    grep -qsx "$stamp" "$folder/node_modules/.stamp" && return
    step "Installing $folder/package-lock.json"
    if npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund >&2; then
        printf '%s\n' "$stamp" >"$folder/node_modules/.stamp"
    else
        say "Without them some tests are left out; they are listed at the end."
    fi
}

check() { # COMMAND...: a failure is noted, so that one run shows them all
    step "$*"
    "$@" || failed+=("$1")
}

name_missing_packages() { # STRICT
    local missing
    mapfile -t missing < <(missing_packages "${test_packages[@]}")
    [ ${#missing[@]} = 0 ] && return
    say "These Debian packages are not here: ${missing[*]}. This command, as root, installs them:"
    say
    say "    $(apt_line "${missing[@]}")"
    say
    [ -z "$1" ] || die "cannot leave anything out: PAAS_TEST_STRICT is set"
    say "Without them, and without root, some tests are left out; they are listed at the end with what they need."
}

check_shell() { # STRICT
    if command -v shellcheck >/dev/null; then
        check shellcheck install.sh .ci/run
        check shellcheck --shell=sh --exclude=SC1091 paas/drivers/launch.sh # it reads each run's own file
        check shellcheck --shell=dash paas/builders/steps.sh # /bin/sh of Debian and of most others
    else
        [ -z "$1" ] || die "shellcheck is not here"
        say "left out: needs shellcheck"
    fi
}

install_service() {
    need_root install
    install_packages "${service_packages[@]}"
    find_python
    check_venv_module
    make_users
    local name release
    name=$(release_name)
    release=$home/releases/$name
    install -d "$home" "$home/releases" "$config_folder" "$state"
    put_release "$release"
    put_config "$release"
    ln -sfn "releases/$name" "$home/current.new"
    mv -T "$home/current.new" "$home/current" # one rename: there is always a whole one
    printf '#!/bin/sh\nexec %s/current/bin/python -I -m paas "$@"\n' "$home" >"$command_link"
    chmod 755 "$command_link"
    start_service
    find "$home/releases" -mindepth 1 -maxdepth 1 ! -name "$name" -exec rm -rf {} +
}

release_name() {
    { stamp_of "$here/requirements.lock"; cd "$here"; find paas -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum; } |
        sha256sum | cut -c 1-16
}

put_release() { # FOLDER
    [ -e "$1/.complete" ] && return
    fill_venv "$1" "$here/requirements.lock"
    local packages
    packages=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    rm -rf "$packages/paas"
    cp -R "$here/paas" "$packages/paas"
    find "$packages/paas" -name __pycache__ -prune -exec rm -rf {} +
    "$1/bin/python" -m compileall -q "$packages/paas"
    chmod -R u=rwX,go=rX "$1"
    touch "$1/.complete"
}

put_config() { # RELEASE: a new one, or a check that the one that is there can be used
    install -m 644 "$here/config.example.toml" "$config_folder/config.example.toml"
    if [ ! -e "$config_folder/config.toml" ]; then
        install -m 644 "$here/config.example.toml" "$config_folder/config.toml"
        return
    fi
    "$1/bin/python" -I - "$config_folder/config.toml" <<'END' || die "the service is left as it was"
import pathlib, sys
from paas import config
try:
    config.load(pathlib.Path(sys.argv[1]))
except config.BadConfig as error:
    sys.exit(error.message + (f" ({error.hint})" if error.hint else ""))
END
}

start_service() {
    install -m 644 "$here/systemd/paas.service" "$unit"
    if [ ! -d /run/systemd/system ]; then
        say "Installed. systemd does not run here; start the agent with:"
        say
        say "    paas serve --config $config_folder/config.toml"
        say
        return
    fi
    systemctl daemon-reload
    systemctl enable -q paas.service
    systemctl restart paas.service || die "the agent did not start: journalctl -u paas.service -n 20"
    say "The agent runs. Its log: journalctl -u paas.service. Its configuration: $config_folder/config.toml"
    say "Deploy something: paas deploy examples/hello"
}

uninstall() {
    need_root uninstall
    case "${1:-}" in
    "" | --purge) ;;
    *) die "uninstall knows --purge only, not $1" ;;
    esac
    if [ -d /run/systemd/system ] && [ -e "$unit" ]; then
        systemctl disable -q --now paas.service
    fi
    # After the agent, which would start them again. Its state still says that they are wanted, as after a
    # reboot, so that a later install brings them back.
    end_all_of "$apps_user"
    end_all_of "$builds_user"
    end_containers "${1:-}"
    rm -rf "$home" "$command_link" "$unit"
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    if [ "${1:-}" = --purge ]; then
        rm -rf "$state" "$config_folder"
        userdel "$apps_user" 2>/dev/null || true
        userdel "$builds_user" 2>/dev/null || true
        say "Removed, with its state."
    else
        say "Removed. What was in $state and $config_folder is kept."
    fi
}

case "${1:-help}" in
try) try ;;
test)
    shift
    run_tests "$@"
    ;;
install) install_service ;;
uninstall)
    shift
    uninstall "$@"
    ;;
help | -h | --help) usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
