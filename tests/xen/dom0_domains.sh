# SPDX-License-Identifier: MIT
# dom0_domains.sh - in dom0: each service is a domain.
image=default
file="disk=/dev/vdc, mount=xvda:/srv"
net="bridge=xenbr0"
bridge xenbr0 10.55.0.1/24

files_are_equal() {
	mount -o ro /dev/vdc /srv && cmp /srv/wget.out /test/www/index.html && cmp /srv/curl.out /test/www/big.bin
	local rc=$?
	umount /srv
	return $rc
}

mkdir -p /srv
. ./services.sh
cases services.sh
