/*
 * Every thread with a selector of its own behind the thread pointer, as Wine has it in its TEB.
 * Usage: sud_threads [N=4] [fs|gs]   gs: the selector is read through a gs base of the thread's own.
 *
 * Thread 0, 4, 8, ... BLOCK all the time; 1, 5, ... ALLOW; 2, 6, ... change between the two;
 * 3, 7, ... have no dispatch at all and must not get one from a neighbour.
 */
#include "sud.h"

#include <asm/prctl.h>
#include <pthread.h>

struct thread {
	pthread_t thread;
	int index;
	volatile pid_t tid;
	struct sud_config config;
	struct sud_count dispatched, passed;
	/* What gs points to: the selector stands 8 bytes in. */
	struct {
		uint64_t index;
		volatile char selector;
	} block;
	bool selector_right;
};

static bool through_gs;
static volatile bool stop;
static __thread volatile char fs_selector;

static volatile char *selector_of(struct thread *self)
{
	return through_gs ? &self->block.selector : &fs_selector;
}

static void set_selector(char value)
{
	if (through_gs)
		__asm__ volatile("movb %0, %%gs:8" : : "q"(value) : "memory");
	else
		fs_selector = value;
}

static char get_selector(void)
{
	char value = fs_selector;

	if (through_gs)
		__asm__ volatile("movb %%gs:8, %0" : "=q"(value) : : "memory");
	return value;
}

static void *worker(void *arg)
{
	struct thread *self = arg;
	int kind = self->index % 4;
	char resting = kind == 0 || kind == 2 ? SUD_BLOCK : SUD_ALLOW;

	self->block.index = self->index;
	if (through_gs && syscall(SYS_arch_prctl, ARCH_SET_GS, &self->block))
		die("arch_prctl(ARCH_SET_GS)");
	if (kind != 3) {
		self->config = sud_outside_libc(selector_of(self));
		sud_arm(self->config);
	}
	set_selector(resting);
	self->tid = own_tid();
	while (!stop) {
		if (kind == 0 || kind == 2)
			sud_issue_next(&self->dispatched);
		if (kind == 2)
			set_selector(SUD_ALLOW);
		if (kind != 0)
			sud_issue_undispatched(&self->passed);
		if (kind == 2)
			set_selector(SUD_BLOCK);
		sleep_ms(1);
	}
	self->selector_right = get_selector() == resting && *selector_of(self) == resting;
	if (kind == 1) {
		set_selector(SUD_BLOCK);
		for (int i = 0; i < 10; i++)
			sud_issue_next(&self->dispatched);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n = atoi(arg(argc, argv, 1, "4"));
	struct thread *threads = calloc(n, sizeof(*threads));
	char name[64];
	sigset_t term;

	through_gs = !strcmp(arg(argc, argv, 2, "fs"), "gs");
	subject_init();
	sud_install(sud_handler, 0);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	for (int i = 0; i < n; i++) {
		threads[i].index = i;
		if (pthread_create(&threads[i].thread, NULL, worker, &threads[i]))
			die("pthread_create");
	}
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	for (int i = 0; i < n; i++)
		while (!threads[i].tid)
			sleep_ms(1);
	ready();
	wait_for_term();
	for (int i = 0; i < n && i < 8; i++) {
		snprintf(name, sizeof(name), "config of thread %d", i);
		sud_check_config(name, threads[i].tid, threads[i].config);
	}
	stop = true;
	for (int i = 0; i < n; i++) {
		struct thread *t = &threads[i];

		pthread_join(t->thread, NULL);
		if (t->index % 4 != 3) {
			snprintf(name, sizeof(name), "dispatched calls of thread %d", i);
			sud_check_count(name, &t->dispatched);
		}
		if (t->index % 4 != 0) {
			snprintf(name, sizeof(name), "passed calls of thread %d", i);
			sud_check_undispatched(name, &t->passed);
		}
		snprintf(name, sizeof(name), "selector of thread %d", i);
		check(t->selector_right, name, "it changed, or the thread pointer did");
	}
	finish();
}
