#!/usr/bin/env bash
# Runs the whole test suite on the lowest, the pinned and the newest versions of all dependencies, on each interpreter
# of Python 3.11 to 3.14 that is on the path or among pyenv's, and prints a table.
#
#   tests/matrix.sh [lowest|pinned|newest|PYTHON]...    for example: tests/matrix.sh pinned python3.12
#
# MATRIX is the folder of the environments and logs (default: a temporary one). EXTRAS are the extras to install; one
# that cannot be installed is named in the table, and its tests are skipped. PYTEST_ARGS are passed to pytest.
set -uo pipefail
cd "$(dirname "$0")/.."

matrix=${MATRIX:-$(mktemp -d)}
extras=${EXTRAS:-huggingface,accelerate,trl,lightning,sb3,skrl,torchrl,envpool,box2d,video,joblib,slurm}
export OMP_NUM_THREADS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$matrix"

sets=() pythons=()
for argument in "$@"; do
    case $argument in
        lowest | pinned | newest) sets+=("$argument") ;;
        *) pythons+=("$argument") ;;
    esac
done
[ ${#sets[@]} -gt 0 ] || sets=(lowest pinned newest)
if [ ${#pythons[@]} -eq 0 ]; then
    for version in 3.11 3.12 3.13 3.14; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python; do
            # pyenv leaves commands on the path that only say which version they would belong to
            "$candidate" -c '' 2>/dev/null && pythons+=("$candidate") && break
        done
    done
fi

# Installs the package with extras ("" for none) into the environment $venv; arguments after them go to pip.
install() {
    "$venv/bin/pip" install --quiet --no-cache-dir "${@:2}" -e ".[test${1:+,$1}]" >>"$log" 2>&1
}

# Prints the row of one interpreter and one set.
run() {
    local python=$1 set=$2 version venv log missing="" constraints=()
    version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
    venv=$matrix/$version-$set log=$matrix/$version-$set.log
    [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
    case $set in
        lowest)
            # shellcheck disable=SC2086
            "$python" tests/lowest_versions.py ${extras//,/ } >"$venv/lowest.txt" || return
            constraints=(-c "$venv/lowest.txt")
            ;;
        pinned) constraints=(-c constraints.txt) ;;
    esac
    if ! install "$extras" "${constraints[@]}"; then
        install "" "${constraints[@]}" || { echo "| $version | $set | cannot be installed: $log | | | | |"; return; }
        for extra in ${extras//,/ }; do
            install "$extra" "${constraints[@]}" || missing+=" $extra"
        done
    fi
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pytest -q -p no:cacheprovider ${PYTEST_ARGS:-} >>"$log" 2>&1
    local closing torch
    closing=$(tail -1 "$log")
    torch=$("$venv/bin/python" -c 'import torch; print(torch.__version__.partition("+")[0])')
    echo "| $version | $set | $torch | $(count passed) | $(count failed) | $(count skipped) |${missing:- none} |"
}

# Prints how many tests the closing line of pytest counts as such.
count() {
    grep -oE "[0-9]+ $1" <<<"$closing" | grep -oE '[0-9]+' || echo 0
}

echo "| Python | versions | torch | passed | failed | skipped | extras not installed |"
echo "| --- | --- | --- | ---: | ---: | ---: | --- |"
for python in "${pythons[@]}"; do
    for set in "${sets[@]}"; do
        run "$python" "$set" | tee -a "$matrix/table.md"
    done
done
