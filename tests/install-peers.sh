#!/bin/bash
# Installs from Debian what the end-to-end tests and the benches run beside Vedette; quick when all is there.
# Needs root for what is missing. Starts no service: the tests start their own, on loopback.
set -euo pipefail

PACKAGES=(postfix unbound rbldnsd dnsperf bind9-dnsutils softflowd nfdump curl)
POLICY=/usr/sbin/policy-rc.d

missing=()
for package in "${PACKAGES[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "install-peers: no apt-get here: install by hand: ${missing[*]}" >&2
    exit 1
fi
if ((EUID != 0)); then
    echo "install-peers: needs root; run: sudo $0   (missing: ${missing[*]})" >&2
    exit 1
fi

# Debian's packages start their services at once unless this file forbids it (policy-rc.d, exit 101).
if [[ ! -e $POLICY ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    trap 'rm -f "$POLICY"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
echo "install-peers: installing ${missing[*]}" >&2
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >&2
