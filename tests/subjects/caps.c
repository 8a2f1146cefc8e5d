/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All five capability sets of a process that is not root, the secure bits (locked ones too) and no_new_privs. */
#include <linux/capability.h>
#include <linux/securebits.h>

#include "subject.h"

static void get_status(char out[6][64])
{
	static const char *const key[6] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs" };

	for (int i = 0; i < 6; i++)
		(void)proc_field("/proc/self/status", key[i], out[i], 64);
}

int main(int argc, char **argv)
{
	const int bits = SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT | SECBIT_NO_CAP_AMBIENT_RAISE;
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct c[2] = { { 0 } };
	char want[6][64], got[6][64];

	subject_init(argc, argv);
	if (geteuid())
		subject_skip("not root");
	MUST_SYS(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	MUST_SYS(prctl(PR_CAPBSET_DROP, CAP_MKNOD));
	c[0].inheritable = 1u << CAP_NET_RAW | 1u << CAP_NET_ADMIN | 1u << CAP_KILL;
	c[0].permitted = c[0].inheritable | 1u << CAP_SETPCAP | 1u << CAP_SETUID | 1u << CAP_SETGID;
	c[0].effective = c[0].permitted;
	MUST_SYS(syscall(SYS_capset, &h, c));
	MUST_SYS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	MUST_SYS(prctl(PR_SET_SECUREBITS, bits));
	MUST_SYS(setresgid(1234, 1234, 1234));
	MUST_SYS(setresuid(1234, 1234, 1234));
	c[0].permitted = c[0].inheritable;
	c[0].effective = 1u << CAP_KILL;
	MUST_SYS(syscall(SYS_capset, &h, c));
	MUST_SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	get_status(want);
	subject_wait();
	get_status(got);
	for (int i = 0; i < 6; i++)
		CHECK_STR("capabilities", got[i], want[i]);
	CHECK_EQ("secure bits", prctl(PR_GET_SECUREBITS), bits);
	CHECK_EQ("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0), 1);
	CHECK(prctl(PR_SET_SECUREBITS, 0) < 0, "locked secure bits could be cleared");
	CHECK(prctl(PR_CAPBSET_READ, CAP_MKNOD) == 0, "CAP_MKNOD is back in the bounding set");
	return subject_done();
}
