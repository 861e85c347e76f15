#!/usr/bin/env bash
# Usage: scripts/require.sh chromium|cc|nginx|caddy
# Prints the command that drives a system tool the tests need. On Debian and
# Ubuntu it installs a missing one; elsewhere, or without the right to install,
# it fails with the command that mends it.
set -euo pipefail

asks_version=--version
tool=${1:?usage: scripts/require.sh chromium|cc|nginx|caddy}
case $tool in
  chromium)
    wanted="a Chromium for the browser tests (or set CHROMIUM to the path of one)"
    packages=(chromium fonts-liberation)
    chosen=${CHROMIUM:-}
    candidates=(chromium chromium-browser google-chrome google-chrome-stable
      "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
      "/Applications/Chromium.app/Contents/MacOS/Chromium")
    elsewhere="macOS: brew install --cask google-chrome; Fedora: sudo dnf install chromium; Arch: sudo pacman -S chromium"
    ;;
  cc)
    wanted="a C compiler, which Go's race detector links with"
    packages=(gcc libc6-dev)
    chosen=${CC:-}
    candidates=(gcc clang)
    elsewhere="macOS: xcode-select --install; Fedora: sudo dnf install gcc; Arch: sudo pacman -S gcc"
    ;;
  nginx)
    wanted="nginx, for the test of the page about deploying (or set NGINX_BIN to the path of one)"
    packages=(nginx)
    chosen=${NGINX_BIN:-}
    candidates=(nginx /usr/sbin/nginx /opt/homebrew/bin/nginx /usr/local/bin/nginx)
    elsewhere="macOS: brew install nginx; Fedora: sudo dnf install nginx; Arch: sudo pacman -S nginx"
    asks_version=-v
    ;;
  caddy)
    wanted="Caddy, for the test of the page about deploying (or set CADDY_BIN to the path of one)"
    packages=(caddy)
    chosen=${CADDY_BIN:-}
    candidates=(caddy)
    elsewhere="macOS: brew install caddy; Fedora: sudo dnf install caddy; Arch: sudo pacman -S caddy"
    asks_version=version
    ;;
  *)
    printf 'arpc: scripts/require.sh does not know %s\n' "$tool" >&2
    exit 2
    ;;
esac

# What the environment chose is used, or refused, and never replaced.
if [[ -n $chosen ]]; then
  "$chosen" $asks_version >/dev/null 2>&1 || {
    printf 'arpc: %s, named in the environment, does not start; needed: %s.\n' "$chosen" "$wanted" >&2
    exit 1
  }
  command -v "$chosen"
  exit
fi

# The first candidate that starts: on some systems a stub of that name only says
# which package to install.
find_tool() {
  local candidate
  for candidate in "${candidates[@]}"; do
    if "$candidate" $asks_version >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

find_tool && exit

mend="apt-get update && apt-get install -y ${packages[*]}"
if ! command -v apt-get >/dev/null; then
  printf 'arpc: needed: %s.\n  %s\n' "$wanted" "$elsewhere" >&2
  exit 1
fi

as_root=()
if ((EUID != 0)); then
  if ! sudo -n true 2>/dev/null; then
    printf 'arpc: needed: %s. Run:\n  sudo sh -c "%s"\n' "$wanted" "$mend" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi

printf 'arpc: installing %s: %s\n' "$wanted" "$mend" >&2
apt() {
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}
if ! { apt update && apt install -y --no-install-recommends "${packages[@]}"; }; then
  printf 'arpc: that did not work. Run it by hand:\n  %s\n' "$mend" >&2
  exit 1
fi
# Debian starts a web server that it installs; a test wants only the program.
if [[ $tool == nginx || $tool == caddy ]] && command -v systemctl >/dev/null; then
  ${as_root[@]+"${as_root[@]}"} systemctl disable --now "$tool" >&2 || true
fi
find_tool || {
  printf 'arpc: apt-get installed %s, but it does not start; needed: %s.\n' "${packages[*]}" "$wanted" >&2
  exit 1
}
