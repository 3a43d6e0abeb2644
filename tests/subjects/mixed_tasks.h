/* Parts of the mixed subject that are tasks and what belongs to a task, and the portrait of a task: its
 * attributes, taken down when everything is set up, and compared ever after. */
#ifndef MIXED_TASKS_H
#define MIXED_TASKS_H

#include "mixed.h"

#include <linux/capability.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>

#define MARK_SIGNAL (SIGRTMIN + 12)

static void obey(int me, unsigned last);

static inline void note(struct portrait *to, const char *name, int index, unsigned long value)
{
	if (to->lines == PORTRAIT_LINES)
		return;
	if (index < 0)
		snprintf(to->line[to->lines].name, sizeof(to->line[0].name), "%s", name);
	else
		snprintf(to->line[to->lines].name, sizeof(to->line[0].name), "%s %d", name, index);
	to->line[to->lines++].value = value;
}

static inline unsigned long mix(const void *data, size_t size)
{
	unsigned long hash = 14695981039346656037UL;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211UL;
	return hash & 0xffffffff;
}

/* As the kernel has it; glibc's header for it clashes with <sched.h>. */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t clamp_min, clamp_max;
};

/* As the kernel has it (SYS_rt_sigaction), restorer included. */
struct kernel_sigaction {
	unsigned long handler, flags, restorer, mask;
};

/* The control groups that one is in, but roots: hierarchies come and go, and everybody is in the root of a new one. */
static inline unsigned long control_groups(void)
{
	char text[8192];
	int fd = open("/proc/thread-self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	unsigned long all = 0;
	for (char *line = text, *end; line < text + size; line = end + 1) {
		end = memchr(line, '\n', text + size - line);
		if (!end)
			break;
		if (end - line < 2 || memcmp(end - 2, ":/", 2))
			all = all * 31 + mix(line, end - line);
	}
	return all;
}

/* Enters one of the groups that the test has made below the directory that an environment variable names. */
static inline void enter_group(const char *variable, long value, const char *list)
{
	const char *home = getenv(variable);
	char path[600];
	if (!home)
		return;
	snprintf(path, sizeof(path), "%s/%ld/%s", home, value, list);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	/* Who has given up its user id may not. */
	if (fd < 0)
		return;
	dprintf(fd, "0");
	close(fd);
}

/* One's own attributes. What other parts change as they go is left out. */
static inline void paint(struct portrait *to, bool is_root)
{
	static const int PRCTLS[] = { PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_SECCOMP, PR_GET_SECUREBITS,
				      PR_MCE_KILL_GET, PR_GET_NO_NEW_PRIVS,
				      PR_GET_THP_DISABLE, 66 /* PR_GET_MDWE */, 68 /* PR_GET_MEMORY_MERGE */ };
	static const int PRCTL_POINTERS[] = { PR_GET_PDEATHSIG, PR_GET_TSC, PR_GET_CHILD_SUBREAPER,
					      PR_GET_TID_ADDRESS };
	int ids[3];
	gid_t groups[64];
	char text[32] = "";

	to->lines = 0;
	if (!is_root)
		note(to, "ppid", -1, getppid());
	note(to, "pid", -1, getpid());
	note(to, "tid", -1, own_tid());
	note(to, "pgrp", -1, getpgrp());
	note(to, "session", -1, getsid(0));
	getresuid((uid_t *)&ids[0], (uid_t *)&ids[1], (uid_t *)&ids[2]);
	note(to, "uids", -1, mix(ids, sizeof(ids)));
	getresgid((gid_t *)&ids[0], (gid_t *)&ids[1], (gid_t *)&ids[2]);
	note(to, "gids", -1, mix(ids, sizeof(ids)));
	note(to, "groups", -1, mix(groups, getgroups(64, groups) * sizeof(gid_t)));
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = { 0 };
	syscall(SYS_capget, &header, caps);
	note(to, "capabilities", -1, mix(caps, sizeof(caps)));
	for (int i = 0; i < 41; i++)
		if (prctl(PR_CAPBSET_READ, i) != 1)
			note(to, "not bounding", i, 0);
	note(to, "nice", -1, getpriority(PRIO_PROCESS, 0) + 20);
	struct scheduling attr = { .size = sizeof(attr) };
	syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0);
	note(to, "sched_attr", -1, mix(&attr, sizeof(attr)));
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	note(to, "affinity", -1, mix(&cpus, sizeof(cpus)));
	note(to, "ioprio", -1, syscall(SYS_ioprio_get, 1, 0));
	for (int i = 0; i < 16; i++) {
		struct rlimit limit;
		getrlimit(i, &limit);
		note(to, "soft limit", i, limit.rlim_cur);
		note(to, "hard limit", i, limit.rlim_max);
	}
	prctl(PR_GET_NAME, text);
	note(to, "name", -1, mix(text, strlen(text)));
	for (size_t i = 0; i < sizeof(PRCTLS) / sizeof(*PRCTLS); i++)
		note(to, "prctl", PRCTLS[i], prctl(PRCTLS[i], 0, 0, 0, 0));
	note(to, "timer slack", -1, prctl(PR_GET_TIMERSLACK));
	for (size_t i = 0; i < sizeof(PRCTL_POINTERS) / sizeof(*PRCTL_POINTERS); i++) {
		long value = 0;
		prctl(PRCTL_POINTERS[i], &value, 0, 0, 0);
		note(to, "prctl", PRCTL_POINTERS[i], value);
	}
	note(to, "personality", -1, personality(0xffffffff));
	int policy = -1;
	unsigned long nodes[16] = { 0 };
	syscall(SYS_get_mempolicy, &policy, nodes, 1024, 0, 0);
	note(to, "memory policy", -1, policy * 1000 + nodes[0]);
	sigset_t set;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	note(to, "mask", -1, *(unsigned long *)&set);
	sigpending(&set);
	for (int i = 1; i < 65; i++)
		if (sigismember(&set, i) == 1)
			note(to, "pending", i, 1);
	stack_t stack;
	sigaltstack(NULL, &stack);
	note(to, "stack at", -1, (unsigned long)stack.ss_sp);
	note(to, "stack size", -1, stack.ss_size);
	note(to, "stack flags", -1, stack.ss_flags);
	for (int i = 1; i < 65; i++) {
		struct kernel_sigaction action;
		if (i != MARK_SIGNAL && !syscall(SYS_rt_sigaction, i, NULL, &action, 8) &&
		    (action.handler || action.flags))
			note(to, "signal", i, mix(&action, sizeof(action)));
	}
	for (int i = 0; i < 3; i++) {
		struct itimerval timer;
		getitimer(i, &timer);
		note(to, "itimer", i, timer.it_interval.tv_sec * 1000000 + timer.it_interval.tv_usec);
		/* One that comes again is off for the moment in which its signal waits. */
		if (!timer.it_interval.tv_sec && !timer.it_interval.tv_usec)
			note(to, "itimer on", i, timer.it_value.tv_sec || timer.it_value.tv_usec);
	}
	note(to, "oom_score_adj", -1, proc_number("/proc/self/oom_score_adj", NULL, 10));
	note(to, "coredump_filter", -1, proc_number("/proc/self/coredump_filter", NULL, 16));
	note(to, "control groups", -1, control_groups());
	void *list = NULL;
	size_t size = 0;
	syscall(SYS_get_robust_list, 0, &list, &size);
	note(to, "robust list", -1, (unsigned long)list);
	note(to, "brk", -1, syscall(SYS_brk, 0));
	for (int fd = 3; fd < TABLE_MARK(0); fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags < 0)
			continue;
		note(to, "descriptor", fd, (unsigned long)flags << 32 | (unsigned)fcntl(fd, F_GETFL));
		int more[] = { fcntl(fd, F_GETOWN), fcntl(fd, F_GETSIG), fcntl(fd, F_GETLEASE) };
		note(to, "owner, lease", fd, mix(more, sizeof(more)));
	}
}

static inline void compare(const struct part *p, const struct portrait *was, const struct portrait *is)
{
	for (int i = 0; i < was->lines || i < is->lines; i++) {
		bool more = i >= was->lines, less = i >= is->lines;
		if (more || less || strcmp(was->line[i].name, is->line[i].name)) {
			bad(p, "attribute \"%s\" where \"%s\" was", less ? "nothing" : is->line[i].name,
			    more ? "nothing" : was->line[i].name);
			return;
		}
		/* A thread that a real-time one made may have no slack, and nothing sets that. */
		if (!strcmp(was->line[i].name, "timer slack") && was->line[i].value == 0)
			continue;
		if (was->line[i].value != is->line[i].value)
			bad(p, "attribute \"%s\" is %#lx and was %#lx", is->line[i].name, is->line[i].value,
			    was->line[i].value);
	}
}

/* A handler for what must not come, or does nothing. */
static inline void handle_quietly(int sig)
{
	(void)sig;
}

static inline void handle_info(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
}

static inline int process_child(void *arg)
{
	const struct part *p = arg;
	unsigned last = common->seq;
	common->pid[p->id] = getpid();
	common->tid[p->id] = own_tid();
	if (has(p, "ownsession"))
		setsid();
	if (has(p, "owngroup"))
		setpgid(0, 0);
	obey(p->id, last);
	_exit(0);
}

static inline void process_make(const struct part *p)
{
	int flags = (has(p, "files") ? CLONE_FILES : 0) | (has(p, "fs") ? CLONE_FS : 0) | (has(p, "vm") ? CLONE_VM : 0) |
		    (has(p, "sighand") ? CLONE_SIGHAND : 0) | (has(p, "sysvsem") ? CLONE_SYSVSEM : 0) |
		    (has(p, "parent") ? CLONE_PARENT : 0) | (has(p, "io") ? CLONE_IO : 0);
	int sig = number(p, "exitsig", SIGCHLD);
	long pid;

	if (has(p, "vm")) {
		unsigned char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pid = clone(process_child, stack + 65536, flags | sig, (void *)p);
	} else if (flags || sig != SIGCHLD) {
		pid = syscall(SYS_clone, flags | sig, NULL, NULL, NULL, 0);
		if (pid == 0)
			process_child((void *)p);
	} else {
		pid = fork();
		if (pid == 0)
			process_child((void *)p);
	}
	if (pid < 0)
		die("part %d: clone", p->id);
	while (!common->tid[p->id])
		sleep_ms(1);
}

static inline void *thread_main(void *arg)
{
	const struct part *p = arg;
	unsigned last = common->seq;
	common->pid[p->id] = getpid();
	common->tid[p->id] = own_tid();
	obey(p->id, last);
	return NULL;
}

static inline void start_thread(const struct part *p, void *(*body)(void *))
{
	pthread_t thread;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 131072);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int error = pthread_create(&thread, &attr, body, (void *)p);
	if (error)
		errno = error, die("part %d: pthread_create", p->id);
	while (!common->tid[p->id])
		sleep_ms(1);
}

static inline void thread_make(const struct part *p)
{
	start_thread(p, thread_main);
}

/* `KIND=VALUE`: the first word says what of this task is changed. */
static inline void attribute_make(const struct part *p)
{
	const char *kind = p->words ? p->word[0] : "";
	long value = number(p, "v", 0);
	struct rlimit limit;
	bool right = true;

	if (!strcmp(kind, "name")) {
		right = !prctl(PR_SET_NAME, text_of(p, "v", "x"));
	} else if (!strcmp(kind, "nice")) {
		right = !setpriority(PRIO_PROCESS, 0, value);
	} else if (!strcmp(kind, "sched")) {
		struct sched_param param = { .sched_priority = value == SCHED_FIFO || value == SCHED_RR ? 3 : 0 };
		right = !sched_setscheduler(0, value | (has(p, "reset") ? SCHED_RESET_ON_FORK : 0), &param);
	} else if (!strcmp(kind, "slice")) {
		struct scheduling attr = { .size = sizeof(attr), .runtime = value * 1000000 };
		syscall(SYS_sched_setattr, 0, &attr, 0);
	} else if (!strcmp(kind, "affinity")) {
		cpu_set_t cpus;
		CPU_ZERO(&cpus);
		CPU_SET(value % get_nprocs(), &cpus);
		right = !sched_setaffinity(0, sizeof(cpus), &cpus);
	} else if (!strcmp(kind, "ioprio")) {
		right = !syscall(SYS_ioprio_set, 1, 0, 2 << 13 | value);
	} else if (!strcmp(kind, "limit")) {
		int resource = number(p, "of", RLIMIT_CORE);
		getrlimit(resource, &limit);
		if (limit.rlim_max == RLIM_INFINITY || (rlim_t)value < limit.rlim_max)
			limit.rlim_cur = value;
		if (has(p, "hard"))
			limit.rlim_max = limit.rlim_cur;
		right = !setrlimit(resource, &limit);
	} else if (!strcmp(kind, "cgroup")) {
		enter_group("MIXED_CGROUPS", value, "tasks");
	} else if (!strcmp(kind, "cgroup2")) {
		enter_group("MIXED_CGROUPS2", value, "cgroup.procs");
	} else if (!strcmp(kind, "session")) {
		setsid();
	} else if (!strcmp(kind, "group")) {
		const struct part *of = ref(p, 0);
		setpgid(0, of ? common->pid[of->id] : 0);
	} else if (!strcmp(kind, "cwd")) {
		char path[600];
		at_home(path, sizeof(path), "cwd", p->id);
		right = !mkdir(path, 0755) && !chdir(path);
		if (has(p, "deleted"))
			right = right && !rmdir(path);
	} else if (!strcmp(kind, "mask")) {
		sigset_t set;
		sigemptyset(&set);
		for (int i = 0; i < 64; i++)
			if (value >> i & 1)
				sigaddset(&set, i + 1);
		sigdelset(&set, SIGSYS);
		sigdelset(&set, SIGSEGV);
		right = !pthread_sigmask(SIG_BLOCK, &set, NULL);
	} else if (!strcmp(kind, "handler")) {
		struct sigaction action = { .sa_flags = number(p, "flags", 0) };
		sigemptyset(&action.sa_mask);
		sigaddset(&action.sa_mask, 1 + value * 7 % 30);
		if (has(p, "ignore"))
			action.sa_handler = SIG_IGN;
		else if (action.sa_flags & SA_SIGINFO)
			action.sa_sigaction = handle_info;
		else
			action.sa_handler = handle_quietly;
		right = !sigaction(value, &action, NULL);
	} else if (!strcmp(kind, "altstack")) {
		stack_t stack = { .ss_size = 16384 + value, .ss_flags = has(p, "disarm") ? (int)(1U << 31) : 0 };
		stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		right = !sigaltstack(&stack, NULL);
	} else if (!strcmp(kind, "pdeathsig")) {
		right = !prctl(PR_SET_PDEATHSIG, value);
	} else if (!strcmp(kind, "dumpable")) {
		right = !prctl(PR_SET_DUMPABLE, value);
	} else if (!strcmp(kind, "keepcaps")) {
		right = !prctl(PR_SET_KEEPCAPS, 1);
	} else if (!strcmp(kind, "nnp")) {
		right = !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	} else if (!strcmp(kind, "slack")) {
		right = !prctl(PR_SET_TIMERSLACK, value);
	} else if (!strcmp(kind, "subreaper")) {
		right = !prctl(PR_SET_CHILD_SUBREAPER, 1);
	} else if (!strcmp(kind, "thp")) {
		right = !prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	} else if (!strcmp(kind, "tsc")) {
		right = !prctl(PR_SET_TSC, PR_TSC_ENABLE);
	} else if (!strcmp(kind, "mce")) {
		right = !prctl(PR_MCE_KILL, PR_MCE_KILL_SET, value, 0, 0);
	} else if (!strcmp(kind, "mdwe")) {
		prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0);
	} else if (!strcmp(kind, "ksm")) {
		prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0);
	} else if (!strcmp(kind, "policy")) {
		unsigned long nodes = 1;
		syscall(SYS_set_mempolicy, value, value == 0 || value == 4 ? NULL : &nodes, 64);
	} else if (!strcmp(kind, "personality")) {
		right = personality(value) >= 0;
	} else if (!strcmp(kind, "oom")) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		dprintf(fd, "%ld", value);
		close(fd);
	} else if (!strcmp(kind, "coredump")) {
		int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
		dprintf(fd, "%#lx", value);
		close(fd);
	} else if (!strcmp(kind, "bounding")) {
		right = !prctl(PR_CAPBSET_DROP, value);
	} else if (!strcmp(kind, "caps")) {
		struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
		struct __user_cap_data_struct caps[2];
		right = !syscall(SYS_capget, &header, caps);
		caps[0].effective &= ~(1U << value);
		if (has(p, "permitted"))
			caps[0].permitted &= ~(1U << value);
		right = right && !syscall(SYS_capset, &header, caps);
	} else if (!strcmp(kind, "groups")) {
		gid_t groups[3] = { value, value + 1, value + 77 };
		right = !syscall(SYS_setgroups, 3, groups);
	} else if (!strcmp(kind, "gid")) {
		right = !syscall(SYS_setresgid, -1, value, -1);
	} else if (!strcmp(kind, "uid")) {
		/* Another user who may do all that root may: what the subject does needs it. */
		struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
		struct __user_cap_data_struct caps[2];
		right = !syscall(SYS_capget, &header, caps) && !prctl(PR_SET_KEEPCAPS, 1) &&
			!syscall(SYS_setresuid, value, value, has(p, "saved") ? 0 : value) &&
			!syscall(SYS_capset, &header, caps) && !prctl(PR_SET_DUMPABLE, 1);
	} else if (!strcmp(kind, "lockall")) {
		right = !mlockall(value);
	} else if (!strcmp(kind, "keyring")) {
		right = syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) > 0;
	} else {
		die("attribute %s", kind);
	}
	if (!right)
		die("part %d: %s", p->id, kind);
}

/* Signals that wait; main() has blocked them. state: how many, and the value that the first carries. */
static inline void pending_send(const struct part *p, long first)
{
	int sig = number(p, "sig", SIGRTMIN + 5);
	volatile long *state = common->state[p->id];

	state[0] = number(p, "n", 1);
	state[1] = first;
	for (int i = 0; i < state[0]; i++) {
		siginfo_t info = { .si_signo = sig, .si_code = SI_QUEUE };
		info.si_pid = getpid();
		info.si_value.sival_int = first + i;
		long result = has(p, "thread") ? syscall(SYS_rt_tgsigqueueinfo, getpid(), own_tid(), sig, &info)
					       : syscall(SYS_rt_sigqueueinfo, getpid(), sig, &info);
		if (result)
			bad(p, "sigqueue: errno %d", errno);
	}
}

static inline void pending_make(const struct part *p)
{
	pending_send(p, p->id);
}

static inline void pending_change(const struct part *p, long round)
{
	int sig = number(p, "sig", SIGRTMIN + 5);
	volatile long *state = common->state[p->id];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	for (int i = 0; i < state[0]; i++) {
		siginfo_t info;
		struct timespec none = { 0 };
		EXPECT(p, sigtimedwait(&set, &info, &none), sig, "a signal that waited");
		EXPECT(p, info.si_value.sival_int, state[1] + i, "its value");
		EXPECT(p, info.si_pid, getpid(), "its sender");
		if (sig < 34)
			break;
	}
	struct timespec none = { 0 };
	EXPECT(p, sigtimedwait(&set, NULL, &none), -1, "one more signal");
	pending_send(p, round);
}

/* Makes the tables of a task tell that they are its own. */
static inline void mark_set(int me, long round)
{
	struct sigaction action = { .sa_handler = SIG_IGN, .sa_flags = SA_RESTART };
	sigemptyset(&action.sa_mask);
	for (int i = 0; i < 8; i++)
		if ((me + round) >> i & 1)
			sigaddset(&action.sa_mask, 40 + i);
	sigaction(MARK_SIGNAL, &action, NULL);
	dup2(1, TABLE_MARK(me));
	fcntl(TABLE_MARK(me), F_SETFD, (me + round) & 1 ? FD_CLOEXEC : 0);
	umask((me * 7 + round) & 0777);
}

/* What a task sees of the mark of `whose`; `shared` says which tables it should have in common. */
static inline void mark_see(const struct part *p, int whose, long round, int shared)
{
	struct kernel_sigaction action = { 0 };
	unsigned long mask = 0;

	if (shared & CLONE_SIGHAND) {
		for (int i = 0; i < 8; i++)
			if ((whose + round) >> i & 1)
				mask |= 1UL << (39 + i);
		syscall(SYS_rt_sigaction, MARK_SIGNAL, NULL, &action, 8);
		EXPECT(p, action.mask, mask, "the table of signal handlers: the mark in it");
	}
	if (shared & CLONE_FS) {
		mode_t now = umask(0);
		umask(now);
		EXPECT(p, now, (whose * 7 + round) & 0777, "the umask");
	}
	EXPECT(p, fcntl(TABLE_MARK(whose), F_GETFD),
	       shared & CLONE_FILES ? ((whose + round) & 1 ? FD_CLOEXEC : 0) : -1,
	       "the table of descriptors: the mark in it");
}

#endif
