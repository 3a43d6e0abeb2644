/*
 * Credentials: ids, groups, the five sets of capabilities, securebits, no_new_privs, dumpable; and a
 * thread whose own differ from the main thread's. Wants root to begin with.
 * Usage: creds_caps [root|user|threads|securebits|nnp]
 *   root: as started, with a smaller bounding set; user: another user with some capabilities kept,
 *   ambient ones too; threads: a thread with other ids; securebits: with securebits locked;
 *   nnp: no_new_privs and not dumpable
 */
#include "subject.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

struct creds {
	uid_t r, e, s, fs;
	gid_t gr, ge, gs, gfs;
	int group_count;
	gid_t groups[64];
	struct __user_cap_data_struct caps[2];
	uint64_t bounding, ambient;
	int securebits, no_new_privs, keepcaps, dumpable;
};

static void read_creds(struct creds *c)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	memset(c, 0, sizeof(*c));
	if (getresuid(&c->r, &c->e, &c->s) || getresgid(&c->gr, &c->ge, &c->gs))
		die("getresuid");
	c->fs = setfsuid(-1);
	c->gfs = setfsgid(-1);
	c->group_count = getgroups(64, c->groups);
	if (syscall(SYS_capget, &head, c->caps))
		die("capget");
	for (int cap = 0; cap < 64; cap++) {
		c->bounding |= (uint64_t)(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) << cap;
		c->ambient |= (uint64_t)(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			      << cap;
	}
	c->securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	c->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	c->keepcaps = prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
	c->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void check_creds(const char *who, const struct creds *want)
{
	struct creds got;
	char name[64];

	read_creds(&got);
#define SAME(what, holds, ...) \
	(snprintf(name, sizeof(name), "%s: %s", who, what), check(holds, name, __VA_ARGS__))
	SAME("user ids", got.r == want->r && got.e == want->e && got.s == want->s && got.fs == want->fs,
	     "%u %u %u %u", got.r, got.e, got.s, got.fs);
	SAME("group ids",
	     got.gr == want->gr && got.ge == want->ge && got.gs == want->gs && got.gfs == want->gfs,
	     "%u %u %u %u", got.gr, got.ge, got.gs, got.gfs);
	SAME("groups",
	     got.group_count == want->group_count && !memcmp(got.groups, want->groups, sizeof(got.groups)),
	     "%d of them instead of %d", got.group_count, want->group_count);
	for (int i = 0; i < 2; i++) {
		SAME("effective", got.caps[i].effective == want->caps[i].effective, "%#x instead of %#x",
		     got.caps[i].effective, want->caps[i].effective);
		SAME("permitted", got.caps[i].permitted == want->caps[i].permitted, "%#x instead of %#x",
		     got.caps[i].permitted, want->caps[i].permitted);
		SAME("inheritable", got.caps[i].inheritable == want->caps[i].inheritable, "%#x instead of %#x",
		     got.caps[i].inheritable, want->caps[i].inheritable);
	}
	SAME("bounding", got.bounding == want->bounding, "%#lx instead of %#lx", got.bounding, want->bounding);
	SAME("ambient", got.ambient == want->ambient, "%#lx instead of %#lx", got.ambient, want->ambient);
	SAME("securebits", got.securebits == want->securebits, "%#x instead of %#x", got.securebits,
	     want->securebits);
	SAME("no_new_privs", got.no_new_privs == want->no_new_privs, "%d", got.no_new_privs);
	SAME("keepcaps", got.keepcaps == want->keepcaps, "%d", got.keepcaps);
	SAME("dumpable", got.dumpable == want->dumpable, "%d instead of %d", got.dumpable, want->dumpable);
}

static void set_caps(uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ effective, permitted, inheritable },
		{ effective >> 32, permitted >> 32, inheritable >> 32 },
	};

	if (syscall(SYS_capset, &head, data))
		die("capset");
}

static void become_user(void)
{
	uint64_t kept = 1UL << CAP_NET_BIND_SERVICE | 1UL << CAP_SYS_NICE | 1UL << CAP_DAC_READ_SEARCH;
	static const gid_t groups[] = { 4, 1000, 18943, 65000 };

	if (setgroups(4, groups) || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setresgid(1001, 1002, 1003) ||
	    setresuid(2001, 2002, 2003))
		die("becoming another user");
	set_caps(kept, 1UL << CAP_SYS_NICE, kept);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0))
		die("PR_CAP_AMBIENT_RAISE");
	setfsuid(2001);
	setfsgid(1001);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static struct creds main_creds, thread_creds;
static volatile bool started, stop;

/* Raw calls: the C library's would change every thread. */
static void *worker(void *unused)
{
	static const gid_t groups[] = { 7, 8 };

	if (syscall(SYS_setgroups, 2, groups) || syscall(SYS_setresgid, 501, 502, 503) ||
	    syscall(SYS_setresuid, 601, 602, 0))
		die("ids of the thread");
	/* Saved is 0 still, so capabilities stay permitted; take away some for good. */
	struct creds now;
	read_creds(&now);
	uint64_t permitted = now.caps[0].permitted & ~(1U << CAP_SYS_TIME);
	set_caps(permitted, permitted & (1U << CAP_NET_RAW | 1U << CAP_CHOWN), 1U << CAP_CHOWN);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	read_creds(&thread_creds);
	started = true;
	while (!stop)
		sleep_ms(2);
	check_creds("thread", &thread_creds);
	return unused;
}

int main(int argc, char **argv)
{
	const char *kind = arg(argc, argv, 1, "root");
	pthread_t thread;

	subject_init();
	if (geteuid() != 0)
		unsupported("being started by root");
	if (!strcmp(kind, "root")) {
		prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM, 0, 0, 0);
		prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0);
		setresgid(0, 5, 0);
	} else if (!strcmp(kind, "user")) {
		become_user();
	} else if (!strcmp(kind, "securebits")) {
		if (prctl(PR_SET_SECUREBITS,
			  SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
				  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
			  0, 0, 0))
			die("PR_SET_SECUREBITS");
	} else if (!strcmp(kind, "nnp")) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	} else if (!strcmp(kind, "threads")) {
		sigset_t term;
		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		pthread_sigmask(SIG_BLOCK, &term, NULL);
		if (pthread_create(&thread, NULL, worker, NULL))
			die("pthread_create");
		pthread_sigmask(SIG_UNBLOCK, &term, NULL);
		while (!started)
			sleep_ms(1);
	} else {
		die("no variant %s", kind);
	}
	read_creds(&main_creds);
	ready();
	wait_for_term();
	check_creds("main", &main_creds);
	if (!strcmp(kind, "threads")) {
		stop = true;
		pthread_join(thread, NULL);
	}
	finish();
}
