# Shell functions shared by deploy/quickstart and tests/run; sourced from the top folder of the project.

say() { printf '%s\n' "$*" >&2; }

# need_packages COMMAND:PACKAGE ...  installs the Debian packages whose commands are missing (root), or says
# which ones a person has to install.
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 ||
      missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# need_pdf  what reports as PDF need of the system: Pango, and a font with Kazakh letters.
need_pdf() {
  local libraries
  libraries=$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p)
  if [[ $libraries != *libpangoft2-1.0.so.0* || $libraries != *libharfbuzz-subset.so.0* ]] ||
    ! ls /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf >/dev/null 2>&1; then
    install_packages libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core
  fi
}

install_packages() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "missing: $*"
    say "install them first:  sudo apt-get install $*"
    exit 1
  fi
  say "installing Debian packages: $* ..."
  # A test needs the programs, not their services: none is started by its installation.
  local guard=/usr/sbin/policy-rc.d made=no
  if [ ! -e "$guard" ]; then printf '#!/bin/sh\nexit 101\n' >"$guard" && chmod 755 "$guard" && made=yes; fi
  local status=0
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/tmp/filterd-apt.$$ 2>&1 || status=$?
  [ "$made" = no ] || rm -f "$guard"
  if [ "$status" -ne 0 ]; then
    tail -20 /tmp/filterd-apt.$$ >&2
    say "apt-get could not install: $*"
    exit 1
  fi
  rm -f /tmp/filterd-apt.$$
}

# need_venv  makes .venv with a pip new enough for dependency groups.
need_venv() {
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "filterd needs Python 3.11 or newer; this is $(python3 --version)"
    exit 1
  fi
  [ -x .venv/bin/python ] && return
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  say "making the Python environment .venv ..."
  python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
}
