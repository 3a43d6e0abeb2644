/* A thread that is not the leader has a seccomp filter, which allows everything. */
#include "../../subjects/subject.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>

static volatile int set;

static void *filter(void *unused)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		die("PR_SET_SECCOMP");
	set = 1;
	for (;;)
		pause();
	return unused;
}

int main(void)
{
	pthread_t thread;

	subject_init();
	pthread_create(&thread, NULL, filter, NULL);
	while (!set)
		usleep(1000);
	ready();
	wait_for_term();
	check(true, "came to its end", "-");
	finish();
}
