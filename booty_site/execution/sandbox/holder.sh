# Lays out the files of one run in a mount namespace of its own, and keeps them until standard input ends.
# Arguments: owner's uid, gid, size in MiB, then pairs of a host's path and the name to bind it to below /mnt/bind.
set -eu
uid=$1 gid=$2 size=$3
shift 3
# Whoever may not enter the folders on the way to a path may still use it here.
mount -t tmpfs -o mode=0755,size=4m,nosuid,nodev booty /mnt
mkdir /mnt/room /mnt/bind /mnt/etc
while [ $# -gt 0 ]; do
    if [ -d "$1" ]; then mkdir "/mnt/bind/$2"; else : >"/mnt/bind/$2"; fi
    mount --rbind -- "$1" "/mnt/bind/$2"
    shift 2
done
mount -t tmpfs -o "mode=0755,size=${size}m,nr_inodes=400k,nosuid,nodev" booty /mnt/room
for name in workspace environment home tmp shm; do
    mkdir -m 0700 "/mnt/room/$name"
    chown "$uid:$gid" "/mnt/room/$name"
done
echo "booty:x:$uid:$gid:Booty:/booty/home:/bin/sh" >/mnt/etc/passwd
echo "booty:x:$gid:" >/mnt/etc/group
printf '127.0.0.1 localhost\n::1 localhost\n' >/mnt/etc/hosts
echo 'hosts: files' >/mnt/etc/nsswitch.conf
echo ready
exec cat >/dev/null
