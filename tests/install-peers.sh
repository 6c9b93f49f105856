#!/bin/bash
# Installs what the end-to-end tests and the benches run beside Vedette; quick when all is there.
# Needs root for what is missing. Starts no service: the tests start their own, on loopback.
set -euo pipefail

# The last ones are what Exim needs, whose package itself would remove Postfix.
PACKAGES=(postfix unbound rbldnsd dnsperf bind9-dnsutils softflowd nfdump curl nsd knot bind9-utils nftables
    spamassassin rspamd libdb5.3 libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0)
UNPACKED=/usr/local/lib/vedette-peers
EXIM=$UNPACKED/exim4
EXIM_USER=Debian-exim
HARAKA=$UNPACKED/haraka
HARAKA_PACKAGES=(Haraka@3.1.6 haraka-plugin-dns-list@1.2.4)
HARAKA_SECONDS=120
POLICY=/usr/sbin/policy-rc.d

missing=()
for package in "${PACKAGES[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
want_exim=
[[ -x $EXIM/usr/sbin/exim4 ]] && getent passwd "$EXIM_USER" >/dev/null || want_exim=1
want_haraka=
if command -v node >/dev/null && command -v npm >/dev/null && [[ ! -e $HARAKA/complete ]]; then
    want_haraka=1
fi
if ((${#missing[@]} == 0)) && [[ -z $want_exim$want_haraka ]]; then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "install-peers: no apt-get here: install by hand: ${missing[*]} ${want_exim:+exim4}" >&2
    exit 1
fi
if ((EUID != 0)); then
    echo "install-peers: needs root; run: sudo $0   (missing: ${missing[*]} ${want_exim:+exim4} ${want_haraka:+haraka})" >&2
    exit 1
fi

cleanup=()
trap 'rm -rf "${cleanup[@]}"' EXIT

# Debian's packages start their services at once unless this file forbids it (policy-rc.d, exit 101).
if [[ ! -e $POLICY ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    cleanup+=("$POLICY")
fi

export DEBIAN_FRONTEND=noninteractive
if ((${#missing[@]})) || [[ -n $want_exim ]]; then
    apt-get update -qq
fi
if ((${#missing[@]})); then
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
    echo "install-peers: installing ${missing[*]}" >&2
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >&2
fi

# Debian's Exim conflicts with Postfix: its one binary is unpacked beside, and runs as the user that it asks for.
if [[ -n $want_exim ]]; then
    echo "install-peers: unpacking Exim in $EXIM" >&2
    download=$(mktemp -d)
    cleanup+=("$download")
    chmod 755 "$download"
    (cd "$download" && apt-get download -qq -o APT::Sandbox::User=root exim4-daemon-light >&2)
    rm -rf "$EXIM"
    mkdir -p "$EXIM"
    dpkg-deb --extract "$download"/exim4-daemon-light_*.deb "$EXIM"
    # Nothing here is for anybody but the tests.
    chmod u-s "$EXIM/usr/sbin/exim4"
    getent passwd "$EXIM_USER" >/dev/null ||
        useradd --system --user-group --home-dir /var/spool/exim4 --no-create-home --shell /usr/sbin/nologin "$EXIM_USER"
fi

# Haraka is not in Debian. Its test is skipped where it cannot be had: that is no reason to fail.
if [[ -n $want_haraka ]]; then
    echo "install-peers: installing ${HARAKA_PACKAGES[*]} in $HARAKA" >&2
    rm -rf "$HARAKA"
    mkdir -p "$HARAKA"
    if timeout "$HARAKA_SECONDS" npm install --prefix "$HARAKA" --ignore-scripts --omit=optional --omit=dev \
        --no-audit --no-fund --no-update-notifier --loglevel=error "${HARAKA_PACKAGES[@]}" >&2; then
        touch "$HARAKA/complete"
    else
        echo "install-peers: Haraka could not be installed: its test will be skipped" >&2
    fi
fi
