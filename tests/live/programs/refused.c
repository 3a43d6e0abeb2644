/*
 * Has something that cannot be saved, and nothing else; it lives as long as its parent wants.
 *
 * Usage: refused ldt|pkey|userfaultfd|secret|hugetlb|device|pidfd|io_uring|perf|bpf|files|namespace|bound|flusher
 */
#include "../../subjects/subject.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
#ifndef __NR_memfd_secret
#define __NR_memfd_secret 447
#endif
#define PAGE 4096ul

static volatile bool started;

static void must(bool holds, const char *what)
{
	if (!holds)
		unsupported("%s: errno %d", what, errno);
}

/* A thread that has left something of its process. */
static void *leaver(void *flags)
{
	if (unshare((long)flags))
		die("unshare");
	started = true;
	wait_for_term();
	return NULL;
}

static void leave(long flags)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, leaver, (void *)flags))
		die("pthread_create");
	while (!started)
		sleep_ms(1);
}

/* A thread that is an I/O flusher, as its process is not, and of which nobody may ask that any more. */
static void *flusher(void *unused)
{
	unsigned header[2] = { 0x20080522 /* _LINUX_CAPABILITY_VERSION_3 */, 0 }, sets[6] = { 0 };

	must(!prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0), "PR_SET_IO_FLUSHER");
	if (syscall(SYS_capset, header, sets))
		die("capset");
	started = true;
	wait_for_term();
	return unused;
}

static void set_up(const char *what)
{
	const int rw = PROT_READ | PROT_WRITE, private = MAP_PRIVATE | MAP_ANONYMOUS;

	if (!strcmp(what, "ldt")) {
		/* struct user_desc: entry, base, limit, 32-bit data that is usable. */
		unsigned entry[4] = { 0, 0, 0xfffff, 1 | 1 << 4 | 1 << 6 };
		must(!syscall(SYS_modify_ldt, 1, entry, sizeof(entry)), "modify_ldt");
	} else if (!strcmp(what, "pkey")) {
		int key = syscall(SYS_pkey_alloc, 0, 0);
		must(key > 0, "pkey_alloc");
		void *page = mmap(NULL, PAGE, rw, private, -1, 0);
		must(!syscall(SYS_pkey_mprotect, page, PAGE, rw, key), "pkey_mprotect");
	} else if (!strcmp(what, "userfaultfd")) {
		must(syscall(SYS_userfaultfd, O_CLOEXEC) >= 0, "userfaultfd");
	} else if (!strcmp(what, "secret")) {
		int fd = syscall(__NR_memfd_secret, O_CLOEXEC);
		must(fd >= 0, "memfd_secret");
		must(!ftruncate(fd, PAGE) && mmap(NULL, PAGE, rw, MAP_SHARED, fd, 0) != MAP_FAILED, "secret memory");
		close(fd);
	} else if (!strcmp(what, "device")) {
		/* Where in the kernel's log it reads, nothing tells. */
		must(open("/dev/kmsg", O_RDONLY) >= 0, "/dev/kmsg");
	} else if (!strcmp(what, "pidfd")) {
		must(syscall(SYS_pidfd_open, getppid(), 0) >= 0, "pidfd_open");
	} else if (!strcmp(what, "io_uring")) {
		char params[120] = "";
		must(syscall(SYS_io_uring_setup, 4, params) >= 0, "io_uring_setup");
	} else if (!strcmp(what, "perf")) {
		/* How long it runs, its own time alone. */
		struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
						.config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1 };
		must(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) >= 0, "perf_event_open");
	} else if (!strcmp(what, "bpf")) {
		union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
		must(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) >= 0, "bpf");
	} else if (!strcmp(what, "files")) {
		leave(CLONE_FILES);
	} else if (!strcmp(what, "namespace")) {
		leave(CLONE_NEWUTS);
	} else if (!strcmp(what, "flusher")) {
		pthread_t thread;
		must(!pthread_create(&thread, NULL, flusher, NULL), "pthread_create");
		while (!started)
			sleep_ms(1);
	} else if (!strcmp(what, "bound")) {
		int pair[2];
		must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
		must(!setsockopt(pair[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), "SO_BINDTODEVICE");
	} else {
		die("what is %s?", what);
	}
}

int main(int argc, char **argv)
{
	subject_init();
	set_up(arg(argc, argv, 1, ""));
	ready();
	wait_for_term();
	finish();
}
