/*
 * Settings that hardly any program changes: of a process, of its first thread and, with other values, of another
 * thread. Each is read back at the end; that the time stamp counter cannot be read is tried.
 */
#include "subject.h"

#include <linux/mempolicy.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/prctl.h>

#ifndef PR_FUTEX_HASH
#define PR_FUTEX_HASH 78
#define PR_FUTEX_HASH_SET_SLOTS 1
#define PR_FUTEX_HASH_GET_SLOTS 2
#endif
#define KEYCTL_SET_REQKEY_KEYRING 14
#define KEYRING_OF_THE_USERS_SESSION 5
#define KEYRING_OF_THE_USER 4

/* struct sched_attr, as Linux 4.14 has it. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

struct settings {
	int tsc, mce, keyring, policy, flusher;
	unsigned long nodes[16];
	struct attributes sched;
};

static struct settings other_before;
static volatile bool started, stop;
static sigjmp_buf faulted;

static void read_settings(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	prctl(PR_GET_TSC, &s->tsc);
	s->mce = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	s->flusher = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);
	s->keyring = syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, -1);
	syscall(SYS_get_mempolicy, &s->policy, s->nodes, sizeof(s->nodes) * 8 + 1, NULL, 0);
	syscall(SYS_sched_getattr, 0, &s->sched, sizeof(s->sched), 0);
}

/* Asks for a slice, in milliseconds, and leaves the rest. */
static void set_slice(unsigned ms)
{
	struct attributes a;

	syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0);
	a.runtime = ms * 1000000ull;
	if (syscall(SYS_sched_setattr, 0, &a, 0))
		die("sched_setattr");
}

static void compare(const char *who, const struct settings *got, const struct settings *want)
{
	char name[64];
#define SAME(what, field) \
	(snprintf(name, sizeof(name), "%s%s", who, what), \
	 check(got->field == want->field, name, "%llu instead of %llu", (unsigned long long)got->field, \
	       (unsigned long long)want->field))
	SAME("time stamp counter", tsc);
	SAME("memory errors", mce);
	SAME("keyring", keyring);
	SAME("slice", sched.runtime);
	SAME("NUMA policy", policy);
	SAME("I/O flusher", flusher);
	SAME("its nodes", nodes[0]);
	SAME("niceness", sched.nice);
}

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(faulted, 1);
}

static bool tsc_faults(void)
{
	unsigned low, high;

	if (sigsetjmp(faulted, 1))
		return true;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return false;
}

static void *other(void *unused)
{
	struct settings now;

	prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0);
	syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEYRING_OF_THE_USERS_SESSION);
	set_slice(7);
	/* Takes CAP_SYS_RESOURCE, to be asked too. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	unsigned long first = 1;
	/* A kernel without NUMA has no such call. */
	syscall(SYS_set_mempolicy, MPOL_BIND, &first, 64);
	read_settings(&other_before);
	started = true;
	while (!stop)
		sleep_ms(2);
	read_settings(&now);
	compare("thread: ", &now, &other_before);
	check(tsc_faults(), "thread: reading the counter faults", "it does not");
	return unused;
}

int main(void)
{
	struct settings before, after;
	pthread_t thread;

	subject_init();
	signal(SIGSEGV, on_fault);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
	syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEYRING_OF_THE_USER);
	set_slice(11);
	syscall(SYS_set_mempolicy, MPOL_LOCAL, NULL, 0);
	if (pthread_create(&thread, NULL, other, NULL))
		die("pthread_create");
	while (!started)
		sleep_ms(1);
	/* Fewer than the kernel would give it by itself; an old kernel has none. */
	prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, 8, 0, 0);
	int slots = prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS, 0, 0, 0);
	read_settings(&before);
	check_equal("memory errors are set", before.mce, PR_MCE_KILL_EARLY);
	check_equal("a thread faults", other_before.tsc, PR_TSC_SIGSEGV);
	ready();
	wait_for_term();

	read_settings(&after);
	compare("", &after, &before);
	check_equal("slots of the futex hash", prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS, 0, 0, 0), slots);
	check(!tsc_faults(), "reading the counter does not fault", "it does");
	stop = true;
	pthread_join(thread, NULL);
	finish();
}
