/*
 * What a task has beside memory, files and credentials: name, personality, limits, niceness, scheduling
 * policy, affinity, timer slack, oom_score_adj, parent death signal, subreaper, working directory, umask,
 * THP setting, I/O priority, command line and environment; and a thread's own where it has its own.
 */
#include "subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define LIMITS 16

/* What a thread has of its own. */
struct thread_attrs {
	char comm[16];
	int nice, policy, priority, ioprio, reset_on_fork;
	cpu_set_t affinity;
	unsigned long timerslack;
};

struct attrs {
	struct thread_attrs thread;
	int personality, pdeathsig, subreaper, thp_disabled;
	mode_t umask;
	struct rlimit limits[LIMITS];
	char cwd[256], exe[256], oom[16], cmdline[256], environ[1024];
};

static volatile bool started, stop;
static struct thread_attrs thread_before;

static void read_thread(struct thread_attrs *a)
{
	struct sched_param param;

	memset(a, 0, sizeof(*a));
	prctl(PR_GET_NAME, a->comm);
	a->nice = getpriority(PRIO_PROCESS, own_tid());
	int policy = sched_getscheduler(0);
	a->policy = policy & ~SCHED_RESET_ON_FORK;
	a->reset_on_fork = policy & SCHED_RESET_ON_FORK;
	sched_getparam(0, &param);
	a->priority = param.sched_priority;
	a->ioprio = syscall(SYS_ioprio_get, 1, 0);
	sched_getaffinity(0, sizeof(a->affinity), &a->affinity);
	a->timerslack = prctl(PR_GET_TIMERSLACK);
}

static void read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);

	memset(text, 0, size);
	if (fd < 0 || read(fd, text, size - 1) < 0)
		die("%s", path);
	close(fd);
}

static void read_attrs(struct attrs *a)
{
	memset(a, 0, sizeof(*a));
	read_thread(&a->thread);
	a->personality = personality(0xffffffff);
	prctl(PR_GET_PDEATHSIG, &a->pdeathsig);
	prctl(PR_GET_CHILD_SUBREAPER, &a->subreaper);
	a->thp_disabled = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	a->umask = umask(0);
	umask(a->umask);
	for (int i = 0; i < LIMITS; i++)
		getrlimit(i, &a->limits[i]);
	if (!getcwd(a->cwd, sizeof(a->cwd)) || readlink("/proc/self/exe", a->exe, sizeof(a->exe) - 1) < 0)
		die("getcwd");
	read_file("/proc/self/oom_score_adj", a->oom, sizeof(a->oom));
	read_file("/proc/self/cmdline", a->cmdline, sizeof(a->cmdline));
	read_file("/proc/self/environ", a->environ, sizeof(a->environ));
}

static void check_thread(const char *who, const struct thread_attrs *got, const struct thread_attrs *want)
{
	char name[64];
#define SAME(what, holds, ...) \
	(snprintf(name, sizeof(name), "%s%s", who, what), check(holds, name, __VA_ARGS__))
	SAME("name", !strcmp(got->comm, want->comm), "%s instead of %s", got->comm, want->comm);
	SAME("niceness", got->nice == want->nice, "%d instead of %d", got->nice, want->nice);
	SAME("policy", got->policy == want->policy && got->priority == want->priority,
	     "%d/%d instead of %d/%d", got->policy, got->priority, want->policy, want->priority);
	SAME("reset on fork", got->reset_on_fork == want->reset_on_fork, "%#x", got->reset_on_fork);
	SAME("I/O priority", got->ioprio == want->ioprio, "%#x instead of %#x", got->ioprio, want->ioprio);
	SAME("affinity", CPU_EQUAL(&got->affinity, &want->affinity), "other CPUs");
	SAME("timer slack", got->timerslack == want->timerslack, "%lu instead of %lu", got->timerslack,
	     want->timerslack);
}

static void *worker(void *unused)
{
	struct sched_param param = { 0 };
	struct thread_attrs now;
	cpu_set_t one;

	prctl(PR_SET_NAME, "a (thr) ead");
	setpriority(PRIO_PROCESS, own_tid(), 7);
	sched_setscheduler(0, SCHED_IDLE, &param);
	sched_getaffinity(0, sizeof(one), &one);
	for (int cpu = 0, kept = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &one) && kept++)
			CPU_CLR(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	prctl(PR_SET_TIMERSLACK, 123456);
	read_thread(&thread_before);
	started = true;
	while (!stop)
		sleep_ms(2);
	read_thread(&now);
	check_thread("thread: ", &now, &thread_before);
	return unused;
}

/* Sets a soft limit below the hard one, and the hard one lower too. */
static void lower(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit now;

	getrlimit(resource, &now);
	if (now.rlim_max != RLIM_INFINITY && hard > now.rlim_max)
		hard = now.rlim_max;
	if (soft > hard)
		soft = hard;
	if (setrlimit(resource, &(struct rlimit){ soft, hard }))
		die("setrlimit(%d)", resource);
}

int main(void)
{
	static struct attrs before, after;
	struct sched_param param = { 0 };
	pthread_t thread;
	char name[48];

	subject_init();
	if (mkdir("work dir", 0755) && errno != EEXIST)
		die("mkdir");
	if (chdir("work dir"))
		die("chdir");
	umask(0137);
	personality(ADDR_NO_RANDOMIZE | PER_LINUX);
	setpriority(PRIO_PROCESS, 0, 5);
	sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &param);
	syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6); /* best effort, level 6 */
	prctl(PR_SET_TIMERSLACK, 77777);
	prctl(PR_SET_PDEATHSIG, SIGUSR2);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	signal(SIGUSR2, SIG_IGN);
	lower(RLIMIT_CORE, 0, 1 << 20);
	lower(RLIMIT_NOFILE, 300, 1000);
	lower(RLIMIT_STACK, 4 << 20, 64 << 20);
	lower(RLIMIT_AS, 1UL << 40, 1UL << 41);
	lower(RLIMIT_SIGPENDING, 500, 600);
	lower(RLIMIT_RTTIME, 1000000, 2000000);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);
	if (fd < 0 || write(fd, "321", 3) != 3)
		die("oom_score_adj");
	close(fd);
	if (pthread_create(&thread, NULL, worker, NULL))
		die("pthread_create");
	while (!started)
		sleep_ms(1);
	prctl(PR_SET_NAME, "sub)ject (x");
	read_attrs(&before);
	ready();
	wait_for_term();

	read_attrs(&after);
	stop = true;
	pthread_join(thread, NULL);
	check_thread("", &after.thread, &before.thread);
	check_equal("personality", after.personality, before.personality);
	check_equal("parent death signal", after.pdeathsig, SIGUSR2);
	check_equal("subreaper", after.subreaper, 1);
	check_equal("THP disabled", after.thp_disabled, before.thp_disabled);
	check_equal("umask", after.umask, 0137);
	for (int i = 0; i < LIMITS; i++) {
		snprintf(name, sizeof(name), "limit %d", i);
		check(!memcmp(&after.limits[i], &before.limits[i], sizeof(before.limits[i])), name,
		      "%lu/%lu instead of %lu/%lu", after.limits[i].rlim_cur, after.limits[i].rlim_max,
		      before.limits[i].rlim_cur, before.limits[i].rlim_max);
	}
	check(!strcmp(after.cwd, before.cwd), "working directory", "%s", after.cwd);
	check(!strcmp(after.exe, before.exe), "exe link", "%s", after.exe);
	check(!strcmp(after.oom, before.oom), "oom_score_adj", "%s", after.oom);
	check(!memcmp(after.cmdline, before.cmdline, sizeof(after.cmdline)), "command line", "%s",
	      after.cmdline);
	check(!memcmp(after.environ, before.environ, sizeof(after.environ)), "environment", "%s",
	      after.environ);
	finish();
}
