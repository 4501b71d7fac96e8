# What the built-in recipes call. Every build has these functions, in the folder of its source.
#
# Nothing that they put into .paas knows the folder in which it was built: programs are moved to where they run.

packages=.paas/python

pip_install() { # ARGUMENT...
	python3 -m pip install --disable-pip-version-check --no-warn-script-location --no-compile \
		--root-user-action=ignore --target "$packages" "$@"
}

pip_install_missing() { # PACKAGE
	test -e "$packages/$1" || pip_install "$1"
}

is_python_package() {
	test -e setup.py || grep -qs '^\[build-system\]' pyproject.toml
}

pip_install_project() { # or, where it is no package, what pyproject.toml says that it depends on
	if is_python_package; then
		pip_install .
		return
	fi
	python3 - >.paas/requirements.txt <<-'END'
		import tomllib

		with open("pyproject.toml", "rb") as file:
		    print(*tomllib.load(file).get("project", {}).get("dependencies", []), sep="\n")
	END
	pip_install -r .paas/requirements.txt
}

uv_install_locked() {
	if ! command -v uv >/dev/null; then
		echo "There is no uv here: pip takes the newest that pyproject.toml allows, not what uv.lock says."
		pip_install_project
		return
	fi
	uv export --quiet --frozen --no-dev --no-emit-project --output-file .paas/requirements.txt
	uv pip install --python "$(command -v python3)" --target "$packages" --requirement .paas/requirements.txt
	if is_python_package; then
		uv pip install --python "$(command -v python3)" --target "$packages" --no-deps .
	fi
}

python_ready() {
	mkdir -p "$packages/bin"
	for name in python python3; do
		printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v python3)" >"$packages/bin/$name"
		chmod 755 "$packages/bin/$name"
	done
	# Programs may not write where they are: without this each start would compile all anew.
	python3 -m compileall -q --invalidation-mode unchecked-hash . >/dev/null || :
	cat >.paas/profile <<-'END'
		export PATH="$PWD/.paas/python/bin:$PATH" PYTHONUNBUFFERED=1
		export PYTHONPATH="$PWD/.paas/python${PYTHONPATH:+:$PYTHONPATH}"
	END
}

node_ready() {
	cat >.paas/profile <<-'END'
		export PATH="$PWD/node_modules/.bin:$PATH" NODE_ENV="${NODE_ENV:-production}"
	END
}

go_program() {
	package=.
	if ! grep -qs '^package main' ./*.go; then
		package=$(grep -ls '^package main' ./cmd/*/*.go | head -n 1)
		if test -z "$package"; then
			echo "There is no package main here or below cmd/."
			return 1
		fi
		package=${package%/*}
	fi
	# Not with -trimpath, which compiles the whole standard library anew.
	go build -buildvcs=false -o .paas/program "$package"
}
