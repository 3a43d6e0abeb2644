/*
 * Pending signals: of the process and of two threads, standard ones and real-time ones with payloads
 * in their order, of different senders (kill, tgkill, sigqueue, a timer's overrun count, a child).
 */
#include "subject.h"

#include <pthread.h>

#define QUEUED 20

static volatile bool stop, stopped, queued;
static siginfo_t got[8 * QUEUED];
static volatile int got_count;
static siginfo_t thread_got[2 * QUEUED];
static volatile int thread_count;
static __thread bool in_thread;

static void take(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (in_thread)
		thread_got[thread_count++] = *info;
	else
		got[got_count++] = *info;
}

static sigset_t ours(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 2);
	return set;
}

static void *worker(void *unused)
{
	sigset_t set = ours();

	in_thread = true;
	/* To this thread alone: real-time ones with payloads, and a plain tgkill. */
	for (int i = 0; i < QUEUED; i++)
		pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){ .sival_int = 1000 + i });
	pthread_kill(pthread_self(), SIGUSR2);
	queued = true;
	while (!stop)
		sleep_ms(2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	stopped = true;
	return unused;
}

int main(void)
{
	struct sigaction act = { .sa_sigaction = take, .sa_flags = SA_SIGINFO };
	sigset_t set = ours(), pending;
	pthread_t thread;

	subject_init();
	sigfillset(&act.sa_mask); /* one handler at a time, so the order is that of the queue */
	for (int sig = 1; sig < 65; sig++)
		if (sigismember(&set, sig) == 1)
			sigaction(sig, &act, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (pthread_create(&thread, NULL, worker, NULL))
		die("pthread_create");
	while (!queued)
		sleep_ms(1);
	/* To the process: two kinds mixed, a kill, a child's end. */
	for (int i = 0; i < QUEUED; i++) {
		sigqueue(getpid(), SIGRTMIN + 2, (union sigval){ .sival_ptr = (void *)(0x123400000000 + i) });
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 2000 + i });
	}
	kill(getpid(), SIGUSR1);
	pid_t child = fork();
	if (child == 0)
		_exit(33);
	int status;
	waitpid(child, &status, 0); /* SIGCHLD stays pending */
	/* To this thread. */
	pthread_sigqueue(pthread_self(), SIGRTMIN + 2, (union sigval){ .sival_int = 3000 });
	ready();
	wait_for_term();

	check_equal("not delivered while blocked", got_count + thread_count, 0);
	sigpending(&pending);
	check(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGCHLD) &&
		      sigismember(&pending, SIGRTMIN + 1) && sigismember(&pending, SIGRTMIN + 2) &&
		      !sigismember(&pending, SIGUSR2),
	      "what is pending in the main thread", "not what it was");
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	stop = true;
	pthread_join(thread, NULL);

	check_equal("signals of the thread", thread_count, QUEUED + 1);
	int right = 0, usr2 = 0;
	for (int i = 0, next = 0; i < thread_count; i++) {
		siginfo_t *s = &thread_got[i];
		if (s->si_signo == SIGRTMIN + 1)
			right += s->si_value.sival_int == 1000 + next++ && s->si_code == SI_QUEUE &&
				 s->si_pid == getpid() && s->si_uid == getuid();
		usr2 += s->si_signo == SIGUSR2 && s->si_code == SI_TKILL && s->si_pid == getpid();
	}
	check_equal("queued to the thread, in order", right, QUEUED);
	check_equal("tgkill to the thread", usr2, 1);

	check_equal("signals of the process", got_count, 2 * QUEUED + 3);
	int one = 0, two = 0, next_one = 0, next_two = 0, usr1 = 0, chld = 0, own = 0, own_at = -1, first_two = -1;
	for (int i = 0; i < got_count; i++) {
		siginfo_t *s = &got[i];
		if (s->si_signo == SIGRTMIN + 1)
			one += s->si_value.sival_int == 2000 + next_one++ && s->si_code == SI_QUEUE;
		if (s->si_signo == SIGRTMIN + 2 && s->si_value.sival_ptr == (void *)3000L) {
			own++;
			own_at = i;
		} else if (s->si_signo == SIGRTMIN + 2) {
			if (first_two < 0)
				first_two = i;
			two += s->si_value.sival_ptr == (void *)(0x123400000000 + next_two++);
		}
		usr1 += s->si_signo == SIGUSR1 && s->si_code == SI_USER && s->si_pid == getpid();
		chld += s->si_signo == SIGCHLD && s->si_code == CLD_EXITED && s->si_pid == child &&
			s->si_status == 33;
	}
	check_equal("queued to the process, in order", one, QUEUED);
	check_equal("queued to the process with pointers, in order", two, QUEUED);
	check_equal("queued to the main thread", own, 1);
	/* Of one number the thread's own come before those of the process. */
	check(own_at >= 0 && own_at < first_two, "the thread's own first", "at %d, the process's at %d", own_at,
	      first_two);
	check_equal("kill to the process", usr1, 1);
	check_equal("SIGCHLD with the child's status", chld, 1);
	finish();
}
