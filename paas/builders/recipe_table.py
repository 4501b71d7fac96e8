"""The kinds of source that are known without configuration, in the order in which they are looked for.

Their commands that are no programs are functions of steps.sh.
"""

from paas.core.recipes import RecipeRow

OWN_FOLDER = ".paas"  # what builds add to a program
PROGRAM = f"{OWN_FOLDER}/program"
STATIC_SERVER = "static_server"  # a module in that folder

STATIC, PROCFILE, EXECUTABLE, CUSTOM = "static", "procfile", "executable", "custom"
PUBLISHED = ("public", "dist", "build", "out", "_site", "site", ".")  # where sites are, the first wins
# Imported, not run as a script: of those Python keeps no compiled form, and every start would compile it.
_SERVER = f'import sys; sys.path.insert(0, "{OWN_FOLDER}"); import {STATIC_SERVER}; {STATIC_SERVER}.main()'
SERVE = f"exec python3 -ISE -c '{_SERVER}' {' '.join(PUBLISHED)}"

_PIP_CACHE = ("~/.cache/pip", "~/.cache/uv")
_PIP = {"python3": "apt-get install python3", "pip3": "apt-get install python3-pip"}
_NODE = {"node": "apt-get install nodejs", "npm": "apt-get install npm"}
_NPM_READY = ("npm run build --if-present", "npm prune --omit=dev --no-audit --no-fund", "node_ready")

ROWS = (
    RecipeRow(
        name="tish",
        files=("src/main.tish",),
        build=(f"tish build src/main.tish -o {PROGRAM}",),
        start=f"./{PROGRAM}",
        needs={"tish": "npm install --global @tishlang/tish"},
    ),
    RecipeRow(
        name="python-uv",
        files=("uv.lock",),
        build=("uv_install_locked", "python_ready"),
        lockfiles=("uv.lock",),
        cache=_PIP_CACHE,
        needs=_PIP,
    ),
    RecipeRow(
        name="python",
        files=("requirements.txt",),
        build=("pip_install -r requirements.txt", "python_ready"),
        lockfiles=("requirements.txt",),
        cache=_PIP_CACHE,
        needs=_PIP,
    ),
    RecipeRow(
        name="python-project",
        files=("pyproject.toml", "setup.py"),
        build=("pip_install_project", "python_ready"),
        lockfiles=("pyproject.toml", "setup.py"),
        cache=_PIP_CACHE,
        needs=_PIP,
    ),
    RecipeRow(
        name="node-pnpm",
        files=("pnpm-lock.yaml",),
        build=("pnpm install --frozen-lockfile", "pnpm run --if-present build", "node_ready"),
        lockfiles=("pnpm-lock.yaml",),
        cache=("~/.local/share/pnpm/store",),
        needs={"node": "apt-get install nodejs", "pnpm": "npm install --global pnpm"},
    ),
    RecipeRow(
        name="node-yarn",
        files=("yarn.lock",),
        build=("yarn install --frozen-lockfile", "npm run build --if-present", "node_ready"),
        lockfiles=("yarn.lock",),
        cache=("~/.cache/yarn",),
        needs={**_NODE, "yarn": "npm install --global yarn"},
    ),
    RecipeRow(
        name="node",
        files=("package-lock.json", "npm-shrinkwrap.json"),
        build=("npm ci --no-audit --no-fund", *_NPM_READY),
        lockfiles=("package-lock.json", "npm-shrinkwrap.json"),
        cache=("~/.npm",),
        needs=_NODE,
    ),
    RecipeRow(
        name="node-unlocked",
        files=("package.json",),
        build=("npm install --no-audit --no-fund", *_NPM_READY),
        lockfiles=("package.json",),
        cache=("~/.npm",),
        needs=_NODE,
    ),
    RecipeRow(
        name="go",
        files=("go.mod",),
        build=("go_program",),
        start=f"./{PROGRAM}",
        lockfiles=("go.sum",),
        cache=("~/go/pkg/mod", "~/.cache/go-build"),
        needs={"go": "apt-get install golang-go"},
    ),
    RecipeRow(
        name=STATIC,
        files=tuple(f"{folder}/index.html".removeprefix("./") for folder in PUBLISHED),
        start=SERVE,
    ),
)
