/*
 * Takes an id: as a process, as a thread of a process, or as a zombie.
 * Usage: take_pid ID process|thread|zombie
 */
#include "../../subjects/subject.h"

#include <linux/sched.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	pid_t id = atoi(arg(argc, argv, 1, "0"));
	const char *kind = arg(argc, argv, 2, "process");
	bool thread = !strcmp(kind, "thread");
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&id,
		.set_tid_size = 1,
	};

	subject_init();
	if (thread) {
		/* As a thread it has a stack of its own, on which it only waits. */
		args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
		args.exit_signal = 0;
		args.stack_size = 65536;
		args.stack = (uintptr_t)mmap(NULL, args.stack_size, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	long got;
	/* clone3(), and pause() for ever in what it makes: without a call of C, which the new stack lacks. */
	__asm__ volatile("syscall\n"
			 "	test %%rax, %%rax\n"
			 "	jnz 2f\n"
			 "	cmpl $0, %[ends]\n"
			 "	jne 3f\n"
			 "1:	mov $34, %%eax\n"
			 "	syscall\n"
			 "	jmp 1b\n"
			 "3:	mov $60, %%eax\n"
			 "	xor %%edi, %%edi\n"
			 "	syscall\n"
			 "2:\n"
			 : "=a"(got)
			 : "a"(SYS_clone3), "D"(&args), "S"(sizeof(args)),
			   [ends] "r"(!strcmp(kind, "zombie"))
			 : "rcx", "r11", "memory");
	if (got < 0) {
		errno = -got;
		die("clone3(set_tid=%d)", id);
	}
	if (!strcmp(kind, "zombie")) {
		siginfo_t info;
		waitid(P_PID, id, &info, WEXITED | WNOWAIT);
	}
	ready();
	wait_for_term();
	check(syscall(SYS_tkill, id, 0) == 0, "it has the id still", "errno %d", errno);
	if (!thread) {
		kill(id, SIGKILL);
		waitpid(id, NULL, 0);
	}
	finish();
}
