/*
 * What the subjects that use Syscall User Dispatch share: arming, foreign calls, a handler that
 * notices every call that was lost, leaked to the kernel or seen twice, and a look at the
 * configuration through ptrace.
 *
 * A foreign call carries a sequence number. The handler answers with a number made of it that no
 * kernel would give, so a call which leaked to the kernel shows in its result, one that was seen
 * twice in the count, and one that was lost in both.
 */
#ifndef SUD_H
#define SUD_H

#include "subject.h"

#include <link.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/ucontext.h>

#ifndef PR_SYS_DISPATCH_INCLUSIVE_ON
#define PR_SYS_DISPATCH_INCLUSIVE_ON 2 /* 6.17 and later */
#endif
#define SUD_ALLOW 0
#define SUD_BLOCK 1
#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif
#define GET_SUD_CONFIG 0x4211 /* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, 6.4 and later */

/* Numbers that no kernel knows: a leak gives ENOSYS. */
#define FOREIGN_BASE 0x1000
#define FOREIGN_SPAN 0x400
/* The answer to call number `seq` when it was dispatched as it should. */
#define ANSWER(seq) (0x5d000000000L + (long)(seq))

/* As struct ptrace_sud_config. */
struct sud_config {
	uint64_t mode, selector, offset, len;
};

/* What one thread issued and what its handler saw. */
struct sud_count {
	volatile long issued, seen, wrong;
	long first_wrong[3]; /* number, result and what was seen, of the first call that went wrong */
};

/* The call in flight of this thread, and what the handler saw of it. */
struct sud_call {
	volatile long nr, seq;
	volatile int times;
	volatile long seen_nr;
	volatile uintptr_t seen_addr;
	volatile unsigned seen_arch;
	volatile int seen_code;
};

static __thread struct sud_call sud_call __attribute__((tls_model("initial-exec")));

/* The address after the syscall instruction of foreign_call(), which is what si_call_addr shows. */
extern char foreign_call_end[];

/* foreign_call(nr, seq): the one syscall instruction of the dispatched area. */
__attribute__((visibility("hidden"))) long foreign_call(long nr, long seq);
__asm__(".pushsection .text\n"
	".globl foreign_call\n"
	".type foreign_call, @function\n"
	"foreign_call:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	syscall\n"
	".globl foreign_call_end\n"
	"foreign_call_end:\n"
	"	ret\n"
	".size foreign_call, . - foreign_call\n"
	".popsection\n");

/* Takes down what was dispatched and answers it. */
static inline void sud_answer(siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	sud_call.times++;
	sud_call.seen_nr = info->si_syscall;
	sud_call.seen_addr = (uintptr_t)info->si_call_addr;
	sud_call.seen_arch = info->si_arch;
	sud_call.seen_code = info->si_code;
	uc->uc_mcontext.gregs[REG_RAX] = ANSWER(uc->uc_mcontext.gregs[REG_RDI]);
}

static inline void sud_handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	sud_answer(info, context);
}

static inline void sud_install(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
	if (sigaction(SIGSYS, &act, NULL))
		die("sigaction(SIGSYS)");
}

/* One foreign call, which must be dispatched exactly once with a true siginfo. */
static inline bool sud_issue(struct sud_count *count, long nr)
{
	long seq = count->issued;
	memset((void *)&sud_call, 0, sizeof(sud_call));
	sud_call.nr = nr;
	sud_call.seq = seq;
	long result = foreign_call(nr, seq);
	bool right = result == ANSWER(seq) && sud_call.times == 1 && sud_call.seen_nr == nr &&
		     sud_call.seen_addr == (uintptr_t)foreign_call_end &&
		     sud_call.seen_arch == AUDIT_ARCH_X86_64 &&
		     sud_call.seen_code == SYS_USER_DISPATCH;
	count->issued = seq + 1;
	count->seen += sud_call.times;
	if (!right && count->wrong++ == 0) {
		count->first_wrong[0] = nr;
		count->first_wrong[1] = result;
		count->first_wrong[2] = sud_call.times;
	}
	return right;
}

/* A made-up number, or now and then a real one (getpid), that must be dispatched all the same. */
static inline bool sud_issue_next(struct sud_count *count)
{
	long n = count->issued;
	return sud_issue(count, n % 3 == 2 ? SYS_getpid : FOREIGN_BASE + n % FOREIGN_SPAN);
}

/* A call from the dispatched area that must go to the kernel: dispatch is off or the selector allows. */
static inline bool sud_issue_undispatched(struct sud_count *count)
{
	long n = count->issued;
	long nr = n % 3 == 2 ? SYS_getpid : FOREIGN_BASE + n % FOREIGN_SPAN;
	memset((void *)&sud_call, 0, sizeof(sud_call));
	long result = foreign_call(nr, n);
	bool right = sud_call.times == 0 && result == (nr == SYS_getpid ? getpid() : -ENOSYS);
	count->issued = n + 1;
	count->seen += sud_call.times;
	if (!right && count->wrong++ == 0) {
		count->first_wrong[0] = nr;
		count->first_wrong[1] = result;
		count->first_wrong[2] = sud_call.times;
	}
	return right;
}

/* Every call was answered, each exactly once. */
static inline void sud_check_count(const char *name, const struct sud_count *count)
{
	check(count->issued > 0 && count->wrong == 0 && count->seen == count->issued, name,
	      "%ld issued, %ld seen, %ld wrong; the first: number %#lx gave %ld, seen %ld times",
	      count->issued, count->seen, count->wrong, count->first_wrong[0], count->first_wrong[1],
	      count->first_wrong[2]);
}

/* The call count of calls that had to reach the kernel: none seen by the handler. */
static inline void sud_check_undispatched(const char *name, const struct sud_count *count)
{
	check(count->issued > 0 && count->wrong == 0 && count->seen == 0, name,
	      "%ld issued, %ld seen, %ld wrong; the first: number %#lx gave %ld, seen %ld times",
	      count->issued, count->seen, count->wrong, count->first_wrong[0], count->first_wrong[1],
	      count->first_wrong[2]);
}

static inline void sud_arm(struct sud_config config)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, config.mode, config.offset, config.len,
		  config.selector)) {
		if (errno == EINVAL)
			unsupported("syscall user dispatch, mode %d", (int)config.mode);
		die("prctl(PR_SET_SYSCALL_USER_DISPATCH)");
	}
}

/*
 * The range of the C library, from the dynamic linker to the vDSO: calls made in there are real. That
 * is how Wine does it, and it lets signal handlers return. The program itself must lie outside.
 */
static inline struct sud_config sud_outside_libc(volatile char *selector)
{
	FILE *maps = fopen("/proc/thread-self/maps", "r");
	char line[512];
	uintptr_t low = UINTPTR_MAX, high = 0;
	if (!maps)
		die("/proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (!strstr(line, "/libc") && !strstr(line, "/ld-") && !strstr(line, "[vdso]"))
			continue;
		low = start < low ? start : low;
		high = end > high ? end : high;
	}
	fclose(maps);
	uintptr_t own = (uintptr_t)foreign_call;
	if (low >= high || (own >= low && own < high))
		die("no range holds the C library without this program");
	return (struct sud_config){ PR_SYS_DISPATCH_ON, (uintptr_t)selector, low, high - low };
}

/*
 * The dispatch configuration of a thread of this process, read by a child through ptrace.
 * Gives 0, or the errno (EIO where the kernel has no such request).
 */
static inline int sud_read_config(pid_t tid, struct sud_config *config)
{
	int ends[2];
	struct {
		int error;
		struct sud_config config;
	} answer = { .error = ECHILD };
	if (pipe(ends))
		die("pipe");
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		int status = 0;
		answer.error = 0;
		if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0))
			answer.error = errno;
		/* A thread about to take a signal must have it: a tracer that goes away drops it. */
		while (answer.error == 0 && waitpid(tid, &status, __WALL) == tid &&
		       status >> 16 != PTRACE_EVENT_STOP)
			ptrace(PTRACE_CONT, tid, 0, WSTOPSIG(status));
		if (answer.error == 0 && ptrace(GET_SUD_CONFIG, tid, sizeof(answer.config), &answer.config))
			answer.error = errno;
		_exit(write(ends[1], &answer, sizeof(answer)) != sizeof(answer));
	}
	close(ends[1]);
	if (read(ends[0], &answer, sizeof(answer)) != sizeof(answer))
		answer.error = ECHILD;
	close(ends[0]);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	*config = answer.config;
	return answer.error;
}

/* The configuration of a thread is exactly the wanted one; silent where the kernel cannot tell. */
static inline void sud_check_config(const char *name, pid_t tid, struct sud_config want)
{
	struct sud_config got;
	int error = sud_read_config(tid, &got);
	if (error == EIO) {
		say("note %s: this kernel does not tell the configuration", name);
		return;
	}
	/* Off is off: fork clears the mode alone and leaves the old values behind in the child. */
	if (want.mode == 0)
		got.selector = got.offset = got.len = 0;
	check(error == 0 && !memcmp(&got, &want, sizeof(got)), name,
	      "errno %d, {%#lx %#lx %#lx %#lx} instead of {%#lx %#lx %#lx %#lx}", error, got.mode,
	      got.selector, got.offset, got.len, want.mode, want.selector, want.offset, want.len);
}

#endif
