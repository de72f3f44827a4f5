#!/bin/sh
# Runs tests of kernels on an emulated processor that has AVX-512. See README.md beside this file.
#
# usage: BOCHS=.. VMLINUZ=.. scripts/emulate/avx512.sh (--lib | --test it) [arguments of the tests]
set -eu

case "${1:-}" in
--lib) target="--lib" && shift ;;
--test) target="--test $2" && shift 2 ;;
*) echo "usage: $0 (--lib | --test it) [arguments of the tests]" >&2 && exit 2 ;;
esac
bochs=$(realpath "${BOCHS:?a bochs binary}")
vmlinuz=$(realpath "${VMLINUZ:?a Linux kernel}")
cd "$(dirname "$0")/../.."
work=target/emulate/machine
rm -rf "$work"
mkdir -p "$work/root/proc" "$work/root/dev" "$work/root/tmp" "$work/iso/isolinux"

# Linked statically, so that nothing else needs to be on the image; without the reference backend,
# whose library would take longer to emulate than what is tested.
# shellcheck disable=SC2086 # two words
test=$(RUSTFLAGS='-C target-feature=+crt-static' cargo test -p kernels --no-default-features \
    $target --no-run --target x86_64-unknown-linux-gnu --target-dir target/emulate 2>&1 |
    tee /dev/stderr | sed -n 's/^ *Executable.*(\(.*\))$/\1/p')
strip -o "$work/root/test" "$test"

cp "$(command -v busybox)" "$work/root/busybox"
echo "$@" >"$work/root/arguments"
cat >"$work/root/init" <<'INIT'
#!/busybox sh
/busybox mount -t proc proc /proc
/busybox mount -t devtmpfs dev /dev
/busybox mount -t tmpfs tmp /tmp
/test $(/busybox cat /arguments)
echo "exit status: $?"
# The serial port is slower than the rest.
/busybox sleep 2
/busybox poweroff -f
INIT
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/iso/initrd"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/isolinux/"
cp "$vmlinuz" "$work/iso/vmlinuz"
# Bochs' five-level page tables do not survive its power management, and its processor states a
# frequency that its clock does not have.
cat >"$work/iso/isolinux/isolinux.cfg" <<'BOOT'
default test
label test
  kernel /vmlinuz
  append initrd=/initrd console=ttyS0,115200 quiet rdinit=/init panic=1 no5lvl nokaslr lsm= mitigations=off tsc_early_khz=200000 lapic=notscdeadline
BOOT
xorriso -as mkisofs -quiet -o "$work/test.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2>/dev/null
cat >"$work/bochsrc" <<BOCHSRC
cpu: model=sapphire_rapids, count=1, ips=200000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=$work/test.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial.txt
display_library: nogui
log: $work/bochs.log
clock: sync=none
panic: action=fatal
BOCHSRC
: >"$work/serial.txt"
tail -f "$work/serial.txt" &
tail=$!
# It ends with an error when the machine is switched off.
"$bochs" -q -f "$work/bochsrc" >"$work/bochs.out" 2>&1 </dev/null || true
sleep 1
kill "$tail"
grep -q "exit status: 0" "$work/serial.txt"
