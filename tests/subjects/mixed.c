/*
 * A tree of tasks and resources made at random: its arguments say what is in it (mixed.h), and
 * tests/mixed/recipe.ts makes them up. At every SIGUSR1 it goes through everything once and says
 * `round N PASS` or `round N FAIL`; with the argument `busy` it does so all the time.
 */
#include "mixed.h"
#include "mixed_descriptors.h"
#include "mixed_mappings.h"
#include "mixed_tasks.h"
#include "mixed_timers.h"
#include "mixed_traps.h"
#include "mixed_waits.h"

#include <poll.h>

struct kind {
	const char *op;
	void (*make)(const struct part *);
	void (*change)(const struct part *, int as, long round);
	void (*look)(const struct part *, int as);
	/* Of kinds that are no descriptors. */
	void (*change_own)(const struct part *, long round);
	void (*look_own)(const struct part *);
};

static void end_make(const struct part *p);
static void dup_make(const struct part *p);
static void close_make(const struct part *p);
static void get_make(const struct part *p);

static const struct kind KINDS[] = {
	{ "file", file_make, file_change, file_look, NULL, NULL },
	{ "tree", tree_make, NULL, tree_look, NULL, NULL },
	{ "pipe", channel_make, channel_change, channel_look, NULL, NULL },
	{ "fifo", channel_make, channel_change, channel_look, NULL, NULL },
	{ "pair", channel_make, channel_change, channel_look, NULL, NULL },
	{ "pty", channel_make, channel_change, channel_look, NULL, NULL },
	{ "server", server_make, server_change, server_look, NULL, NULL },
	{ "event", event_make, event_change, event_look, NULL, NULL },
	{ "timerfd", timerfd_make, NULL, timerfd_look, NULL, NULL },
	{ "signalfd", signalfd_make, NULL, signalfd_look, NULL, NULL },
	{ "epoll", epoll_make, epoll_change, epoll_look, NULL, NULL },
	{ "memfd", memfd_make, memfd_change, memfd_look, NULL, NULL },
	{ "pidfd", pidfd_make, NULL, pidfd_look, NULL, NULL },
	{ "queue", queue_make, queue_change, queue_look, NULL, NULL },
	{ "segment", segment_make, segment_change, segment_look, NULL, NULL },
	{ "watch", watch_make, NULL, watch_look, NULL, NULL },
	{ "odd", odd_make, NULL, odd_look, NULL, NULL },
	{ "dup", dup_make, NULL, NULL, NULL, NULL },
	{ "close", close_make, NULL, NULL, NULL, NULL },
	{ "get", get_make, NULL, NULL, NULL, NULL },
	{ "map", map_make, NULL, NULL, map_change, map_look },
	{ "proc", process_make, NULL, NULL, NULL, NULL },
	{ "thread", thread_make, NULL, NULL, NULL, NULL },
	{ "set", attribute_make, NULL, NULL, NULL, NULL },
	{ "pending", pending_make, NULL, NULL, pending_change, NULL },
	{ "itimer", itimer_make, NULL, NULL, NULL, itimer_look },
	{ "timer", posix_make, NULL, NULL, NULL, posix_look },
	{ "wait", wait_make, NULL, NULL, NULL, wait_look },
	{ "program", program_make, NULL, program_look, NULL, NULL },
	{ "dispatch", dispatch_make, NULL, NULL, NULL, dispatch_look },
	{ "filter", filter_make, NULL, NULL, NULL, filter_look },
	{ "stop", NULL, NULL, NULL, NULL, NULL },
	{ "end", end_make, NULL, NULL, NULL, NULL },
};

static const struct kind *kind_of(const struct part *p)
{
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(*KINDS); i++)
		if (!strcmp(KINDS[i].op, p->op))
			return &KINDS[i];
	die("part %d: %s is no kind", p->id, p->op);
}

static bool is(const struct part *p, const char *op)
{
	return p->op && !strcmp(p->op, op);
}

/* --- what tasks do --- */

/* The part whose descriptors a part has: its own, or those of what it duplicates. */
static const struct part *origin(const struct part *p)
{
	while (is(p, "dup"))
		p = ref(p, 0);
	return p;
}

static void dup_make(const struct part *p)
{
	const struct part *of = ref(p, 0);
	for (int i = 0; i < 3; i++)
		if (fcntl(FD(of->id, i), F_GETFD) >= 0)
			dup3(FD(of->id, i), FD(p->id, i), has(p, "cloexec") ? O_CLOEXEC : 0);
}

static void close_make(const struct part *p)
{
	for (int i = 0; i < 3; i++)
		close(FD(ref(p, 0)->id, i));
}

/* Takes the descriptors of another task (`#TASK,#PART`), as if they had been sent. */
static void get_make(const struct part *p)
{
	int whose = ref(p, 0)->id, pidfd = syscall(SYS_pidfd_open, common->pid[whose], 0);
	for (int i = 0; i < 3; i++) {
		int got = syscall(SYS_pidfd_getfd, pidfd, FD(ref(p, 1)->id, i), 0);
		if (got < 0)
			continue;
		dup2(got, FD(ref(p, 1)->id, i));
		close(got);
	}
	close(pidfd);
}

/* A task that ends says that it is done before: afterwards it cannot. */
static void end_make(const struct part *p)
{
	common->done = common->seq;
	futex(&common->done, FUTEX_WAKE, 1000, NULL);
	if (has(p, "alone"))
		syscall(SYS_exit, 0);
	if (number(p, "signal", 0)) {
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		signal(number(p, "signal", 0), SIG_DFL);
		sigset_t own;
		sigemptyset(&own);
		sigaddset(&own, number(p, "signal", 0));
		pthread_sigmask(SIG_UNBLOCK, &own, NULL);
		for (;;)
			kill(getpid(), number(p, "signal", 0));
	}
	_exit(number(p, "status", 0));
}

static void perform(int me)
{
	const struct part *p = &parts[common->part];
	const struct kind *kind;
	int as = p->id;
	static struct portrait now; /* one task at a time, and each process has its own */

	switch (common->phase) {
	case MAKE:
		kind_of(p)->make(p);
		break;
	case CHANGE:
		p = origin(p);
		kind = kind_of(p);
		if (kind->change)
			kind->change(p, as, common->value);
		else if (kind->change_own)
			kind->change_own(p, common->value);
		break;
	case LOOK:
		p = origin(p);
		kind = kind_of(p);
		if (kind->look)
			kind->look(p, as);
		else if (kind->look_own)
			kind->look_own(p);
		break;
	case ABSENT:
		for (int i = 0; i < 3; i++)
			if (fcntl(FD(p->id, i), F_GETFD) >= 0)
				bad(p, "descriptor %d is here too", FD(p->id, i));
		break;
	case PORTRAIT:
		paint(&common->portrait[me], me == 0);
		break;
	case COMPARE:
		paint(&now, me == 0);
		compare(&parts[me], &common->portrait[me], &now);
		break;
	case MARK:
		mark_set(me, common->value);
		break;
	case SEE:
		mark_see(&parts[me], common->part, common->value >> 32, (int)common->value);
		break;
	}
}

/* What a task does all its life. How it waits is a word of its part. */
static void obey(int me, unsigned last)
{
	const struct part *p = &parts[me];
	struct timespec second = { 1, 0 };

	while (!common->ending) {
		unsigned now = common->seq;
		if (now != last) {
			last = now;
			if (common->who != me)
				continue;
			perform(me);
			common->done = now;
			futex(&common->done, FUTEX_WAKE, 1000, NULL);
		} else if (has(p, "nap")) {
			sleep_ms(3);
		} else if (has(p, "poll")) {
			poll(NULL, 0, 4);
		} else {
			futex(&common->seq, FUTEX_WAIT, now, has(p, "limit") ? &second : NULL);
		}
	}
}

/* --- what the root knows and does --- */

/* By task. `blocked` tasks obey nobody: they sit in a call of their own. */
static struct model {
	bool here, blocked, ended, stopped, zombie;
	int process, parent, table, fs, handlers, memory;
} model[MAX_PARTS];

/* By table and part, and by memory and part. */
static bool has_descriptor[MAX_PARTS][MAX_PARTS], has_mapping[MAX_PARTS][MAX_PARTS];

static volatile sig_atomic_t rounds_wanted;

static void on_usr1(int sig)
{
	(void)sig;
	rounds_wanted++;
}

static __attribute__((noreturn)) void give_up(void)
{
	for (int i = 1; i < MAX_PARTS; i++)
		if ((model[i].here && !model[i].ended && model[i].process == i) || is(&parts[i], "program"))
			kill(common->pid[i], SIGKILL);
	failures = common->failures;
	finish();
}

/* Asked without a descriptor, which another task would see that has the same table. A zombie has no program. */
static bool lives(int task)
{
	char path[64], target[8];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/exe", common->pid[task], common->tid[task]);
	return readlink(path, target, sizeof(target)) > 0;
}

static void command(int who, int part, enum phase phase, long value)
{
	struct timespec limit = { 0, 100000000 };

	common->who = who;
	common->part = part;
	common->phase = phase;
	common->value = value;
	common->seq++;
	if (who == 0) {
		perform(0);
		return;
	}
	futex(&common->seq, FUTEX_WAKE, 1000, NULL);
	for (int i = 0; common->done != common->seq; i++) {
		unsigned done = common->done;
		if (!lives(who) && common->done != common->seq) {
			bad(&parts[part], "the task is gone, in phase %d", phase);
			give_up();
		}
		if (i > 400) {
			bad(&parts[part], "the task does not answer, in phase %d", phase);
			give_up();
		}
		if (done != common->seq)
			futex(&common->done, FUTEX_WAIT, done, &limit);
	}
}

static bool obeys(int task)
{
	return model[task].here && !model[task].ended && !model[task].blocked;
}

static bool is_descriptor(const struct part *p)
{
	return kind_of(origin(p))->look != NULL;
}

static void add_task(const struct part *p, bool thread)
{
	const struct model *maker = &model[p->task];
	struct model *new = &model[p->id];

	*new = (struct model){ .here = true, .blocked = is(p, "wait") };
	new->process = thread ? maker->process : p->id;
	new->parent = thread ? maker->parent : has(p, "parent") ? maker->parent : maker->process;
	new->table = thread || has(p, "files") ? maker->table : p->id;
	new->fs = thread || has(p, "fs") ? maker->fs : p->id;
	new->handlers = thread || has(p, "sighand") ? maker->handlers : p->id;
	new->memory = thread || has(p, "vm") ? maker->memory : p->id;
	if (new->table != maker->table)
		memcpy(has_descriptor[p->id], has_descriptor[maker->table], sizeof(has_descriptor[0]));
	if (new->memory != maker->memory)
		for (int i = 0; i < MAX_PARTS; i++) {
			if (!has_mapping[maker->memory][i] || has(&parts[i], "dontfork"))
				continue;
			has_mapping[p->id][i] = true;
			common->seed[p->id][i] = has(&parts[i], "wipe") ? 0 : common->seed[maker->memory][i];
		}
}

static void await_state(int task, char state)
{
	pid_t pid = common->pid[task], tid = common->tid[task];
	for (int i = 0; i < 4000 && state_of(pid, tid) != state; i++)
		sleep_ms(2);
	if (state_of(pid, tid) != state)
		die("part %d does not become %c", task, state ? state : '0');
}

static void end_task(const struct part *p)
{
	int task = p->task;
	bool process = !has(p, "alone");

	for (int i = 0; i < MAX_PARTS; i++)
		if (model[i].here && (i == task || (process && model[i].process == model[task].process)))
			model[i].ended = true;
	bool leader = model[task].process == task;
	await_state(process ? model[task].process : task, process || leader ? 'Z' : 0);
	model[model[task].process].zombie |= process;
	if (!process)
		return;
	/* Children go to somebody else when the last thread has ended. */
	for (int i = 0; i < MAX_PARTS; i++)
		if (model[i].here && model[i].process == model[task].process && model[i].process != i)
			await_state(i, 0);
	for (int i = 0; i < MAX_PARTS; i++)
		if (model[i].here && model[i].process == i && model[i].parent == model[task].process)
			model[i].parent = -1;
}

static void add_part(const struct part *p)
{
	if (is(p, "proc") || is(p, "thread") || is(p, "wait")) {
		add_task(p, !is(p, "proc"));
		common->vm[p->id] = model[p->id].memory;
	} else if (is(p, "close")) {
		has_descriptor[model[p->task].table][ref(p, 0)->id] = false;
	} else if (is(p, "get")) {
		has_descriptor[model[p->task].table][ref(p, 1)->id] = true;
	} else if (is(p, "map")) {
		has_mapping[model[p->task].memory][p->id] = true;
	} else if (is(p, "end")) {
		end_task(p);
	} else if (is(p, "stop")) {
		model[p->task].stopped = true;
	} else if (is_descriptor(p)) {
		bool *mine = has_descriptor[model[p->task].table];
		mine[p->id] = !is(p, "dup") || mine[ref(p, 0)->id];
	}
}

static void stop_all(bool stop)
{
	for (int i = 1; i < MAX_PARTS; i++) {
		if (!model[i].here || model[i].ended || model[i].process != i || !model[i].stopped)
			continue;
		/* One that was restored stops again by itself, a moment after it was let go. */
		for (int n = 0; !stop && n < 2000 && state_of(common->pid[i], common->tid[i]) != 'T'; n++)
			sleep_ms(1);
		if (!stop && state_of(common->pid[i], common->tid[i]) != 'T')
			bad(&parts[i], "it is not stopped any more");
		kill(common->pid[i], stop ? SIGSTOP : SIGCONT);
		if (stop)
			await_state(i, 'T');
	}
}

/* A task that obeys and has this table or memory; -1 if there is none. */
static int one_with(int table, int memory)
{
	for (int i = 0; i < MAX_PARTS; i++)
		if (obeys(i) && (table < 0 || model[i].table == table) && (memory < 0 || model[i].memory == memory))
			return i;
	return -1;
}

static void go_through_descriptor(const struct part *p, long round)
{
	bool changed = false;
	for (int table = 0; table < MAX_PARTS; table++) {
		int task = one_with(table, -1);
		if (task < 0 || !has_descriptor[table][p->id])
			continue;
		if (!changed && !is(p, "dup"))
			command(task, p->id, CHANGE, round);
		changed = true;
	}
	for (int table = 0; table < MAX_PARTS; table++) {
		int task = one_with(table, -1);
		if (task >= 0)
			command(task, p->id, has_descriptor[table][p->id] ? LOOK : ABSENT, round);
	}
}

static void go_through_mapping(const struct part *p, long round)
{
	bool changed = false;
	for (int memory = 0; memory < MAX_PARTS; memory++) {
		int task = one_with(-1, memory);
		if (task < 0 || !has_mapping[memory][p->id])
			continue;
		if (!changed || !is_shared(p))
			command(task, p->id, CHANGE, round);
		changed = true;
	}
	for (int memory = 0; memory < MAX_PARTS; memory++) {
		int task = one_with(-1, memory);
		if (task >= 0 && has_mapping[memory][p->id])
			command(task, p->id, LOOK, round);
	}
}

static void go_through_zombie(const struct part *p)
{
	siginfo_t info = { 0 };
	const struct part *task = &parts[model[p->task].process];

	if (model[task->id].parent != 0 || has(p, "alone"))
		return;
	EXPECT(p, waitid(P_PID, common->pid[task->id], &info, WEXITED | WNOHANG | WNOWAIT | __WALL), 0, "waitid");
	EXPECT(p, info.si_pid, common->pid[task->id], "the zombie");
	int sig = number(p, "signal", 0);
	EXPECT(p, info.si_status, sig ? sig : number(p, "status", 0), "its status");
	EXPECT(p, info.si_code, sig ? CLD_KILLED : CLD_EXITED, "how it ended");
}

static void go_through_marks(long round)
{
	for (int i = 0; i < MAX_PARTS; i++) {
		if (!obeys(i))
			continue;
		command(i, i, MARK, round);
		for (int k = 0; k < MAX_PARTS; k++) {
			if (!obeys(k))
				continue;
			int shared = (model[k].table == model[i].table ? CLONE_FILES : 0) |
				     (model[k].fs == model[i].fs ? CLONE_FS : 0) |
				     (model[k].handlers == model[i].handlers ? CLONE_SIGHAND : 0);
			command(k, i, SEE, round << 32 | shared);
		}
	}
}

/* First everything is looked at as it was left, then changed, and looked at by all who have it. */
static void go_through(long round)
{
	int before = common->failures;

	stop_all(false);
	for (int i = 0; i < MAX_PARTS; i++)
		if (obeys(i))
			command(i, i, COMPARE, 0);
	for (int at = 0; at < part_count; at++) {
		const struct part *p = &parts[order[at]];
		if (is(p, "map"))
			go_through_mapping(p, round);
		else if (is(p, "end"))
			go_through_zombie(p);
		else if (is_descriptor(p))
			go_through_descriptor(p, round);
		else if (kind_of(p)->look_own || kind_of(p)->change_own) {
			if (!obeys(p->task))
				continue;
			command(p->task, p->id, LOOK, round);
			command(p->task, p->id, CHANGE, round);
		}
	}
	go_through_marks(round);
	stop_all(true);
	say("round %ld %s", round, common->failures == before ? "PASS" : "FAIL");
}

static void parse(char *text)
{
	struct part p = { 0 };
	char *op = strchr(text, '='), *at = op ? strchr(op, '@') : NULL, *rest = at ? strchr(at, ':') : NULL;

	if (!at)
		die("%s is no part", text);
	*op++ = *at++ = 0;
	if (rest)
		*rest++ = 0;
	p.id = atoi(text);
	p.op = op;
	p.task = atoi(at);
	for (char *word = rest ? strtok(rest, ",") : NULL; word; word = strtok(NULL, ","))
		p.word[p.words++] = word;
	if (p.id <= 0 || p.id >= MAX_PARTS - 1 || p.task < 0 || p.task >= MAX_PARTS)
		die("part %d@%d is out of range", p.id, p.task);
	parts[p.id] = p;
	order[part_count++] = p.id;
}

int main(int argc, char **argv)
{
	bool busy = false;
	long round = 0;

	subject_init();
	struct sigaction act = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	sigaction(SIGUSR1, &act, NULL);
	/* Those that are to wait for a process must find no thread that takes them. */
	sigset_t waiting;
	sigemptyset(&waiting);
	for (int sig = 39; sig <= 42; sig++)
		sigaddset(&waiting, sig);
	sigaddset(&waiting, SIGSTKFLT);
	sigprocmask(SIG_BLOCK, &waiting, NULL);
	if (mmap(COMMON_AT, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) != COMMON_AT)
		die("mmap");
	if (!getcwd(home, sizeof(home)))
		die("getcwd");
	parts[0] = (struct part){ .op = "root" };
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "busy"))
			busy = true;
		else
			parse(strdup(argv[i]));
	model[0] = (struct model){ .here = true, .parent = -1 };
	common->pid[0] = common->tid[0] = getpid();
	common->vm[0] = 0;
	for (int i = 0; i < part_count; i++) {
		const struct part *p = &parts[order[i]];
		if (!is(p, "stop"))
			command(p->task, p->id, MAKE, 0);
		add_part(p);
	}
	for (int i = 0; i < MAX_PARTS; i++)
		if (obeys(i))
			command(i, i, PORTRAIT, 0);
	stop_all(true);
	ready();
	for (int done = 0; !term_requested;) {
		if (busy || done < rounds_wanted) {
			done += !busy;
			go_through(++round);
		}
		sleep_ms(5);
	}
	go_through(++round);
	check(common->failures == 0, "everything", "%d things are wrong", common->failures);
	give_up();
}
