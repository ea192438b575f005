# SPDX-License-Identifier: MIT
# dom0_shared.sh - in dom0: the services are processes there.
image=dom0
file="mount=/srv:/srv"
net="interface=vnet1"
bridge xenbr0 10.55.0.1/24
ip link add vnet0 type veth # busybox names the other end veth0
ip link set veth0 name vnet1
brctl addif xenbr0 vnet0
ip link set vnet0 up
mkdir -p /srv
mount -t ext4 /dev/vdc /srv || exit 1

files_are_equal() { cmp /srv/wget.out /test/www/index.html && cmp /srv/curl.out /test/www/big.bin; }

. ./services.sh
cases services.sh
rc=$?
umount /srv || rc=1
exit $rc
