/*
 * A foreign-personality emulator in miniature: what Stasis's demo checkpoints in the middle of its work.
 *
 * Wine runs Windows programs on Linux. Such a program may make system calls by itself, with Windows'
 * numbers, which Linux must not take for its own. So Wine asks the kernel, by Syscall User Dispatch
 * (SUD), to hand back every system call that is not made from within the C library: the kernel sends
 * SIGSYS instead, and the signal's handler emulates the call. This program does the same for a foreign
 * system of its own, which knows four calls.
 *
 *     foreign program            kernel                     this emulator
 *     ---------------            ------                     -------------
 *     syscall 0x1001  ------->   not from libc, and
 *                                the selector says BLOCK:
 *                                SIGSYS             ------>  on_foreign_call()
 *                                                            selector = ALLOW
 *                                                            does what 0x1001 means
 *                                                            selector = BLOCK
 *     goes on with   <------------------------------------   result into the register rax
 *     the result
 *
 * Each thread has its own selector (one byte that the kernel looks at in every system call), which lies
 * behind its thread pointer, as Wine's does. A forked child arms a dispatch of its own: fork clears it.
 *
 * The proof. Every foreign call has a number in its thread's sequence, and everybody counts: the foreign
 * programs what they issued, the handler what it emulated. A call that was
 *   - lost        leaves the handler's count behind;
 *   - seen twice  makes a sequence number come again;
 *   - leaked      to the Linux kernel comes back with ENOSYS, as Linux has no call of that number.
 * What came through the pipe and what stands in the log is counted as well.
 *
 * Usage: emulator [THREADS=4]
 * Prints a line of progress every 200 ms; at SIGTERM a report of `key=value` lines and `verdict PASS`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ALLOW = 0, BLOCK = 1 }; /* what a selector may say */

/* The calls of the foreign system. Linux has none of these numbers. */
enum {
	FOREIGN_SEND = 0x1000,	  /* send(message): into the pipe to the collector */
	FOREIGN_ADD = 0x1001,	  /* add(a, b): their sum */
	FOREIGN_APPEND = 0x1002,  /* append(value): one line to the log */
	FOREIGN_IDENTIFY = 0x1003 /* identify(): the number of the calling program */
};

#define MAX_THREADS 64
#define CHILD_THREADS 1

/* What one foreign program and its emulation have counted. */
struct program {
	volatile uint64_t issued;	/* calls that the foreign program has made and got back */
	volatile uint64_t emulated;	/* calls that the handler has emulated */
	volatile uint64_t sent, appended; /* of those, messages and log lines */
	volatile uint64_t next;		/* the sequence number that the handler expects */
	volatile uint64_t wrong_order;	/* calls that came with another: lost, or seen twice */
	volatile uint64_t leaked;	/* calls that came back with ENOSYS */
	volatile uint64_t wrong_result; /* calls that came back with something else than they should */
	volatile uint64_t received;	/* messages that the collector got, checked for order too */
	volatile uint64_t receive_errors;
};

/* In shared memory, so that the parent sees what the child's programs have counted. */
struct board {
	struct program programs[MAX_THREADS + CHILD_THREADS];
	volatile int stop;
};

/* One message in the pipe. Shorter than PIPE_BUF, so it goes in as a whole or not at all. */
struct message {
	uint32_t program;
	uint32_t check;
	uint64_t number;
};

static struct board *board;
static int log_fd, pipe_read_fd, pipe_write_fd;
static volatile sig_atomic_t term_requested;

/* A thread's own: the selector that the kernel reads, and which program it runs. */
static __thread volatile char selector = ALLOW;
static __thread int own_program = -1;

static void die(const char *what)
{
	dprintf(2, "emulator: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void sleep_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* ---- The foreign side: code that knows nothing of Linux -------------------------------------- */

/*
 * The one instruction by which foreign programs call their system: number in rax, arguments in rdi,
 * rsi and rdx. It lies in this program, hence outside the C library, hence it is dispatched.
 */
static long foreign_call(long number, long a, long b, long sequence)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(sequence)
			 : "rcx", "r11", "memory");
	return result;
}

/* Counts a call that has come back. */
static void account(struct program *self, long result, long expected)
{
	if (result == -ENOSYS)
		self->leaked++;
	else if (result != expected)
		self->wrong_result++;
	self->issued++;
}

/* A foreign program: sums, mostly; now and then a message, a line in the log, a look at itself. */
static void run_foreign_program(int number, volatile int *stop)
{
	struct program *self = &board->programs[number];
	uint64_t messages = 0, lines = 0;

	while (!*stop) {
		long n = self->issued;

		switch (n % 16) {
		case 5:
			account(self, foreign_call(FOREIGN_SEND, messages, 0, n), messages);
			messages++;
			break;
		case 10:
			account(self, foreign_call(FOREIGN_IDENTIFY, 0, 0, n), number);
			break;
		case 15:
			if (n % 256 == 255) {
				account(self, foreign_call(FOREIGN_APPEND, lines, 0, n), lines);
				lines++;
				break;
			}
			/* fall through */
		default:
			account(self, foreign_call(FOREIGN_ADD, n, 1000, n), n + 1000);
		}
		if (n % 64 == 63)
			sleep_ms(1); /* the C library's own calls are allowed: no dispatch */
	}
}

/* ---- The emulator's side: what the foreign calls mean ----------------------------------------- */

static uint32_t check_of(uint32_t program, uint64_t number)
{
	return (program + 1) * 2654435761u ^ (uint32_t)(number * 40503u);
}

static long emulate_send(struct program *self, uint64_t number)
{
	struct message message = { own_program, check_of(own_program, number), number };

	if (write(pipe_write_fd, &message, sizeof(message)) != sizeof(message))
		return -EIO;
	self->sent++;
	return number;
}

static long emulate_append(struct program *self, uint64_t line)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "program %d line %lu\n", own_program, line);

	if (write(log_fd, text, length) != length)
		return -EIO;
	self->appended++;
	return line;
}

static long emulate(long number, long a, long b)
{
	struct program *self = &board->programs[own_program];

	switch (number) {
	case FOREIGN_SEND:
		return emulate_send(self, a);
	case FOREIGN_ADD:
		return a + b;
	case FOREIGN_APPEND:
		return emulate_append(self, a);
	case FOREIGN_IDENTIFY:
		return own_program;
	default:
		return -EINVAL;
	}
}

/* The handler of SIGSYS: here every foreign call arrives, with the registers it was made with. */
static void on_foreign_call(int sig, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct program *self = &board->programs[own_program];
	uint64_t sequence = registers[REG_RDX];
	int saved_errno = errno;

	(void)sig;
	selector = ALLOW; /* what the emulation itself calls is meant for Linux */
	if (sequence != self->next)
		self->wrong_order++;
	self->next = sequence + 1;
	self->emulated++;
	registers[REG_RAX] = emulate(info->si_syscall, registers[REG_RDI], registers[REG_RSI]);
	errno = saved_errno;
	selector = BLOCK; /* the next call is foreign again; the way back lies in the C library */
}

/*
 * Finds the memory of the C library and the dynamic linker, whose calls are real ones. What lies
 * between them is allowed as well; this program must not lie there.
 */
static void find_libc(uintptr_t *start, uintptr_t *end)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];

	if (!maps)
		die("/proc/self/maps");
	*start = UINTPTR_MAX;
	*end = 0;
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "/libc") && !strstr(line, "/ld-") && !strstr(line, "[vdso]"))
			continue;
		if (sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		*start = from < *start ? from : *start;
		*end = to > *end ? to : *end;
	}
	fclose(maps);
	uintptr_t here = (uintptr_t)find_libc;
	if (*start >= *end || (here >= *start && here < *end)) {
		errno = ENOTSUP;
		die("the C library cannot be told from this program (is it linked statically?)");
	}
}

/* Arms the dispatch of this thread, and of no other. */
static void arm_dispatch(void)
{
	uintptr_t start, end;

	find_libc(&start, &end);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, start, end - start, &selector))
		die("this kernel has no Syscall User Dispatch");
	selector = BLOCK;
}

static void *run_thread(void *argument)
{
	own_program = (int)(intptr_t)argument;
	arm_dispatch();
	run_foreign_program(own_program, &board->stop);
	selector = ALLOW;
	return NULL;
}

/* ---- The rest: collector, child, report -------------------------------------------------------- */

/* Takes the messages out of the pipe until all its writers are gone. An ordinary thread, no dispatch. */
static void *collect(void *unused)
{
	struct message message;

	while (read(pipe_read_fd, &message, sizeof(message)) == sizeof(message)) {
		struct program *from = &board->programs[message.program % (MAX_THREADS + CHILD_THREADS)];

		if (message.check != check_of(message.program, message.number) ||
		    message.number != from->received)
			from->receive_errors++;
		from->received++;
		if (from->received % 8 == 0)
			sleep_ms(1); /* slow, so that there is something in the pipe at any time */
	}
	return unused;
}

/* The child runs a program in its only thread, with a dispatch and a selector of its own. */
static __attribute__((noreturn)) void run_child(int number)
{
	close(pipe_read_fd);
	own_program = number;
	arm_dispatch();
	run_foreign_program(number, &board->stop);
	_exit(0);
}

/* How many lines of each program stand in the log, each of which must come next in its own order. */
static uint64_t count_log_lines(uint64_t *lines, int programs)
{
	FILE *file = fopen("emulator.log", "r");
	uint64_t wrong = 0, line;
	int program;

	if (!file)
		die("emulator.log");
	while (fscanf(file, "program %d line %lu\n", &program, &line) == 2) {
		if (program < 0 || program >= programs || line != lines[program]++)
			wrong++;
	}
	wrong += !feof(file);
	fclose(file);
	return wrong;
}

static uint64_t failures;

static void report(const char *key, uint64_t value, bool good)
{
	dprintf(1, "%s=%lu\n", key, value);
	if (!good) {
		dprintf(1, "FAIL %s: %lu\n", key, value);
		failures++;
	}
}

static void on_term(int sig)
{
	(void)sig;
	term_requested = 1;
}

static void handle(int sig, void (*handler)(int), void (*handler3)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_flags = SA_RESTART };

	if (handler3) {
		action.sa_flags |= SA_SIGINFO;
		action.sa_sigaction = handler3;
	} else {
		action.sa_handler = handler;
	}
	if (sigaction(sig, &action, NULL))
		die("sigaction");
}

static struct program sum_of(int programs)
{
	struct program sum = { 0 };

	for (int i = 0; i < programs; i++) {
		const struct program *p = &board->programs[i];

		sum.issued += p->issued;
		sum.emulated += p->emulated;
		sum.sent += p->sent;
		sum.appended += p->appended;
		sum.wrong_order += p->wrong_order;
		sum.leaked += p->leaked;
		sum.wrong_result += p->wrong_result;
		sum.received += p->received;
		sum.receive_errors += p->receive_errors;
	}
	return sum;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 4, programs = threads + CHILD_THREADS, ends[2];
	pthread_t thread[MAX_THREADS], collector;
	uint64_t lines[MAX_THREADS + CHILD_THREADS] = { 0 };

	if (threads < 1 || threads > MAX_THREADS) {
		dprintf(2, "usage: emulator [THREADS, 1 to %d]\n", MAX_THREADS);
		return 2;
	}
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	log_fd = open("emulator.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (board == MAP_FAILED || log_fd < 0 || pipe(ends))
		die("setting up");
	pipe_read_fd = ends[0];
	pipe_write_fd = ends[1];
	handle(SIGSYS, NULL, on_foreign_call);
	handle(SIGTERM, on_term, NULL);

	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0)
		run_child(threads);
	if (pthread_create(&collector, NULL, collect, NULL))
		die("pthread_create");
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, run_thread, (void *)(intptr_t)i))
			die("pthread_create");

	dprintf(1, "pid=%d\nchild=%d\nthreads=%d\nready\n", getpid(), child, threads);
	for (int tick = 0; !term_requested; tick++) {
		sleep_ms(20);
		struct program sum = sum_of(programs);

		if (tick % 10 == 9)
			dprintf(1, "progress issued %lu emulated %lu received %lu logged %lu wrong %lu\n",
				sum.issued, sum.emulated, sum.received, sum.appended,
				sum.leaked + sum.wrong_order + sum.wrong_result);
	}

	/* The end: all programs stop, the pipe runs dry, and the counters must agree. */
	board->stop = 1;
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	int status = -1;
	waitpid(child, &status, 0);
	close(pipe_write_fd);
	pthread_join(collector, NULL);

	struct program sum = sum_of(programs);
	uint64_t idle = 0, wrong_lines = count_log_lines(lines, programs), logged = 0;
	for (int i = 0; i < programs; i++) {
		idle += board->programs[i].issued == 0;
		logged += lines[i];
	}
	report("programs", programs, true);
	report("idle_programs", idle, idle == 0);
	report("issued", sum.issued, sum.issued > 0);
	report("emulated", sum.emulated, sum.emulated == sum.issued);
	report("leaked", sum.leaked, sum.leaked == 0);
	report("lost_or_twice", sum.wrong_order, sum.wrong_order == 0);
	report("wrong_results", sum.wrong_result, sum.wrong_result == 0);
	report("sent", sum.sent, sum.sent > 0);
	report("received", sum.received, sum.received == sum.sent);
	report("receive_errors", sum.receive_errors, sum.receive_errors == 0);
	report("appended", sum.appended, true);
	report("logged", logged, logged == sum.appended && wrong_lines == 0);
	report("child_status", status, status == 0);
	dprintf(1, "verdict %s\n", failures ? "FAIL" : "PASS");
	return failures ? 1 : 0;
}
