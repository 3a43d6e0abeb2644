/*
 * Processes that are to be told of messages in POSIX message queues (mq_notify(3)): by a signal with a value, of an
 * empty queue and of one with messages of several priorities, some longer than a page; by nothing; and by a thread. And
 * one that has executed another program since, whom nothing tells any more.
 */
#include "files.h"

#include <mqueue.h>
#include <semaphore.h>
#include <time.h>

#define LONG 8192
#define VALUE ((void *)0x123456789abcdef0)

static volatile sig_atomic_t signals, code;
static void *volatile value;
static sem_t told;
static void *volatile thread_value;
static unsigned char text[LONG + 1];

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	code = info->si_code;
	value = info->si_value.sival_ptr;
	signals++;
}

static void on_thread(union sigval given)
{
	thread_value = given.sival_ptr;
	sem_post(&told);
}

static mqd_t make(const char *what, long count, long size)
{
	char name[64];
	struct mq_attr attr = { .mq_maxmsg = count, .mq_msgsize = size };

	snprintf(name, sizeof(name), "/stasis-%s-%d", what, getpid());
	mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &attr);
	if (queue < 0) {
		if (errno == ENOSYS)
			unsupported("no POSIX message queues");
		die("mq_open %s", name);
	}
	mq_unlink(name);
	return queue;
}

static void ask(mqd_t queue, int how, int signal, void *pointer)
{
	struct sigevent event = { .sigev_notify = how, .sigev_signo = signal, .sigev_value.sival_ptr = pointer };

	if (how == SIGEV_THREAD)
		event.sigev_notify_function = on_thread;
	if (mq_notify(queue, &event))
		die("mq_notify");
}

static void put(mqd_t queue, int seed, size_t size, unsigned priority)
{
	fill_bytes(text, size, seed);
	if (mq_send(queue, (char *)text, size, priority))
		die("mq_send");
}

static void check_got(mqd_t queue, int seed, size_t size, unsigned priority)
{
	unsigned at = 0;
	ssize_t got = mq_receive(queue, (char *)text, LONG, &at);

	check(got == (ssize_t)size && bytes_are(text, size, seed) && at == priority, "message",
	      "%zd bytes of priority %u instead of %zu of %u, errno %d", got, at, size, priority, errno);
}

static void check_taken(const char *what, mqd_t queue)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };

	check(mq_notify(queue, &event) == -1 && errno == EBUSY, what, "it is not taken, errno %d", errno);
}

/* What the child becomes: its descriptor of the queue is open still. */
static int executed(mqd_t queue)
{
	subject_init();
	wait_for_term();
	check_equal("it has the queue", fcntl(queue, F_GETFD), 0);
	child_finish();
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return executed(atoi(argv[1]));
	subject_init();
	sem_init(&told, 0, 0);
	sigaction(SIGRTMIN, &(struct sigaction){ .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO }, NULL);
	mqd_t empty = make("empty", 2, 64), full = make("full", 6, LONG), none = make("none", 2, 64);
	mqd_t thread = make("thread", 2, 64), lost = make("lost", 2, 64);
	put(full, 1, 5, 3);
	put(full, 2, LONG, 3);
	put(full, 3, 0, 0);
	put(full, 4, 4096, 32000);
	put(full, 5, 4048, 7);
	ask(empty, SIGEV_SIGNAL, SIGRTMIN, VALUE);
	ask(full, SIGEV_SIGNAL, SIGRTMIN, NULL);
	ask(none, SIGEV_NONE, 0, NULL);
	ask(thread, SIGEV_THREAD, 0, VALUE);
	int gone[2];
	if (pipe2(gone, O_CLOEXEC))
		die("pipe2");
	pid_t child = fork_child();
	if (child == 0) {
		char number[16];
		struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
		snprintf(number, sizeof(number), "%d", lost);
		fcntl(lost, F_SETFD, 0);
		if (mq_notify(lost, &event))
			die("mq_notify");
		execl("/proc/self/exe", "mqueue_notify", number, NULL);
		die("execl");
	}
	close(gone[1]);
	if (read(gone[0], text, 1) != 0)
		die("read");
	close(gone[0]);
	ready();
	wait_for_term();
	check_equal("signals so far", signals, 0);
	check_taken("signal", empty);
	put(empty, 6, 8, 1);
	check_equal("signals", signals, 1);
	check_equal("code", code, SI_MESGQ);
	check(value == VALUE, "value", "%p", value);
	check_taken("signal of a queue with messages", full);
	check_got(full, 4, 4096, 32000);
	check_got(full, 5, 4048, 7);
	check_got(full, 1, 5, 3);
	check_got(full, 2, LONG, 3);
	check_got(full, 3, 0, 0);
	put(full, 7, 8, 1);
	check_equal("signals of both", signals, 2);
	check(value == NULL, "value of the second", "%p", value);
	check_taken("nothing", none);
	put(none, 8, 8, 1);
	check_equal("nothing is told once", mq_notify(none, NULL), 0);
	check_taken("thread", thread);
	check_equal("thread so far", sem_trywait(&told), -1);
	put(thread, 9, 8, 1);
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	while (sem_timedwait(&told, &until) && errno == EINTR)
		;
	check(thread_value == VALUE, "thread", "%p", thread_value);
	/* The signal would kill the child. */
	check_taken("one that has executed another program", lost);
	put(lost, 10, 8, 1);
	check_got(lost, 10, 8, 1);
	end_child("child", child);
	finish();
}
