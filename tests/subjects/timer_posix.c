/*
 * POSIX timers with their ids: of every kind of notification (a signal, none, a thread), on several
 * clocks, armed, disarmed, with an interval; and one whose signal is pending with an overrun.
 */
#include "subject.h"

#include <pthread.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* As the kernel has them: the C library's timer_t is not the id for SIGEV_THREAD alone, but be sure. */
static int make(clockid_t clock, int notify, int sig, int value, pid_t tid)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = value };
	int id = -1;

	if (notify == SIGEV_THREAD_ID)
		event.sigev_notify_thread_id = tid;
	if (syscall(SYS_timer_create, clock, &event, &id))
		die("timer_create");
	return id;
}

static void set(int id, double value, double interval)
{
	struct itimerspec spec = {
		.it_value = { (long)value, (value - (long)value) * 1e9 },
		.it_interval = { (long)interval, (interval - (long)interval) * 1e9 },
	};
	if (syscall(SYS_timer_settime, id, 0, &spec, NULL))
		die("timer_settime");
}

static bool get(int id, double *value, double *interval)
{
	struct itimerspec spec;

	if (syscall(SYS_timer_gettime, id, &spec))
		return false;
	*value = spec.it_value.tv_sec + spec.it_value.tv_nsec / 1e9;
	*interval = spec.it_interval.tv_sec + spec.it_interval.tv_nsec / 1e9;
	return true;
}

static void check_timer(const char *name, int id, double value, double interval, double elapsed)
{
	double v = -1, i = -1;
	bool there = get(id, &v, &i);

	check(there && i > interval - 1e-6 && i < interval + 1e-6 &&
		      (value == 0 ? v == 0 : v <= value + 0.02 && v > value - elapsed - 0.1),
	      name, "id %d: value %.6f of %.6f after %.3f s, interval %.6f of %.6f", id, v, value, elapsed, i,
	      interval);
}

static volatile int ticks, thread_ticks, pending_got, first_overrun, pending_value;
static volatile pid_t thread_tid, ticked_in;
static volatile bool stop;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_code == SI_TIMER && info->si_value.sival_int == 11)
		ticks++;
}

static void on_thread_tick(int sig)
{
	(void)sig;
	thread_ticks++;
	ticked_in = own_tid();
}

static void on_pending(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (pending_got++ == 0)
		first_overrun = info->si_overrun;
	pending_value = info->si_value.sival_int;
}

static void *worker(void *unused)
{
	sigset_t open;

	sigemptyset(&open);
	sigaddset(&open, SIGRTMIN + 4);
	pthread_sigmask(SIG_UNBLOCK, &open, NULL);
	thread_tid = own_tid();
	while (!stop)
		sleep_ms(5);
	return unused;
}

int main(void)
{
	struct sigaction act = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t thread;
	sigset_t blocked, all, old;

	subject_init();
	sigaction(SIGRTMIN + 3, &act, NULL);
	act.sa_sigaction = on_pending;
	sigaction(SIGRTMIN + 5, &act, NULL);
	act = (struct sigaction){ .sa_handler = on_thread_tick, .sa_flags = SA_RESTART };
	sigaction(SIGRTMIN + 4, &act, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, worker, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN + 5);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	while (!thread_tid)
		sleep_ms(1);

	/* One made and deleted, so that the ids are not simply 0, 1, 2. */
	int gone = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	int far = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, 1, 0);
	int none = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 2, 0);
	int disarmed = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 3, 0);
	int ticking = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 11, 0);
	int to_thread = make(CLOCK_BOOTTIME, SIGEV_THREAD_ID, SIGRTMIN + 4, 12, thread_tid);
	int overrunning = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 5, 13, 0);
	int cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 4, 0);
	syscall(SYS_timer_delete, gone);
	double first = now_s();
	set(far, 1000.5, 0);
	set(none, 2000.5, 3.25);
	set(ticking, 0.02, 0.02);
	set(to_thread, 0.02, 0.02);
	set(cpu, 500.5, 0);
	double begun = now_s();
	set(overrunning, 0.001, 0.001);
	sleep_ms(50);
	/* Its signal is pending now, and some fifty expirations have run over that are still owed. */
	fact("ids", "%d,%d,%d,%d,%d,%d,%d", far, none, disarmed, ticking, to_thread, overrunning, cpu);
	ready();
	wait_for_term();

	double elapsed = now_s() - first;
	double unused;
	check(!get(gone, &unused, &unused), "the deleted one", "id %d is there", gone);
	check_timer("far", far, 1000.5, 0, elapsed);
	check_timer("without notification", none, 2000.5, 3.25, elapsed);
	check_timer("disarmed", disarmed, 0, 0, 0);
	check_timer("ticking", ticking, 0.02, 0.02, 0.02);
	check_timer("to a thread", to_thread, 0.02, 0.02, 0.02);
	check_timer("of CPU time", cpu, 500.5, 0, elapsed);
	int before = ticks, thread_before = thread_ticks;
	double since = now_s();
	sleep_ms(200);
	int ticked = ticks - before;
	since = now_s() - since;
	check(ticked >= 5 && ticked <= since / 0.02 + 2, "ticks go on", "%d in %.3f s", ticked, since);
	check(thread_ticks - thread_before >= 5, "ticks to the thread go on", "%d in 200 ms",
	      thread_ticks - thread_before);
	check_equal("in that thread", ticked_in, thread_tid);
	check_timer("whose signal is pending", overrunning, 0.001, 0.001, 0.001);
	check_equal("not delivered while blocked", pending_got, 0);
	set(to_thread, 0, 0);
	set(ticking, 0, 0);
	/* One delivery that tells all expirations since it was armed; a second may come at once. */
	pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
	int got = pending_got, overrun = first_overrun;
	check(got >= 1 && pending_value == 13, "delivered when unblocked", "%d times, value %d", got,
	      pending_value);
	check(overrun >= 40 && overrun <= (now_s() - begun) * 1000 + 10, "overruns", "%d in %.3f s",
	      overrun, now_s() - begun);
	stop = true;
	pthread_join(thread, NULL);
	finish();
}
